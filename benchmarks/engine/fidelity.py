"""The direct solver next to stock Prophet on hundreds of series: the posterior must never be lower.

With FLEETCAST_REALDATA set, the real customers there are among them.
"""

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from benchmarks.engine.shapes import daily, hourly, irregular, odd, real
from benchmarks.record import record, versions_of
from tests.containers.posterior import log_posterior, stan_data
from tests.containers.prophet_features import FAIR, FEAST, MONTHLY, known, with_regressors

from fleetcast_engine import ProphetOptions, Series, fit, warm_up
from fleetcast_engine.errors import FitFailed

# What Prophet may be ahead by before it counts: neither side has more digits.
ALLOWANCE = 1e-6
STEPS = 28


@dataclass(frozen=True)
class Verdict:
    """How far ours is ahead, in nats; what it forecasts differently, as a share of the largest value."""

    customer_id: str
    kind: str
    engine: str
    gain: float
    difference: float


Case = tuple[str, Series, ProphetOptions]
ADDITIVE, MULTIPLICATIVE = ProphetOptions(), ProphetOptions(seasonality_mode="multiplicative")
EVERYTHING = ProphetOptions(holidays=(FEAST, FAIR), seasonalities=(MONTHLY,))


def cases(made_up: int) -> Iterator[Case]:
    for kind, series in _series(made_up):
        yield kind, series, ADDITIVE
        # Hours take stock Prophet a second each; the other shapes say as much.
        if "hourly" not in kind:
            yield f"{kind}, multiplicative", series, MULTIPLICATIVE
    for seed in range(made_up):
        yield "driven by holidays and regressors", *driven(seed)


def driven(seed: int) -> tuple[Series, ProphetOptions]:
    """Return a customer whom holidays, a month, degrees and discounts move, one way or another."""
    series, rng = daily(seed, 300), np.random.default_rng(seed)
    modes = rng.choice(["additive", "multiplicative"], 3)
    options = replace(EVERYTHING, holidays_mode=modes[0], growth=str(rng.choice(["linear", "flat"])))
    return series, with_regressors(options, series, temperature=str(modes[1]), discount=str(modes[2]))


def _series(made_up: int) -> Iterator[tuple[str, Series]]:
    for seed in range(made_up):
        yield "365 daily", daily(seed)
        yield "1,000 irregular", irregular(seed)
        yield "short and odd", odd(2 * seed)
        yield "short and odd", odd(2 * seed + 1)
        if seed % 5 == 0:
            yield "8,760 hourly", hourly(seed)
    folder = os.environ.get("FLEETCAST_REALDATA")
    if folder:
        yield from (("real, daily", series) for series in real(Path(folder), "daily_*.csv.gz"))
        yield from (("real, hourly", series) for series in real(Path(folder), "hourly_*.csv.gz"))


def judge(case: Case) -> Verdict | None:
    kind, series, options = case
    try:
        ours, stock = fit(series, options), fit(series, options, engine="prophet").model
    except FitFailed:
        return None
    data = stan_data(series, options)
    gain = log_posterior(ours.model, data) - log_posterior(stock, data) if ours.engine == "map" else 0.0
    future = series.timeline.future(STEPS)
    ahead = known(future)
    forecasts = [model.predict(future, series.timeline, ahead) for model in (ours.model, stock)]
    apart = np.abs(forecasts[0] - forecasts[1])
    return Verdict(series.customer_id, kind, ours.engine, gain, float(apart.max()) / stock.scale)


def summary(verdicts: list[Verdict]) -> dict[str, float]:
    direct = [verdict for verdict in verdicts if verdict.engine == "map"]
    gains, apart = [verdict.gain for verdict in direct], [verdict.difference for verdict in direct]
    return {
        "series": len(verdicts),
        "left to stock Prophet": len(verdicts) - len(direct),
        "below Prophet": sum(gain < -ALLOWANCE for gain in gains),
        "smallest gain, nats": float(f"{min(gains):.3g}"),
        "median gain, nats": float(f"{np.median(gains):.3g}"),
        f"median difference {STEPS} steps ahead, % of scale": float(f"{100 * np.median(apart):.2g}"),
        f"largest difference {STEPS} steps ahead, % of scale": float(f"{100 * max(apart):.3g}"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--made-up", type=int, default=130, help="series of each made-up shape")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    with get_context("spawn").Pool(arguments.processes, warm_up) as pool:
        answers = list(pool.imap_unordered(judge, cases(arguments.made_up), chunksize=4))
    verdicts = sorted(filter(None, answers), key=lambda verdict: verdict.customer_id)
    kinds = sorted({verdict.kind for verdict in verdicts})
    figures = {kind: summary([verdict for verdict in verdicts if verdict.kind == kind]) for kind in kinds}
    record("engine_fidelity", figures | {"all": summary(verdicts)}, versions_of("prophet", "numpy", "numba"))
    below = [verdict for verdict in verdicts if verdict.gain < -ALLOWANCE]
    for verdict in below:
        print(f"below Prophet: {verdict}")
    raise SystemExit(1 if below else 0)


if __name__ == "__main__":
    main()
