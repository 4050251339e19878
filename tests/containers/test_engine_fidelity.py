"""Six hundred series, and real customers: the direct solver's log posterior is never below Prophet's."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from benchmarks.engine.fidelity import ADDITIVE, ALLOWANCE, MULTIPLICATIVE, driven
from benchmarks.engine.shapes import daily, hourly, irregular, odd, real
from tests.containers.posterior import log_posterior, stan_data

from fleetcast_engine import ProphetOptions, Series
from fleetcast_engine.errors import FitFailed
from fleetcast_engine.prophet.exact import Declined, fit_map
from fleetcast_engine.prophet.stock import fit_prophet

# Seeds that nothing was tuned on; the benchmark has those from 0 on.
FIRST = 7000

FLAT = ProphetOptions(growth="flat", seasonality_mode="multiplicative")

Case = tuple[Series, ProphetOptions]


def some_days(seed: int) -> Series:
    return daily(seed, int(np.random.default_rng(seed).integers(60, 800)))


def two_hundred_days(seed: int) -> Series:
    return daily(seed, 200)


def with_options(make: Callable[[int], Series], options: ProphetOptions) -> Callable[[int], Case]:
    return lambda seed: (make(seed), options)


# How many of each, and how many of those the solver may leave to Prophet.
KINDS: dict[str, tuple[Callable[[int], Case], int, int]] = {
    "days": (with_options(some_days, ADDITIVE), 200, 0),
    "short and odd": (with_options(odd, ADDITIVE), 150, 10),
    "irregular": (with_options(lambda seed: irregular(seed, 200, 1.4), ADDITIVE), 70, 0),
    "hours": (with_options(lambda seed: hourly(seed, 300), ADDITIVE), 30, 0),
    "multiplicative": (with_options(two_hundred_days, MULTIPLICATIVE), 60, 0),
    "multiplicative and odd": (with_options(lambda seed: odd(seed + 5000), MULTIPLICATIVE), 60, 40),
    "multiplicative and flat": (with_options(two_hundred_days, FLAT), 20, 0),
    "driven": (driven, 40, 0),
}


def gain(series: Series, options: ProphetOptions) -> float | None:
    """Return by how many nats ours is ahead; None where Prophet has to fit, or cannot."""
    try:
        ours, stock = fit_map(series, options), fit_prophet(series, options=options)
    except (Declined, FitFailed):
        return None
    data = stan_data(series, options)
    return log_posterior(ours, data) - log_posterior(stock, data)


@pytest.mark.parametrize("kind", KINDS)
def test_no_series_ends_below_prophet(kind: str) -> None:
    make, count, may_be_left = KINDS[kind]
    gains = {seed: gain(*make(seed)) for seed in range(FIRST, FIRST + count)}

    below = {seed: nats for seed, nats in gains.items() if nats is not None and not nats >= -ALLOWANCE}
    assert below == {}
    assert sum(nats is None for nats in gains.values()) <= may_be_left


def test_that_is_more_than_five_hundred() -> None:
    assert sum(count - left for _, count, left in KINDS.values()) > 500


@pytest.mark.realdata
@pytest.mark.parametrize("options", [ADDITIVE, MULTIPLICATIVE], ids=["additive", "multiplicative"])
@pytest.mark.parametrize("pattern", ["daily_*.csv.gz", "hourly_*.csv.gz"])
def test_no_real_customer_ends_below_prophet(real_data: Path, pattern: str, options: ProphetOptions) -> None:
    """The last year of days, and the last fortnight of hours: longer ones are the benchmark's."""
    rows = 365 if pattern.startswith("daily") else 336
    customers = list(islice(real(real_data, pattern), 0, None, 8))
    gains = {each.customer_id: gain(tail(each, rows), options) for each in customers}

    assert {name: nats for name, nats in gains.items() if nats is not None and not nats >= -ALLOWANCE} == {}
    assert sum(nats is not None for nats in gains.values()) > len(customers) / 3


def tail(series: Series, rows: int) -> Series:
    return Series.from_arrays(series.customer_id, series.timestamps[-rows:], series.values[-rows:])
