"""The kept rows of all customers between grouping and writing: any customer can be picked out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from fleetcast_processing.rows import Float64
from fleetcast_processing.series import Series
from fleetcast_processing.timestamps import Int64

_HELD_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class StoredSeries:
    """Some customers, and where their rows are: in which part, and where in it they start."""

    customer_ids: pa.Array
    rows: Int64
    part: Int64
    start: Int64
    parts: dict[int, tuple[Int64, Float64]]


class SeriesStore:
    """Parts of plain numbers: in memory while they are few, else in files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts: dict[int, tuple[Int64, Float64]] = {}
        self._held_bytes = 0

    @property
    def rows(self) -> int:
        return sum(len(values) for _, values in self._parts.values())

    def put(self, number: int, series: Series) -> pa.Table:
        """Store the rows as a part; return the customers with its number."""
        instants, values = series.instants, series.values
        self._held_bytes += instants.nbytes + values.nbytes
        if self._held_bytes > _HELD_BYTES and len(values):
            instants.tofile(self._folder / f"instants-{number}")
            values.tofile(self._folder / f"values-{number}")
            instants = np.memmap(self._folder / f"instants-{number}", dtype=np.int64, mode="r")
            values = np.memmap(self._folder / f"values-{number}", dtype=np.float64, mode="r")
        self._parts[number] = (instants, values)
        return series.customers.append_column("part", pa.array(np.full(len(series.customers), number)))

    def of(self, customers: pa.Table) -> StoredSeries:
        return StoredSeries(
            customer_ids=customers.column("customer_id").combine_chunks(),
            rows=customers.column("rows_kept").to_numpy(),
            part=customers.column("part").to_numpy(),
            start=customers.column("start").to_numpy(),
            parts=self._parts,
        )
