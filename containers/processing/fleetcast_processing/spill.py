"""Rows partitioned by customer, in memory while they are few, else on disk: how more data than memory is grouped."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fleetcast_processing.rows import Rows

MAX_PARTITIONS = 256
_HELD_BYTES = 64 * 1024 * 1024
_SCHEMA = pa.schema(
    [
        ("customer", pa.dictionary(pa.int32(), pa.string())),
        ("instant", pa.int64()),
        ("value", pa.float64()),
    ]
)
_REPEAT = pa.field("repeat", pa.int64())


class _Partition:
    """Batches of rows: the earlier ones in a file, if there is one, the later ones in memory."""

    def __init__(self, path: Path) -> None:
        self.held: list[pa.RecordBatch] = []
        self._path = path
        self._size = 0
        self._marked_held = self._marked_size = 0

    def mark(self) -> None:
        self._marked_held, self._marked_size = len(self.held), self._size

    def rewind(self) -> None:
        del self.held[self._marked_held :]
        if self._size > self._marked_size:
            with self._path.open("r+b") as file:
                self._size = file.truncate(self._marked_size)

    def write_out(self) -> None:
        """Move what is held to the file; a mark stays between the same two rows."""
        before, after = self.held[: self._marked_held], self.held[self._marked_held :]
        with self._path.open("ab") as file:
            if before:
                _write(before, file)
                self._marked_size = file.tell()
            if after:
                _write(after, file)
            self._size = file.tell()
        self.held, self._marked_held = [], 0

    def tables(self) -> Iterator[pa.Table]:
        if self._size:
            with pa.OSFile(str(self._path)) as file:
                while file.tell() < self._size:
                    yield pa.ipc.open_stream(file).read_all()
        for batch in self.held:
            yield pa.Table.from_batches([batch])


def _write(batches: list[pa.RecordBatch], file: BinaryIO) -> None:
    # A stream of its own, with its own dictionary, so that `rewind` can cut after it.
    table = _joined([pa.Table.from_batches([batch]) for batch in batches])
    with pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)


def _joined(tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables, promote_options="default").unify_dictionaries().combine_chunks()


class Spill:
    """Partitions that only grow; a customer's rows are all in one of them, in reading order.

    Attributes:
        on_disk: whether some of the rows are in files.
    """

    def __init__(self, folder: Path, partitions: int) -> None:
        self.partitions = partitions
        self.on_disk = False
        self._partitions = [_Partition(folder / f"partition-{number:03d}") for number in range(partitions)]
        self._held_bytes = 0

    def mark(self) -> None:
        """Remember what there is now, for `rewind`."""
        for partition in self._partitions:
            partition.mark()

    def rewind(self) -> None:
        """Forget everything appended since the mark."""
        for partition in self._partitions:
            partition.rewind()

    def append(self, rows: Rows) -> None:
        home = self._homes(rows.customers)
        by_home = np.argsort(home, kind="stable")
        # Renumbered in this order, the customers of a partition are one slice of the dictionary.
        customers = rows.customers.take(pa.array(by_home))
        rank = np.empty(len(by_home), dtype=np.int32)
        rank[by_home] = np.arange(len(by_home), dtype=np.int32)
        row_home = home[rows.codes]
        order = np.argsort(row_home, kind="stable")
        last_customer = np.cumsum(np.bincount(home, minlength=self.partitions))
        last_row = np.cumsum(np.bincount(row_home, minlength=self.partitions))
        for number in np.unique(home):
            low = last_customer[number - 1] if number else 0
            part = rows.only(order[last_row[number - 1] if number else 0 : last_row[number]])
            local = pa.DictionaryArray.from_arrays(
                pa.array(rank[part.codes] - np.int32(low)), customers[low : last_customer[number]]
            )
            self._hold(int(number), local, part)
        if self._held_bytes > _HELD_BYTES:
            self._write_out()

    def _homes(self, customers: pa.Array) -> npt.NDArray[np.uint8]:
        homes = (zlib.crc32(customer.encode()) % self.partitions for customer in customers.to_pylist())
        return np.fromiter(homes, dtype=np.uint8, count=len(customers))

    def _hold(self, number: int, customers: pa.DictionaryArray, rows: Rows) -> None:
        columns: list[Any] = [customers, rows.instants, rows.values]
        schema = _SCHEMA
        if rows.repeats is not None:
            columns, schema = [*columns, rows.repeats], schema.append(_REPEAT)
        batch = pa.record_batch(columns, schema=schema)
        self._partitions[number].held.append(batch)
        self._held_bytes += batch.nbytes

    def _write_out(self) -> None:
        for partition in self._partitions:
            partition.write_out()
        self.on_disk, self._held_bytes = True, 0

    def read(self, number: int) -> Rows:
        """Return all rows of a partition in reading order."""
        table = _joined([_SCHEMA.empty_table(), *self._partitions[number].tables()])
        customers = (
            table.column("customer").chunk(0) if table.num_rows else pa.array([], _SCHEMA.field(0).type)
        )
        repeats = table.column("repeat").fill_null(0).to_numpy() if "repeat" in table.column_names else None
        return Rows(
            customers=customers.dictionary,
            codes=customers.indices.to_numpy(),
            instants=table.column("instant").to_numpy(),
            values=table.column("value").to_numpy(),
            repeats=repeats,
        )
