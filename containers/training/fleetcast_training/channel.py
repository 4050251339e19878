"""The `series` channel, one customer at a time: memory holds a few thousand rows and never the channel."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fleetcast_training.batches import CustomerRows

_COLUMNS = ("customer_id", "timestamp", "consumption")
_BATCH_ROWS = 65_536
_Arrays = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]


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
    with suppress(pa.ArrowException, OSError, KeyError), _open(path) as parquet:
        for batch in parquet.iter_batches(_BATCH_ROWS, columns=["customer_id"]):
            for customer_id, _, _ in _runs(batch):
                count += customer_id != previous
                previous = customer_id
    return count


def _open(path: Path) -> pq.ParquetFile:
    # Ids as numbers into a dictionary: comparing the texts of a million rows would take as long as fitting.
    return pq.ParquetFile(path, read_dictionary=["customer_id"])


def _customers_in(path: Path) -> Iterator[CustomerRows]:
    with _open(path) as parquet:
        missing = set(_COLUMNS) - set(parquet.schema_arrow.names)
        if missing:
            raise pa.ArrowInvalid(f"column {', '.join(sorted(missing))} is missing")
        current: str | None = None
        pieces: list[_Arrays] = []
        for batch in parquet.iter_batches(_BATCH_ROWS, columns=list(_COLUMNS)):
            timestamps, values = _arrays(batch)
            for customer_id, first, end in _runs(batch):
                if customer_id != current and pieces:
                    yield _joined(current, pieces)
                    pieces = []
                current = customer_id
                pieces.append((timestamps[first:end], values[first:end]))
        if pieces:
            yield _joined(current, pieces)


def _runs(batch: Any) -> Iterator[tuple[str, int, int]]:
    """Yield id, first row and the row after the last of each stretch of rows with one id."""
    column = batch.column("customer_id")
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    names = column.dictionary.cast(pa.string()).to_pylist()
    codes = column.indices.fill_null(-1).to_numpy()
    starts = np.flatnonzero(np.diff(codes, prepend=-2)).tolist()
    for first, end in zip(starts, [*starts[1:], len(codes)], strict=True):
        if codes[first] >= 0:
            yield names[codes[first]], first, end


def _arrays(batch: Any) -> _Arrays:
    moments = batch.column("timestamp").cast(pa.timestamp("s", "UTC"), safe=False).cast(pa.int64())
    values = batch.column("consumption").cast(pa.float64()).to_numpy(zero_copy_only=False)
    if moments.null_count:
        # A row without a moment is none that a model can use; a value that is not a number says so.
        values = np.where(pc.is_null(moments).to_numpy(zero_copy_only=False), np.nan, values)
        moments = moments.fill_null(0)
    return moments.to_numpy(), values


def _joined(customer_id: str | None, pieces: list[_Arrays]) -> CustomerRows:
    if len(pieces) == 1:
        return CustomerRows(str(customer_id), *pieces[0])
    timestamps, values = zip(*pieces, strict=True)
    return CustomerRows(str(customer_id), np.concatenate(timestamps), np.concatenate(values))
