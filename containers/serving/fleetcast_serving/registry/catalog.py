"""The books of what is loaded: names, documents, and how much memory they take."""

import sys
from bisect import bisect_left, bisect_right, insort
from itertools import count, islice

from fleetcast_serving.errors import AlreadyLoaded, NotLoaded, OutOfMemory

# What a model takes beside its texts: the entry, its number, its places in the dictionary and in the list of names,
# and the allocator's own; measured, rounded up.
_SLOT_BYTES = 420


class Entry:
    """A loaded model.

    Attributes:
        number: tells it from another one that had the same name before.
        document: the stored model's own bytes, which are far smaller than a model that is ready to answer.
        size: bytes of memory.
    """

    __slots__ = ("document", "name", "number", "size", "url")

    def __init__(self, number: int, name: str, url: str, document: bytes) -> None:
        self.number = number
        self.name = name
        self.url = url
        self.document = document
        self.size = sum(map(sys.getsizeof, (name, url, document))) + _SLOT_BYTES


class Catalog:
    """Models by the platform's names, within a budget of bytes.

    The platform decides which model goes: a container that dropped one by itself would answer 404 to
    callers of a model that the platform believes to be here.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._entries: dict[str, Entry] = {}
        # In order: sorting a hundred thousand of them anew for each page would keep everybody waiting.
        self._names: list[str] = []
        self._numbers = count(1)
        self.used = 0
        """Bytes of all models, with those that are taken out but not free yet."""

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, name: str) -> Entry:
        try:
            return self._entries[name]
        except KeyError:
            raise NotLoaded(f"model {name!r} is not loaded") from None

    def check_absent(self, name: str) -> None:
        if name in self._entries:
            raise AlreadyLoaded(f"model {name!r} is already loaded")

    def add(self, name: str, url: str, document: bytes) -> Entry:
        """Take a model in.

        Raises:
            OutOfMemory: it does not fit into what the others leave of the budget.
        """
        entry = Entry(next(self._numbers), name, url, document)
        if self.used + entry.size > self._budget:
            raise OutOfMemory(
                f"the model takes {entry.size} bytes, and {self.used} of {self._budget} are used;"
                f" {len(self)} models are loaded"
            )
        self.used += entry.size
        self._entries[name] = entry
        insort(self._names, name)
        return entry

    def take_out(self, name: str) -> Entry:
        """Stop naming a model; its bytes count until they are set free."""
        entry = self[name]
        del self._entries[name]
        del self._names[bisect_left(self._names, name)]
        return entry

    def free(self, entry: Entry) -> None:
        self.used -= entry.size

    def page(self, after: str, limit: int) -> list[tuple[str, str]]:
        """Return up to `limit` names and urls in the order of names, beginning after one of them."""
        begin = bisect_right(self._names, after) if after else 0
        return [(name, self._entries[name].url) for name in islice(self._names, begin, begin + limit)]
