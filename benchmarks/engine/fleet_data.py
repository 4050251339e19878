"""Raw CSV files for the fleet's benchmark, written quickly and a little at a time."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from fleetcast_engine import Series

COLUMNS = ["customer_id", "timestamp", "consumption"]
_CUSTOMERS_PER_FILE = 1000
_DAY = 86_400


def write_shape(path: Path, make: Callable[[int], Series], seeds: Iterable[int]) -> None:
    """Write one customer per seed into one file."""
    tables = [
        _table(str(seed), series.timestamps, series.values) for seed in seeds for series in (make(seed),)
    ]
    _write(path, pa.concat_tables(tables))


def write_fleet(folder: Path, customers: int, days: int) -> None:
    """Write daily customers into as many files as are usual; each has its own level, trend, week, year and noise."""
    moments = 1_672_531_200 + _DAY * np.arange(days, dtype=np.int64)
    for first in range(0, customers, _CUSTOMERS_PER_FILE):
        numbers = range(first, min(first + _CUSTOMERS_PER_FILE, customers))
        tables = [_table(str(number), moments, _values(number, days)) for number in numbers]
        _write(folder / f"customers-{first:06d}.csv", pa.concat_tables(tables))


def _values(number: int, days: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    rng = np.random.default_rng(number)
    day = np.arange(days)
    shape = 1 + rng.uniform(-0.2, 0.4) * day / 365
    for period, most in ((7.0, 0.2), (365.25, 0.3)):
        shape = shape + rng.uniform(0.05, most) * np.sin(2 * np.pi * (day / period + rng.uniform()))
    noise = rng.normal(0, rng.uniform(0.02, 0.08), days)
    return np.round(rng.uniform(100, 500) * np.maximum(shape + noise, 0), 3)


def _table(customer: str, moments: np.ndarray, values: np.ndarray) -> pa.Table:  # type: ignore[type-arg]
    daily = bool((moments % _DAY == 0).all())
    texts = np.datetime_as_string(moments.astype("datetime64[s]"), unit="D" if daily else "s")
    return pa.table([pa.repeat(customer, len(values)), pa.array(texts), np.round(values, 3)], names=COLUMNS)


def _write(path: Path, table: pa.Table) -> None:
    arrow_csv.write_csv(table, path, arrow_csv.WriteOptions(quoting_style="none"))
