"""The kept rows of all customers on disk, between grouping and writing: any customer can be picked out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from fleetcast_processing.rows import Float64
from fleetcast_processing.series import Series
from fleetcast_processing.timestamps import Int64


@dataclass(frozen=True)
class StoredSeries:
    """Some customers, and where their rows are."""

    customer_ids: pa.Array
    rows: Int64
    start: Int64
    instants: Int64
    values: Float64


class SeriesStore:
    """Two files of plain numbers; rows are found by their position."""

    def __init__(self, folder: Path) -> None:
        self.rows = 0
        self._instants = folder / "instants"
        self._values = folder / "values"

    def append(self, series: Series) -> pa.Table:
        """Store the rows; return the customers with `start` counted from the beginning of the store."""
        for path, numbers in ((self._instants, series.instants), (self._values, series.values)):
            with path.open("ab") as file:
                numbers.tofile(file)
        place = series.customers.schema.get_field_index("start")
        starts = series.customers.column("start").to_numpy() + self.rows
        self.rows += len(series.instants)
        return series.customers.set_column(place, "start", pa.array(starts))

    def of(self, customers: pa.Table) -> StoredSeries:
        return StoredSeries(
            customer_ids=customers.column("customer_id").combine_chunks(),
            rows=customers.column("rows_kept").to_numpy(),
            start=customers.column("start").to_numpy(),
            instants=np.memmap(self._instants, dtype=np.int64, mode="r"),
            values=np.memmap(self._values, dtype=np.float64, mode="r"),
        )
