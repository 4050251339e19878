"""Series of the shapes that the engine is measured on: made up, and real ones where there are any."""

import csv
import gzip
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from fleetcast_engine import Series
from fleetcast_engine.errors import NoValidRows

DAY = 86_400
START = 1_672_531_200  # 2023-01-01, a Sunday


def daily(seed: int, rows: int = 365) -> Series:
    return _metered(START + DAY * np.arange(rows, dtype=np.int64), seed)


def irregular(seed: int, rows: int = 1000, years: float = 2.0) -> Series:
    minutes = np.random.default_rng(seed).choice(int(years * 525_960), rows, replace=False)
    return _metered(START + 60 * np.sort(minutes).astype(np.int64), seed)


def hourly(seed: int, rows: int = 8760) -> Series:
    return _metered(START + 3600 * np.arange(rows, dtype=np.int64), seed)


def half_hourly(seed: int, rows: int = 8760) -> Series:
    return _metered(START + 1800 * np.arange(rows, dtype=np.int64), seed)


def _metered(timestamps: "np.ndarray[tuple[int], np.dtype[np.int64]]", seed: int) -> Series:
    """Return consumption of a made-up customer: a level with a few bends, a year, a week, a day and noise."""
    rng = np.random.default_rng(seed)
    days = (timestamps - START) / DAY
    bends = rng.uniform(0, days[-1], 3)
    level = 100 + rng.normal(0, 0.05) * days + np.maximum(days[:, None] - bends, 0) @ rng.normal(0, 0.15, 3)
    seasons = sum(
        size * np.sin(2 * np.pi * (days / period + rng.uniform()))
        for period, size in (
            (365.25, rng.uniform(0, 15)),
            (7, rng.uniform(2, 12)),
            (3.5, 4),
            (1, rng.uniform(2, 12)),
        )
    )
    noise = rng.normal(0, rng.uniform(1, 8), len(days))
    return Series.from_arrays(f"made-up-{seed}", timestamps, np.maximum(level + seasons + noise, 0))


def odd(seed: int) -> Series:
    """Return a series as customers have them: walks, bursts, zeros, gaps, and mostly too short."""
    rng = np.random.default_rng(seed)
    rows = int(rng.choice([3, 5, 8, 14, 15, 20, 31, 45, 60, 90, 99, 100, 150, 300, 700, 1100]))
    values = (
        500 + rng.normal(0, 5, rows).cumsum(),
        rng.lognormal(3, 1, rows),
        np.where(rng.random(rows) < 0.7, 0.0, rng.lognormal(1, 1, rows)),
        np.round(20 + 8 * np.sin(np.arange(rows) * 2 * np.pi / 7) + rng.normal(0, 2, rows)),
        np.where(np.arange(rows) < rows // 2, 10.0, 50.0) + rng.normal(0, 1, rows),
    )[int(rng.integers(5))]
    step = int(rng.choice([3600, DAY, DAY, DAY, 7 * DAY]))
    kept = (
        np.sort(rng.choice(int(rows * 1.3), rows, replace=False)) if rng.random() < 0.4 else np.arange(rows)
    )
    return Series.from_arrays(f"odd-{seed}", START + step * kept, values)


def real(folder: Path, pattern: str) -> Iterator[Series]:
    """Yield the customers of the gzipped CSV files that match."""
    for path in sorted(folder.glob(pattern)):
        with gzip.open(path, "rt", newline="") as file:
            rows = csv.reader(file)
            next(rows)
            for customer, group in groupby(rows, key=lambda row: row[0]):
                try:
                    yield _from_text(customer, list(group))
                except NoValidRows:
                    continue


def _from_text(customer: str, rows: list[list[str]]) -> Series:
    moments = np.array([row[1].removesuffix("Z") for row in rows], "datetime64[s]").astype(np.int64)
    values = np.array([float(row[2]) if row[2] else np.nan for row in rows])
    return Series.from_arrays(customer, moments, values)
