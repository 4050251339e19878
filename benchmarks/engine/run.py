"""Fitting alone, next to stock Prophet: three shapes, interleaved, by one process and by two, fidelity beside speed."""

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.pool import Pool
from statistics import median
from typing import Any

import numpy as np
from benchmarks.engine.shapes import daily, hourly, irregular
from benchmarks.record import record, versions_of
from tests.containers.posterior import log_posterior, stan_data

from fleetcast_engine import Series, fit, warm_up
from fleetcast_engine.prophet.exact import fit_map
from fleetcast_engine.prophet.kernel.solver import maximum as interpreted
from fleetcast_engine.prophet.stock import import_prophet

# Shape, how many fits stock Prophet makes between two turns of ours, and how many ours makes.
SHAPES: dict[str, tuple[Callable[[int], Series], int, int]] = {
    "365 daily": (daily, 12, 6000),
    "1,000 irregular over 2 years": (irregular, 6, 1600),
    "8,760 hourly": (hourly, 2, 800),
}
# More different series than this do not change the picture; they are fitted again and again.
DIFFERENT = 40


def stock_fits(shape: str, count: int, first: int) -> float:
    """Return the seconds that stock Prophet takes for some fits; its data frames are made beforehand."""
    prophet, data_frame = import_prophet()
    frames = [
        data_frame({"ds": series.timestamps.astype("datetime64[s]"), "y": series.values})
        for series in _some(shape, count, first)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        began = time.perf_counter()
        for frame in frames:
            prophet().fit(frame)
        return time.perf_counter() - began


def our_fits(shape: str, count: int, first: int) -> float:
    return _timed(_some(shape, min(count, DIFFERENT), first), count)


def numpy_fits(shape: str, count: int, first: int) -> float:
    return _timed(_some(shape, min(count, DIFFERENT), first), count, interpreted)


def _timed(series: Sequence[Series], count: int, solver: Any = None) -> float:
    for each in series[:2]:
        fit_map(each, solver=solver)
    began = time.perf_counter()
    for i in range(count):
        fit_map(series[i % len(series)], solver=solver)
    return time.perf_counter() - began


def _some(shape: str, count: int, first: int) -> list[Series]:
    make = SHAPES[shape][0]
    return [make(first + i) for i in range(count)]


def by_two(pool: Pool, fits: Callable[[str, int, int], float], shape: str, count: int) -> float:
    """Return the seconds in which two processes together make `count` fits."""
    return max(pool.starmap(fits, [(shape, count // 2, 0), (shape, count // 2, 1000)], chunksize=1))


def by_threads(shape: str, count: int) -> float:
    halves = (_some(shape, DIFFERENT, 0), _some(shape, DIFFERENT, 1000))
    with ThreadPoolExecutor(2) as threads:
        began = time.perf_counter()
        list(threads.map(_timed, halves, [count // 2] * 2))
        return time.perf_counter() - began


def measure(pool: Pool, shape: str, repeats: int) -> dict[str, float]:
    _, stock_count, our_count = SHAPES[shape]
    rates: dict[str, list[float]] = {}
    for _ in range(repeats):  # interleaved, so that a busy machine is unfair to all
        for name, seconds, count in (
            ("stock", stock_fits(shape, stock_count, 0), stock_count),
            ("ours", our_fits(shape, our_count, 0), our_count),
            ("numpy", numpy_fits(shape, our_count // 40, 0), our_count // 40),
            ("stock by two", by_two(pool, stock_fits, shape, 2 * stock_count), 2 * stock_count),
            ("ours by two", by_two(pool, our_fits, shape, 2 * our_count), 2 * our_count),
            ("ours by two threads", by_threads(shape, 2 * our_count), 2 * our_count),
        ):
            rates.setdefault(name, []).append(count / seconds)
    ratios = [a / b for a, b in zip(rates["ours"], rates["stock"], strict=True)]
    twos = [a / b for a, b in zip(rates["ours by two"], rates["stock by two"], strict=True)]
    return {
        "stock Prophet, models/s": round(median(rates["stock"]), 2),
        "ours, models/s": round(median(rates["ours"])),
        "times as fast": round(median(ratios)),
        "numpy alone, models/s": round(median(rates["numpy"])),
        "stock Prophet, 2 processes, models/s": round(median(rates["stock by two"]), 2),
        "ours, 2 processes, models/s": round(median(rates["ours by two"])),
        "ours, 2 threads, models/s": round(median(rates["ours by two threads"])),
        "times as fast, 2 processes": round(median(twos)),
        **_fidelity(_some(shape, stock_count, 0)),
    }


def _fidelity(several: Sequence[Series]) -> dict[str, float]:
    gains, apart = [], []
    for series in several:
        ours, stock = fit(series).model, fit(series, engine="prophet").model
        data, future = stan_data(series), series.timeline.future(28)
        gains.append(log_posterior(ours, data) - log_posterior(stock, data))
        difference = ours.predict(future, series.timeline) - stock.predict(future, series.timeline)
        apart.append(100 * float(np.abs(difference).max()) / stock.scale)
    return {
        "smallest gain, nats": float(f"{min(gains):.3g}"),
        "largest forecast difference, % of scale": float(f"{max(apart):.2g}"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    warm_up()
    import_prophet()
    with get_context("spawn").Pool(2, warm_up) as pool:
        figures = {shape: measure(pool, shape, arguments.repeats) for shape in SHAPES}
    record("engine", figures, versions_of("prophet", "numpy", "numba"))


if __name__ == "__main__":
    main()
