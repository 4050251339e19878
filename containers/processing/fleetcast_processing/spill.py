"""Rows on disk, partitioned by customer: how more data than memory is grouped."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fleetcast_processing.rows import Rows

MAX_PARTITIONS = 256
_SCHEMA = pa.schema(
    [
        ("customer", pa.dictionary(pa.int32(), pa.string())),
        ("instant", pa.int64()),
        ("repeat", pa.int64()),
        ("value", pa.float64()),
    ]
)


class Spill:
    """Append-only partition files; a customer's rows are all in one of them, in reading order."""

    def __init__(self, folder: Path, partitions: int) -> None:
        self.partitions = partitions
        self._files = [(folder / f"partition-{number:03d}").open("wb") for number in range(partitions)]

    def close(self) -> None:
        for file in self._files:
            file.close()

    def mark(self) -> list[int]:
        """Return the present lengths, for `rewind`."""
        return [file.tell() for file in self._files]

    def rewind(self, mark: list[int]) -> None:
        """Forget everything appended since the mark."""
        for file, size in zip(self._files, mark, strict=True):
            file.seek(size)
            file.truncate()

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
            picked = order[last_row[number - 1] if number else 0 : last_row[number]]
            local = pa.DictionaryArray.from_arrays(
                pa.array(rank[rows.codes[picked]] - np.int32(low)), customers[low : last_customer[number]]
            )
            self._write(
                int(number), [local, rows.instants[picked], rows.repeats[picked], rows.values[picked]]
            )

    def _homes(self, customers: pa.Array) -> npt.NDArray[np.uint8]:
        homes = (zlib.crc32(customer.encode()) % self.partitions for customer in customers.to_pylist())
        return np.fromiter(homes, dtype=np.uint8, count=len(customers))

    def _write(self, number: int, columns: list[Any]) -> None:
        # Each batch is a stream of its own, with its own dictionary, so that `rewind` can cut anywhere.
        with pa.ipc.new_stream(self._files[number], _SCHEMA) as stream:
            stream.write_batch(pa.record_batch(columns, schema=_SCHEMA))

    def read(self, number: int) -> Rows:
        """Return all rows of a partition in reading order."""
        self._files[number].flush()
        with pa.OSFile(self._files[number].name) as file:
            tables, size = [_SCHEMA.empty_table()], file.size()
            while file.tell() < size:
                tables.append(pa.ipc.open_stream(file).read_all())
        table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
        customers = (
            table.column("customer").chunk(0) if table.num_rows else pa.array([], _SCHEMA.field(0).type)
        )
        return Rows(
            customers=customers.dictionary,
            codes=customers.indices.to_numpy(),
            instants=table.column("instant").to_numpy(),
            repeats=table.column("repeat").to_numpy(),
            values=table.column("value").to_numpy(),
        )
