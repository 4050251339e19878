"""Reading all raw files into the spill: each file whole or not at all."""

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from fleetcast_processing.csv_rows import CsvRows
from fleetcast_processing.parquet_rows import ParquetRows
from fleetcast_processing.raw_files import RawFile, RejectedFile, kind_of
from fleetcast_processing.rows import to_rows
from fleetcast_processing.settings import Columns
from fleetcast_processing.spill import Spill

_BUFFER_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class FileReport:
    key: str
    status: str
    rows: int
    reason: str | None
    """Why it was rejected; for a file that was read, what had to be assumed to read it."""

    def as_json(self) -> dict[str, Any]:
        return vars(self)


class Intake:
    """Gathers batches of many files before converting them, and can forget the file it is reading."""

    def __init__(self, spill: Spill, columns: Columns, zone: str, latest: int) -> None:
        self.strays: Counter[str] = Counter()
        self.bad_cells: dict[str, str] = {}
        """The first cell that could not be used, of every customer who may turn out to have no usable row."""
        self._bad_cells_of_current: dict[str, str] = {}
        self._spill = spill
        self._columns = columns
        self._zone = zone
        self._latest = latest
        self._finished: list[pa.RecordBatch] = []
        self._current: list[pa.RecordBatch] = []
        self._bytes = 0
        self._strays_before_current: Counter[str] | None = None

    def read(self, file: RawFile) -> FileReport:
        """Take in a file's rows; a file that cannot be used leaves no trace but its report."""
        try:
            source = self._source(file.path)
            rows = self._read_whole(source)
        except RejectedFile as rejection:
            return FileReport(file.key, "rejected", 0, str(rejection))
        self._keep_current()
        self.strays["malformed"] += source.malformed
        return FileReport(file.key, "read", rows + source.malformed, source.note)

    def finish(self) -> None:
        self._convert(self._finished, self.bad_cells)
        self._finished = []

    def _source(self, path: Path) -> CsvRows | ParquetRows:
        kind = kind_of(path)
        if kind == "parquet":
            return ParquetRows(path)
        # Where clocks are changed, every timestamp deserves a look.
        return CsvRows(path, kind, self._latest if self._zone == "UTC" else None)

    def _read_whole(self, source: CsvRows | ParquetRows) -> int:
        try:
            return sum(self._add(batch) for batch in source.batches(self._columns))
        except BaseException:
            self._forget_current()
            raise

    def _add(self, batch: pa.RecordBatch) -> int:
        self._current.append(batch)
        self._bytes += batch.nbytes
        if self._bytes > _BUFFER_BYTES:
            self._convert_all()
        return int(batch.num_rows)

    def _convert_all(self) -> None:
        self.finish()
        if self._strays_before_current is None:
            self._spill.mark()
            self._strays_before_current = self.strays.copy()
        self._convert(self._current, self._bad_cells_of_current)
        self._current, self._bytes = [], 0

    def _keep_current(self) -> None:
        self._finished += self._current
        _add_missing(self.bad_cells, self._bad_cells_of_current)
        self._start_next()

    def _forget_current(self) -> None:
        if self._strays_before_current is not None:
            self.strays = self._strays_before_current
            self._spill.rewind()
        self._bytes -= sum(batch.nbytes for batch in self._current)
        self._start_next()

    def _start_next(self) -> None:
        self._current, self._strays_before_current, self._bad_cells_of_current = [], None, {}

    def _convert(self, batches: list[pa.RecordBatch], bad_cells: dict[str, str]) -> None:
        for _, alike in groupby(batches, key=lambda batch: batch.schema):
            taken = to_rows(pa.Table.from_batches(list(alike)), self._zone, self._latest)
            self.strays += taken.strays
            _add_missing(bad_cells, taken.bad_cells)
            if len(taken.rows.codes):
                self._spill.append(taken.rows)


def _add_missing(bad_cells: dict[str, str], later: dict[str, str]) -> None:
    for customer, cell in later.items():
        bad_cells.setdefault(customer, cell)
