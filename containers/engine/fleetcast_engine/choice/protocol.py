"""How good forecasts are on rows that were held back: one protocol for the benchmark and for `fleetcast backtest`.

From each of several origins before a customer's last row, every method forecasts as if the rest had not happened yet.
Errors are compared with those of "the same step last cycle": the same weekday, or hour of the week, one week before.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean, median
from types import MappingProxyType

import numpy as np

from fleetcast_engine.choice.rhythm import RHYTHMS
from fleetcast_engine.choice.settings import TrainSettings
from fleetcast_engine.choice.tuning import train
from fleetcast_engine.choice.windows import last_of_cycle, repeat, windows
from fleetcast_engine.errors import EngineError
from fleetcast_engine.forecasting import forecast
from fleetcast_engine.history.grid import Grid
from fleetcast_engine.history.series import Series
from fleetcast_engine.history.timeline import DAY, IRREGULAR, Floats, Timeline
from fleetcast_engine.model import LoadedModel
from fleetcast_engine.prophet.fitting import fit

OURS, OUR_PROPHET, PROPHET_DEFAULTS = "fleetcast", "fleetcast, Prophet only", "Prophet, defaults"
LAST_CYCLE, MEAN_OF_FOUR = "last week", "mean of four weeks"
INTERVAL = 0.8
# Days before the last row at which forecasts are made, where a day or less is a step.
ORIGINS_IN_DAYS = (28, 88, 148)
_CYCLES = 12
# History before an origin, in cycles; fewer say nothing about a method.
_LEAST_CYCLES = 8
_LEAST_KNOWN = 0.5


@dataclass(frozen=True)
class Outcome:
    """What one method's forecast from one origin was worth over its first `horizon` steps.

    Attributes:
        origin: steps from the origin to the last row.
        mae: mean absolute error, in the customer's unit.
        naive_mae: that of the same step last cycle.
        smape: mean of 200 |forecast - actual| / (|forecast| + |actual|), in percent.
        mase: mae over the mean difference between a value and the one a cycle before it, in the history.
        coverage: share of values within the 80 % interval; NaN where the method gives none.
        interval_score: of the 80 % interval, in the same unit as mase (Gneiting and Raftery, 2007).
    """

    customer_id: str
    method: str
    origin: int
    horizon: int
    mae: float
    naive_mae: float
    smape: float
    mase: float
    coverage: float
    interval_score: float


@dataclass(frozen=True)
class Prediction:
    """A forecast of consecutive steps; bounds are NaN where there are none."""

    yhat: Floats
    lower: Floats
    upper: Floats


Method = Callable[[Series, TrainSettings, int], Prediction]


@dataclass(frozen=True)
class _Plan:
    settings: TrainSettings
    horizons: tuple[int, ...]
    methods: tuple[str, ...]


@dataclass(frozen=True)
class _Truth:
    actual: Floats
    naive: Floats
    usual_change: float


def usual_plan(timeline: Timeline) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the protocol's origins and horizons, in steps of a frequency."""
    rhythm = RHYTHMS[timeline.frequency]
    origins = tuple(max(1, days * DAY // timeline.seconds) for days in ORIGINS_IN_DAYS)
    return origins, rhythm.blocks


def evaluate(
    series: Series,
    settings: TrainSettings,
    origins: Sequence[int] = (),
    horizons: Sequence[int] = (),
    methods: Sequence[str] = (OURS, LAST_CYCLE, MEAN_OF_FOUR),
) -> list[Outcome]:
    """Hold rows back and return what each method made of the others.

    Args:
        series: of a regular frequency; an irregular one has no outcome.
        settings: for the methods that choose; `horizon` need not cover `horizons`.
        origins: steps before the last row; the usual ones where empty. Those with too little history before them,
            or with too few rows after them, are left out; for all methods, where one of them has no forecast.
        horizons: in steps, increasing; the usual ones where empty.
        methods: keys of METHODS.
    """
    if series.frequency == IRREGULAR:
        return []
    usual_origins, usual_horizons = usual_plan(series.timeline)
    grid = Grid.of(series)
    plan = _Plan(settings, tuple(horizons or usual_horizons), tuple(methods))
    return [row for origin in origins or usual_origins for row in _from_origin(series, grid, origin, plan)]


def summary(outcomes: Iterable[Outcome]) -> dict[tuple[str, int], dict[str, float]]:
    """Return the fleet's figures by method and horizon: geometric mean of relative errors, medians, shares."""
    grouped: dict[tuple[str, int], dict[str, list[Outcome]]] = defaultdict(lambda: defaultdict(list))
    for outcome in outcomes:
        grouped[outcome.method, outcome.horizon][outcome.customer_id].append(outcome)
    return {key: _figures(list(customers.values())) for key, customers in grouped.items()}


def relative_mae(rows: Sequence[Outcome]) -> float:
    """Return one customer's error over the naive's, all origins together; NaN where one of them is zero."""
    ours, naive = sum(row.mae for row in rows), sum(row.naive_mae for row in rows)
    return ours / naive if ours > 0 and naive > 0 else float("nan")


def _figures(customers: list[list[Outcome]]) -> dict[str, float]:
    shares = np.array([share for rows in customers if not np.isnan(share := relative_mae(rows))])
    smape = [mean(row.smape for row in rows) for rows in customers]
    mase = [value for rows in customers if np.isfinite(value := mean(row.mase for row in rows))]
    coverage = [mean(row.coverage for row in rows) for rows in customers]
    score = [value for rows in customers if np.isfinite(value := mean(row.interval_score for row in rows))]
    return {
        "customers": len(shares),
        "relMAE": float(np.exp(np.log(shares).mean())) if len(shares) else float("nan"),
        "beats last week, %": float(100 * (shares < 1).mean()) if len(shares) else float("nan"),
        "sMAPE median": median(smape),
        "sMAPE mean": mean(smape),
        "MASE median": median(mase) if mase else float("nan"),
        "MASE mean": mean(mase) if mase else float("nan"),
        "coverage of 80 %": mean(coverage),
        "interval score": mean(score) if score else float("nan"),
    }


def _from_origin(series: Series, grid: Grid, origin: int, plan: _Plan) -> list[Outcome]:
    cycle, now, longest = RHYTHMS[series.frequency].cycle, len(grid) - origin, plan.horizons[-1]
    actual = grid.values[now : now + longest]
    known = np.flatnonzero(~np.isnan(grid.values[: max(now, 0)]))
    enough = all((~np.isnan(actual[:steps])).sum() >= _LEAST_KNOWN * steps for steps in plan.horizons)
    if not enough or len(known) < _LEAST_CYCLES * cycle or known[-1] < now - cycle:
        return []
    past = series.head(int(np.searchsorted(series.timeline.steps_to(series.timestamps), 1 - origin)))
    # A forecast begins right after the last row, which need not be where the origin is.
    gap = now - 1 - int(known[-1])
    naive = _last_cycle(past, plan.settings, gap + longest).yhat[gap:]
    truth = _Truth(actual, naive, _usual_change(grid.values[:now], cycle))
    outcomes: list[Outcome] = []
    for name in plan.methods:
        try:
            whole = METHODS[name](past, plan.settings, gap + longest)
        except EngineError:
            # An origin that one method does not survive would be missing from its average alone.
            return []
        predicted = Prediction(whole.yhat[gap:], whole.lower[gap:], whole.upper[gap:])
        for steps in plan.horizons:
            worth = _worth(predicted, truth, steps)
            outcomes.append(Outcome(series.customer_id, name, origin, steps, *worth))
    return outcomes


def _worth(predicted: Prediction, truth: _Truth, steps: int) -> tuple[float, ...]:
    """Return an outcome's figures, in its order."""
    scale = truth.usual_change
    seen = ~np.isnan(truth.actual[:steps]) & ~np.isnan(truth.naive[:steps])
    values, yhat = truth.actual[:steps][seen], predicted.yhat[:steps][seen]
    lower, upper = predicted.lower[:steps][seen], predicted.upper[:steps][seen]
    missed = np.abs(yhat - values)
    size = np.abs(yhat) + np.abs(values)
    outside = np.maximum(lower - values, 0) + np.maximum(values - upper, 0)
    score = upper - lower + 2 / (1 - INTERVAL) * outside
    mae = float(missed.mean())
    naive_mae = float(np.abs(truth.naive[:steps][seen] - values).mean())
    smape = float(200 * np.mean(missed / np.where(size > 0, size, 1.0)))
    mase = mae / scale if scale else float("nan")
    if np.isnan(lower).any():
        return mae, naive_mae, smape, mase, float("nan"), float("nan")
    coverage = float(((values >= lower) & (values <= upper)).mean())
    return mae, naive_mae, smape, mase, coverage, float(score.mean()) / scale if scale else float("nan")


def _usual_change(values: Floats, cycle: int) -> float:
    changes = np.abs(values[cycle:] - values[:-cycle])
    known = changes[~np.isnan(changes)]
    return float(known.mean()) if len(known) else 0.0


def _ours(past: Series, settings: TrainSettings, steps: int) -> Prediction:
    found = forecast(LoadedModel(train(past, settings), 0), steps, interval=INTERVAL)
    return Prediction(found.yhat, found.lower, found.upper)


def _our_prophet(past: Series, settings: TrainSettings, steps: int) -> Prediction:
    return _ours(past, replace(settings, families="prophet"), steps)


def _prophet_defaults(past: Series, settings: TrainSettings, steps: int) -> Prediction:
    """Fit Prophet as most people do: its defaults, the rows as they come."""
    model, when = fit(past, engine=settings.engine).model, past.timeline.future(steps)
    yhat = model.predict(when, past.timeline)
    return Prediction(yhat, *model.bounds(when, yhat, past.timeline, INTERVAL))


def _last_cycle(past: Series, _: TrainSettings, steps: int) -> Prediction:
    return _mean_of_cycles(past, 1, steps)


def _mean_of_four(past: Series, _: TrainSettings, steps: int) -> Prediction:
    return _mean_of_cycles(past, 4, steps)


def _mean_of_cycles(past: Series, count: int, steps: int) -> Prediction:
    cycle, values = RHYTHMS[past.frequency].cycle, Grid.of(past).values
    seen = windows(values, np.array([len(values) - 1]), _CYCLES * cycle).reshape(1, _CYCLES, cycle)
    yhat = repeat(last_of_cycle(seen, count), steps)[0]
    nothing = np.full(steps, np.nan)
    return Prediction(yhat, nothing, nothing)


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        OURS: _ours,
        OUR_PROPHET: _our_prophet,
        PROPHET_DEFAULTS: _prophet_defaults,
        LAST_CYCLE: _last_cycle,
        MEAN_OF_FOUR: _mean_of_four,
    }
)
