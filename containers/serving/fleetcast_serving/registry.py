"""The loaded models, within a budget of memory. Knows neither HTTP nor what a model is."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from fleetcast_serving.errors import AlreadyLoaded, NotLoaded, OutOfMemory


class Sized(Protocol):
    """Anything that knows how many bytes of memory it takes."""

    @property
    def size(self) -> int: ...


ModelT = TypeVar("ModelT", bound=Sized)


class _Entry(Generic[ModelT]):
    def __init__(self, url: str, model: ModelT) -> None:
        self.url = url
        self.model = model
        self.running = 0
        self.idle = asyncio.Event()
        self.idle.set()


class Registry(Generic[ModelT]):
    """Models by the platform's names.

    The platform decides which model goes: a container that dropped one by itself would answer 404 to
    callers of a model that the platform believes to be here.
    """

    def __init__(self, read: Callable[[str], ModelT], budget: int) -> None:
        self._read = read
        self._budget = budget
        self._used = 0
        # Least recently used first.
        self._entries: dict[str, _Entry[ModelT]] = {}
        self._loading: dict[str, asyncio.Task[None]] = {}

    async def load(self, name: str, url: str) -> None:
        """Load a model; of several callers at once the first loads it and the others are told so.

        Raises:
            AlreadyLoaded: the model is here, or came while this waited.
            OutOfMemory: it does not fit into what the others leave of the budget.
            LoadFailed: it cannot be read.
        """
        self._check_not_loaded(name)
        while name in self._loading:
            await asyncio.shield(self._loading[name])
            self._check_not_loaded(name)
        task = self._loading[name] = asyncio.create_task(self._load(name, url))
        await asyncio.shield(task)

    async def unload(self, name: str) -> None:
        """Forget a model at once, and return when nobody uses it any more.

        Raises:
            NotLoaded: it is not here.
        """
        entry = self._entry(name)
        del self._entries[name]
        await entry.idle.wait()
        self._used -= entry.model.size

    def url(self, name: str) -> str:
        """Return where a model was loaded from.

        Raises:
            NotLoaded: it is not here.
        """
        return self._entry(name).url

    def page(self, after: str, limit: int) -> list[tuple[str, str]]:
        """Return up to `limit` names and urls in the order of names, beginning after one of them."""
        names = sorted(name for name in self._entries if name > after)
        return [(name, self._entries[name].url) for name in names[:limit]]

    @contextmanager
    def lease(self, name: str) -> Iterator[ModelT]:
        """Hold a model so that it is not unloaded while it is used.

        Raises:
            NotLoaded: it is not here.
        """
        entry = self._entry(name)
        self._entries[name] = self._entries.pop(name)
        entry.running += 1
        entry.idle.clear()
        try:
            yield entry.model
        finally:
            entry.running -= 1
            if entry.running == 0:
                entry.idle.set()

    async def _load(self, name: str, url: str) -> None:
        try:
            model = await self._read_model(url)
            self._make_room(model.size)
            self._entries[name] = _Entry(url, model)
        finally:
            del self._loading[name]

    async def _read_model(self, url: str) -> ModelT:
        # In a thread: a slow disk must not keep /ping and the other models waiting.
        try:
            return await asyncio.to_thread(self._read, url)
        except MemoryError as error:
            raise OutOfMemory("the machine has no memory left for the model") from error

    def _make_room(self, size: int) -> None:
        if self._used + size > self._budget:
            coldest = next(iter(self._entries), None)
            raise OutOfMemory(
                f"the model takes {size} bytes, and {self._used} of {self._budget} are used;"
                f" the least recently used model is {coldest!r}"
            )
        self._used += size

    def _check_not_loaded(self, name: str) -> None:
        if name in self._entries:
            raise AlreadyLoaded(f"model {name!r} is already loaded")

    def _entry(self, name: str) -> _Entry[ModelT]:
        try:
            return self._entries[name]
        except KeyError:
            raise NotLoaded(f"model {name!r} is not loaded") from None
