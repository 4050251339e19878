"""How good the forecasts are on real data: three origins per customer, next to the naives and Prophet's defaults."""

import argparse
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from benchmarks.engine.shapes import real
from benchmarks.record import record, versions_of

from fleetcast_engine import Series, TrainSettings, warm_up
from fleetcast_engine.choice.backtest import run_backtest
from fleetcast_engine.choice.protocol import METHODS, ORIGINS_IN_DAYS, Outcome, evaluate, summary
from fleetcast_engine.choice.selection import MEMBERS, select
from fleetcast_engine.errors import EngineError
from fleetcast_engine.history.cleaning import clean
from fleetcast_engine.history.timeline import Floats

SETTINGS = TrainSettings("accuracy", trained_at=0)
KINDS = ("daily", "hourly")
# What a data scientist might turn until the table looks best.
SEVERAL_MEMBERS, POWERS = (2, MEMBERS, 5), (0.5, 1.0, 2.0)


def measure(path: Path) -> tuple[list[Outcome], list[Series]]:
    """Return all outcomes of a file and its customers."""
    found: list[Outcome] = []
    fleet = list(real(path.parent, path.name))
    for i, series in enumerate(fleet):
        found += evaluate(series, SETTINGS, methods=tuple(METHODS))
        if i % 10 == 9 or i + 1 == len(fleet):
            print(f"{path.name}: {i + 1} of {len(fleet)}", file=sys.stderr, flush=True)
    return found, fleet


def table(title: str, outcomes: Iterable[Outcome]) -> dict[str, dict[str, float | None]]:
    return {
        f"{title}, {horizon} steps: {method}": {
            name: None if np.isnan(value) else round(value, 3) for name, value in figures.items()
        }
        for (method, horizon), figures in sorted(summary(outcomes).items(), key=lambda item: item[0][::-1])
    }


def split_half(fleet: Sequence[Series]) -> dict[str, float]:
    """Choose members and how fast origins fade on one half of the customers, measure on the other, both ways.

    The difference from what was best on the measured half itself is what choosing on it would have flattered.
    """
    errors: dict[tuple[int, float], dict[str, list[tuple[float, float]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for series in fleet:
        for days in ORIGINS_IN_DAYS:
            for setting, pair in _errors_by_setting(series, days).items():
                errors[setting][series.customer_id].append(pair)
    halves = [{setting: _share(found, half) for setting, found in errors.items()} for half in (0, 1)]
    best = [min(figures, key=figures.__getitem__) for figures in halves]
    return {
        "relMAE, settings as shipped": round(_mean(halves[h][MEMBERS, 1.0] for h in (0, 1)), 4),
        "relMAE, settings chosen on the same half": round(_mean(halves[h][best[h]] for h in (0, 1)), 4),
        "relMAE, settings chosen on the other half": round(_mean(halves[h][best[1 - h]] for h in (0, 1)), 4),
        "relMAE, worst settings": round(_mean(max(halves[h].values()) for h in (0, 1)), 4),
    }


def _share(by_customer: dict[str, list[tuple[float, float]]], half: int) -> float:
    """Return relMAE over the half of the customers."""
    ours = [pairs for customer, pairs in by_customer.items() if zlib.crc32(customer.encode()) % 2 == half]
    sums = [np.sum(pairs, axis=0) for pairs in ours]
    return float(np.exp(np.mean([np.log(a / b) for a, b in sums if a > 0 and b > 0])))


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _errors_by_setting(series: Series, days: int) -> dict[tuple[int, float], tuple[float, float]]:
    """Return ours and the naive's mean absolute error over the horizon, by setting."""
    steps = days * 86_400 // series.timeline.seconds
    rows = int(np.searchsorted(series.timeline.steps_to(series.timestamps), 1 - steps))
    if rows < len(series) // 4:
        return {}
    past = series.head(rows)
    try:
        backtest = run_backtest(clean(past), SETTINGS)
    except EngineError:
        return {}
    actual = _following(series, past, backtest.past.horizon)
    known = ~np.isnan(actual)
    if known.sum() < len(known) / 2:
        return {}
    naive = backtest.forecasts[backtest.names.index("naive1"), 0]
    found = {}
    for members, power in product(SEVERAL_MEMBERS, POWERS):
        mix = select(replace(backtest, weights=backtest.weights**power), members)
        found[members, power] = tuple(
            float(np.abs(each - actual)[known].mean()) for each in (mix.path, naive)
        )
    return found  # type: ignore[return-value]


def _following(series: Series, past: Series, horizon: int) -> Floats:
    actual = np.full(horizon, np.nan)
    steps = past.timeline.steps_to(series.timestamps)
    inside = (steps >= 1) & (steps <= horizon)
    actual[steps[inside] - 1] = series.values[inside]
    return actual


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of daily_*.csv.gz and hourly_*.csv.gz"
    )
    arguments = parser.parse_args()
    warm_up()
    overall: dict[str, dict[str, float | None]] = {}
    by_file: dict[str, dict[str, float | None]] = {}
    halves: dict[str, dict[str, float | None]] = {}
    for kind in KINDS:
        outcomes, everyone = [], []
        for path in sorted(arguments.data.glob(f"{kind}_*.csv.gz")):
            found, fleet = measure(path)
            by_file |= table(path.name.removesuffix(".csv.gz"), found)
            outcomes += found
            everyone += fleet
        if outcomes:
            overall |= table(kind, outcomes)
            halves[kind] = dict(split_half(everyone))
    for figures in (by_file, overall, halves):
        show(figures)
    versions = versions_of("prophet", "numpy", "numba")
    record("engine-accuracy", overall, versions)
    record("engine-accuracy-by-file", by_file, versions)
    record("engine-accuracy-split-half", halves, versions)


def show(figures: dict[str, dict[str, float | None]]) -> None:
    for case, row in figures.items():
        print(f"{case:<60}" + ", ".join(f"{name} {value}" for name, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
