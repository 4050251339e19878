"""The reference data set: as many customers as asked for, every value known in advance by its seed."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from fleetcast.errors import RequestError
from fleetcast_cli.synth_defects import Calendar, Case, Float64, Readings, defects_for

Frequency = Literal["daily", "hourly"]

FIRST_DAY = date(2023, 1, 1)
LARGEST_VALUE = 1000.0
BROKEN_ONE_IN = 20
UNREADABLE_FILE = "unreadable.csv.gz"

_YEAR = 365.25
_COLUMNS = ["customer_id", "timestamp", "consumption"]


@dataclass
class SynthReport:
    start: date
    end: date
    files: list[Path] = field(default_factory=list)
    """Readable files, in the order of the customers."""
    customers: int = 0
    rows: int = 0
    defects: dict[str, str] = field(default_factory=dict)
    """Customer id → what is wrong with that customer."""
    unreadable: Path | None = None
    """A file that is no data at all."""


def generate(  # noqa: PLR0913 - what a data set is made of, all by name
    out: Path,
    *,
    customers: int = 1000,
    days: int = 730,
    start: date | None = None,
    end: date | None = None,
    seed: int = 0,
    frequency: Frequency = "daily",
    defects: bool = False,
    customers_per_file: int = 100,
    progress: Callable[[int, int], None] | None = None,
) -> SynthReport:
    """Write gzip CSV files of made-up consumption into a folder.

    Customers are 0, 1, … and independent of each other: customer 17 has the same readings in a fleet of 20 and of
    20,000. With defects, every twentieth is broken in the next of the ways of `synth_defects`.

    Args:
        out: The folder; it is made if need be.
        customers: How many.
        days: The length of each series, unless both start and end are given.
        start: The first day; without it, 2023-01-01, or what `days` before `end` is.
        end: The last day, inclusive.
        seed: The same seed gives the same bytes.
        frequency: One reading a day or one an hour.
        defects: Whether to break some customers and to add a file that cannot be read.
        customers_per_file: The most customers in one file.
        progress: Called with customers done and customers in all.

    Raises:
        RequestError: An argument is out of bounds.
    """
    first, last = _span(start, end, days)
    _check_counts(customers=customers, customers_per_file=customers_per_file)
    out.mkdir(parents=True, exist_ok=True)
    fleet = _Fleet(first, last, frequency, seed, broken=defects)
    report = SynthReport(first, last)
    for low in range(0, customers, customers_per_file):
        high = min(low + customers_per_file, customers)
        fleet.write(out / f"customers-{low:05d}-{high - 1:05d}.csv.gz", range(low, high), report)
        if progress:
            progress(high, customers)
    if defects:
        report.unreadable = out / UNREADABLE_FILE
        report.unreadable.write_bytes(np.random.default_rng(seed).bytes(4096))
    return report


def _span(start: date | None, end: date | None, days: int) -> tuple[date, date]:
    if days < 1:
        raise RequestError(f"days must be at least 1, not {days}", "days")
    length = timedelta(days=days - 1)
    try:
        first = start or (end - length if end else FIRST_DAY)
        last = end or first + length
    except OverflowError:
        raise RequestError(f"{days} days do not fit into the calendar", "days") from None
    if last < first:
        raise RequestError(f"end must not be before start: {last} is before {first}", "end")
    return first, last


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise RequestError(f"{name} must be at least 1, not {count}", name)


class _Fleet:
    """Makes the readings of any customer, by number."""

    def __init__(self, first: date, last: date, frequency: Frequency, seed: int, *, broken: bool) -> None:
        step = np.timedelta64(1, "D" if frequency == "daily" else "h")
        moments = np.arange(
            np.datetime64(first, "s"), np.datetime64(last, "s") + np.timedelta64(1, "D"), step
        )
        self._calendar = Calendar(moments, 1 if frequency == "daily" else 24)
        self._texts = pa.array(np.datetime_as_string(moments, unit="D" if frequency == "daily" else "s"))
        self._days = np.arange(len(moments)) / self._calendar.per_day
        self._day_of_epoch = float(moments[0].astype("datetime64[D]").astype(np.int64))
        self._seed = seed
        self._defects = list(defects_for(self._calendar.per_day).items()) if broken else []

    def write(self, path: Path, numbers: range, report: SynthReport) -> None:
        tables = [self._table(self._customer(number, report)) for number in numbers]
        # No time and no name inside: the same seed gives the same bytes.
        with path.open("wb") as raw, gzip.GzipFile("", "wb", 4, raw, mtime=0) as packed:
            packed.write(",".join(_COLUMNS).encode() + b"\n")
            options = arrow_csv.WriteOptions(include_header=False, quoting_style="none")
            arrow_csv.write_csv(pa.concat_tables(tables), packed, options)
        report.files.append(path)
        report.customers += len(numbers)
        report.rows += sum(table.num_rows for table in tables)

    def _customer(self, number: int, report: SynthReport) -> Readings:
        # A stream of its own for each customer: its readings do not depend on how many others there are.
        rng = np.random.default_rng([self._seed, number])
        readings = Readings(str(number), np.arange(len(self._days)), self._consumption(rng))
        turn, place = divmod(number, BROKEN_ONE_IN)
        if not self._defects or place != BROKEN_ONE_IN - 1:
            return readings
        name, defect = self._defects[turn % len(self._defects)]
        broken = defect(readings, Case(rng, self._calendar, number, turn // len(self._defects)))
        report.defects[broken.customer_id] = name
        return broken

    def _consumption(self, rng: np.random.Generator) -> Float64:
        days = self._days
        level, growth = rng.uniform(100, 500), rng.uniform(-0.2, 0.4)
        shape = 1 + growth * days / max(days[-1], 365.0)
        shape += self._wave(rng, 7.0, (0.05, 0.25)) + self._wave(rng, _YEAR, (0.1, 0.4))
        if self._calendar.per_day > 1:
            shape += self._wave(rng, 1.0, (0.1, 0.4))
        noise = rng.normal(0.0, rng.uniform(0.02, 0.08), len(days))
        values: Float64 = np.round(np.clip(level * (shape + noise), 0.0, LARGEST_VALUE), 3)
        return values

    def _wave(self, rng: np.random.Generator, period: float, amplitude: tuple[float, float]) -> Float64:
        angle = 2 * np.pi * ((self._days + self._day_of_epoch) / period + rng.uniform())
        wave: Float64 = rng.uniform(*amplitude) * np.sin(angle)
        return wave

    def _table(self, readings: Readings) -> pa.Table:
        cells = pa.array(readings.values).cast(pa.string())
        if readings.texts:
            cells = pa.array([readings.texts.get(row, cell) for row, cell in enumerate(cells.to_pylist())])
        ids = pa.repeat(readings.customer_id, len(cells))
        return pa.table([ids, self._texts.take(pa.array(readings.places)), cells], names=_COLUMNS)
