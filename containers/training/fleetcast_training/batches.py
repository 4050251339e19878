"""Batches of whole customers on their way to a worker: the rows lie in a file, the message names it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]

# A batch is closed at either; a customer with more rows is a batch of its own.
_MOST_ROWS = 131_072
_MOST_CUSTOMERS = 128
# The last batches become this much smaller than an even share, so that all workers end together.
_SHARES = 4


@dataclass(frozen=True)
class CustomerRows:
    """One customer's rows as the channel holds them.

    Attributes:
        timestamps: seconds since 1970 in UTC.
    """

    customer_id: str
    timestamps: _Ints
    values: _Floats


@dataclass(frozen=True)
class Batch:
    """Customers whose rows lie one after the other in a file: all timestamps, then all values.

    Attributes:
        path: the file with the rows.
        ends: for each customer, the number of rows up to its last one.
        first: the customer to begin with; those before it are done.
    """

    path: Path
    customer_ids: tuple[str, ...]
    ends: tuple[int, ...]
    first: int = 0

    def __len__(self) -> int:
        """Return how many customers there are, done or not."""
        return len(self.customer_ids)

    def load(self) -> list[CustomerRows]:
        """Return the customers that are to be trained; all of the batch is in memory from then on."""
        stored = np.fromfile(self.path, np.int64)
        timestamps, values = stored[: self.ends[-1]], stored[self.ends[-1] :].view(np.float64)
        places = range(self.first, len(self))
        return [
            CustomerRows(self.customer_ids[place], timestamps[rows], values[rows])
            for place, rows in zip(places, map(self._rows_of, places), strict=True)
        ]

    def rows_of(self, place: int) -> int:
        """Return how many rows the customer at this place has."""
        return self.ends[place] - (self.ends[place - 1] if place else 0)

    def _rows_of(self, place: int) -> slice:
        return slice(self.ends[place - 1] if place else 0, self.ends[place])

    def beginning_at(self, place: int) -> "Batch":
        """Return the same batch without the customers before a place."""
        return replace(self, first=place)


@dataclass
class Batches:
    """Spools customers into batches, each as long as is good at that point of the job.

    Attributes:
        remaining: says about how many customers are still to come.
    """

    directory: Path
    workers: int
    remaining: Callable[[], int]
    _made: int = 0
    _open: list[CustomerRows] = field(default_factory=list)

    def of(self, customers: Iterable[CustomerRows]) -> Iterator[Batch]:
        """Yield batches until the customers are used up."""
        rows = 0
        for customer in customers:
            if self._open and (
                rows + len(customer.values) > _MOST_ROWS or len(self._open) >= self._most_customers()
            ):
                yield self._close()
                rows = 0
            self._open.append(customer)
            rows += len(customer.values)
        if self._open:
            yield self._close()

    def _most_customers(self) -> int:
        return min(_MOST_CUSTOMERS, max(1, self.remaining() // (self.workers * _SHARES)))

    def _close(self) -> Batch:
        self._made += 1
        path = self.directory / f"batch-{self._made}"
        with path.open("wb") as file:
            file.writelines(customer.timestamps.data for customer in self._open)
            file.writelines(customer.values.data for customer in self._open)
        ends = np.cumsum([len(customer.values) for customer in self._open]).tolist()
        batch = Batch(path, tuple(customer.customer_id for customer in self._open), tuple(ends))
        self._open = []
        return batch
