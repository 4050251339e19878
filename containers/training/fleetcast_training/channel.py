"""The `series` channel, one customer at a time: memory holds a batch of rows and never the channel."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_COLUMNS = ("customer_id", "timestamp", "consumption")
_BATCH_ROWS = 65_536
_Arrays = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class CustomerRows:
    """One customer's rows as the channel holds them.

    Attributes:
        timestamps: seconds since 1970 in UTC.
    """

    customer_id: str
    timestamps: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]


class Channel:
    """The Parquet objects that SageMaker laid into the channel's folder; the folder may be missing.

    Attributes:
        unreadable: a sentence for each object that could not be read; grows while the customers are read.
    """

    def __init__(self, directory: Path) -> None:
        self._objects = sorted(directory.rglob("*.parquet"))
        self.unreadable: list[str] = []

    @property
    def is_empty(self) -> bool:
        """Whether this host was given no object at all."""
        return not self._objects

    def count(self) -> int:
        """Return the number of customers; reads the column of ids only."""
        return sum(_count_in(path) for path in self._objects)

    def customers(self) -> Iterator[CustomerRows]:
        """Yield each customer once, whole, in the order of the objects."""
        for path in self._objects:
            try:
                yield from _customers_in(path)
            except (pa.ArrowException, OSError) as error:
                reason = (str(error).splitlines() or [""])[0]
                self.unreadable.append(f"{path.name} cannot be read as prepared series: {reason}")


def _count_in(path: Path) -> int:
    previous, count = None, 0
    # Reading the rows will meet the same error and report it.
    with suppress(pa.ArrowException, OSError, KeyError), pq.ParquetFile(path) as parquet:
        for batch in parquet.iter_batches(_BATCH_ROWS, columns=["customer_id"]):
            for customer_id, _, _ in _runs(batch):
                count += customer_id != previous
                previous = customer_id
    return count


def _customers_in(path: Path) -> Iterator[CustomerRows]:
    with pq.ParquetFile(path) as parquet:
        missing = set(_COLUMNS) - set(parquet.schema_arrow.names)
        if missing:
            raise pa.ArrowInvalid(f"column {', '.join(sorted(missing))} is missing")
        current: str | None = None
        pieces: list[_Arrays] = []
        for batch in parquet.iter_batches(_BATCH_ROWS, columns=list(_COLUMNS)):
            for customer_id, first, rows in _runs(batch):
                if customer_id != current and pieces:
                    yield _joined(current, pieces)
                    pieces = []
                current = customer_id
                pieces.append(_arrays(batch.slice(first, rows)))
        if pieces:
            yield _joined(current, pieces)


def _runs(batch: Any) -> Iterator[tuple[str, int, int]]:
    """Yield id, first row and number of rows of each stretch of rows with one id."""
    runs = pc.run_end_encode(batch.column("customer_id").cast(pa.string()))
    first = 0
    for customer_id, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        if customer_id is not None:
            yield customer_id, first, end - first
        first = end


def _arrays(batch: Any) -> _Arrays:
    batch = batch.filter(pc.is_valid(batch.column("timestamp")))
    moments = batch.column("timestamp").cast(pa.timestamp("s", "UTC"), safe=False)
    values = batch.column("consumption").cast(pa.float64())
    return moments.cast(pa.int64()).to_numpy(), values.to_numpy(zero_copy_only=False)


def _joined(customer_id: str | None, pieces: list[_Arrays]) -> CustomerRows:
    timestamps, values = zip(*pieces, strict=True)
    return CustomerRows(str(customer_id), np.concatenate(timestamps), np.concatenate(values))
