"""Reading all raw files into the spill: each file whole or not at all."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from fleetcast_processing.csv_rows import CsvRows, WrongEncoding, csv_passes
from fleetcast_processing.parquet_rows import ParquetRows
from fleetcast_processing.raw_files import RawFile, RejectedFile, kind_of
from fleetcast_processing.rows import to_rows
from fleetcast_processing.settings import Columns
from fleetcast_processing.spill import Spill

_BUFFER_BYTES = 16 * 1024 * 1024


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

    def __init__(self, spill: Spill, columns: Columns, zone: str) -> None:
        self.strays: Counter[str] = Counter()
        self._spill = spill
        self._columns = columns
        self._zone = zone
        self._finished: list[pa.RecordBatch] = []
        self._current: list[pa.RecordBatch] = []
        self._bytes = 0
        self._before_current: tuple[list[int], Counter[str]] | None = None

    def read(self, file: RawFile) -> FileReport:
        """Take in a file's rows; a file that cannot be used leaves no trace but its report."""
        try:
            source, rows = self._first_that_fits(_passes(file.path))
        except RejectedFile as rejection:
            return FileReport(file.key, "rejected", 0, str(rejection))
        self._keep_current()
        self.strays["malformed"] += source.malformed
        return FileReport(file.key, "read", rows + source.malformed, source.note)

    def finish(self) -> None:
        self._convert(self._finished)
        self._finished = []

    def _first_that_fits(self, passes: Sequence[CsvRows | ParquetRows]) -> tuple[CsvRows | ParquetRows, int]:
        for source in passes:
            try:
                return source, sum(self._add(batch) for batch in source.batches(self._columns))
            except WrongEncoding:
                self._forget_current()
            except BaseException:
                self._forget_current()
                raise
        raise RejectedFile("its bytes are not text in the encoding that its first bytes announce")

    def _add(self, batch: pa.RecordBatch) -> int:
        self._current.append(batch)
        self._bytes += batch.nbytes
        if self._bytes > _BUFFER_BYTES:
            self._convert_all()
        return int(batch.num_rows)

    def _convert_all(self) -> None:
        self.finish()
        if self._before_current is None:
            self._before_current = (self._spill.mark(), self.strays.copy())
        self._convert(self._current)
        self._current, self._bytes = [], 0

    def _keep_current(self) -> None:
        self._finished += self._current
        self._current, self._before_current = [], None

    def _forget_current(self) -> None:
        if self._before_current:
            mark, self.strays = self._before_current
            self._spill.rewind(mark)
        self._bytes -= sum(batch.nbytes for batch in self._current)
        self._current, self._before_current = [], None

    def _convert(self, batches: list[pa.RecordBatch]) -> None:
        for _, alike in groupby(batches, key=lambda batch: batch.schema):
            rows, strays = to_rows(pa.Table.from_batches(list(alike)), self._zone)
            self.strays += strays
            if len(rows.codes):
                self._spill.append(rows)


def _passes(path: Path) -> Sequence[CsvRows | ParquetRows]:
    kind = kind_of(path)
    return [ParquetRows(path)] if kind == "parquet" else csv_passes(path, kind)
