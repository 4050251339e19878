"""A model of each kind that an artifact can hold; the golden files hold just these, and their numbers are made up."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from tests.containers.engine_support import DAY, HOUR, START, Floats

from fleetcast_engine import FittedModel
from fleetcast_engine.choice.mix import LEVELS, MixModel
from fleetcast_engine.choice.naive import NaiveModel
from fleetcast_engine.history.timeline import Timeline
from fleetcast_engine.model import Metrics, Parameters
from fleetcast_engine.prophet.model import Holiday, ProphetModel, Regressor, Seasonality

ROWS = 730
SPAN = (ROWS - 1) * DAY
END = START + SPAN
YEARLY = Seasonality("yearly", 365.25, 10, multiplicative=False)
WEEKLY = Seasonality("weekly", 7.0, 3, multiplicative=False)
FORTNIGHTLY = Seasonality("fortnightly", 14.0, 2, multiplicative=True)
_BETA = np.array([0.01, -0.02, 0.03, 0.1, -0.1, 1 / 3])


def fitted(family: str, parameters: Parameters, timeline: Timeline | None = None) -> FittedModel:
    """Return the parameters with all that surrounds them in an artifact."""
    return FittedModel(
        customer_id="Ünï ¢ode/7",
        run_id="r20260131020000-0a1b2c",
        family=family,
        parameters=parameters,
        timeline=timeline or Timeline("daily", DAY, END),
        training_start=START,
        trained_at=1_769_824_800,
        horizon=28,
        metrics=Metrics(7.5, 9.25, 26),
        nonnegative=True,
    )


def prophet(seasonalities: tuple[Seasonality, ...] = (WEEKLY,), **fields: object) -> ProphetModel:
    """Return a model whose changepoints lie where no rule puts them, unless given."""
    columns = 2 * sum(seasonality.order for seasonality in seasonalities)
    given: dict[str, object] = {
        "start": START,
        "span": SPAN,
        "rows": ROWS,
        "scale": 214.5,
        "k": 0.25,
        "m": 0.5,
        "changepoints": START + np.arange(1, 4) * 100 * DAY,
        "delta": np.array([0.125, -0.3, 1e-9]),
        "seasonalities": seasonalities,
        "beta": np.resize(_BETA, columns),
        "sigma": 0.05,
        **fields,
    }
    return ProphetModel(**given)  # type: ignore[arg-type]


def automatic() -> ProphetModel:
    """Return a model with all that Prophet chooses by itself for two years of days."""
    rows = np.linspace(0, np.floor(ROWS * 0.8) - 1, 26).round()[1:]
    return prophet(
        (YEARLY, WEEKLY),
        changepoints=START + DAY * rows.astype(np.int64),
        delta=np.where(np.arange(25) % 3, 0.0, np.linspace(-0.1, 0.2, 25)),
    )


def mix(steps: int = 28, tail: ProphetModel | NaiveModel | None = None) -> MixModel:
    """Return a mix whose path lies above its tail by a tenth, and wiggles a little."""
    tail = tail or automatic()
    timeline = Timeline("daily", DAY, END)
    long_run = tail.predict(timeline.future(steps), timeline)
    path = long_run * 1.1 + 2 * np.sin(np.arange(steps))
    blocks = np.arange(1, 5) * steps // 4
    quantiles = np.linspace(1, 2, len(blocks))[:, None] * np.linspace(-9, 11, len(LEVELS))
    return MixModel.of(
        path=path,
        blocks=blocks,
        quantiles=quantiles,
        season=7,
        long_run=tail,
        members=(("ridge", "level 3"), ("naive",)),
    )


def remixed(model: MixModel, **fields: Any) -> MixModel:
    """Return the mix with another path, other quantiles or another tail."""
    names = ("path", "blocks", "quantiles", "season", "long_run", "members")
    return MixModel.of(**{name: getattr(model, name) for name in names} | fields)


def of_each_kind() -> Mapping[str, FittedModel]:
    """Return the models by name."""
    days = START // DAY
    holidays = (
        Holiday("newyear", 0, (days, days + 365, days + 731), multiplicative=False),
        Holiday("newyear", 1, (days + 1, days + 366, days + 732), multiplicative=True),
    )
    regressors = (Regressor("temperature", 11.5, 6.25, multiplicative=False),)
    hours = Timeline("hourly", HOUR, START + 8759 * HOUR)
    return {
        "prophet": fitted("prophet", automatic()),
        "corrected": fitted("prophet_corrected", prophet(correction=-1.75)),
        "multiplicative": fitted("prophet", prophet((WEEKLY, FORTNIGHTLY), beta=np.resize(_BETA, 10))),
        "holidays": fitted("prophet", prophet(beta=np.r_[_BETA, 0.25, -0.125], holidays=holidays)),
        "regressors": fitted("prophet", prophet(beta=np.r_[_BETA, 0.5], regressors=regressors)),
        "logistic": fitted("prophet", prophet(growth="logistic", cap=300.0, floor=10.0)),
        "naive": fitted("seasonal_naive", NaiveModel(np.arange(1.0, 8.0) / 3, 0.5)),
        "naive of a week of half hours": fitted(
            "seasonal_naive", NaiveModel(np.arange(336) / 3, 0.5), Timeline("30min", 1800, END)
        ),
        "mix": fitted("mix", mix()),
        "mix over a naive": fitted(
            "mix",
            MixModel.of(
                path=np.linspace(1, 2, 168),
                blocks=np.array([24, 168]),
                quantiles=np.resize(np.linspace(-1, 1, len(LEVELS)), (2, len(LEVELS))),
                season=24,
                long_run=NaiveModel(np.arange(168.0), 2.0),
                members=(("naive",),),
            ),
            hours,
        ),
    }


def regressors_for(model: FittedModel, steps: int) -> dict[str, Floats]:
    """Return future values for each regressor of the model."""
    parameters = model.parameters
    names = [r.name for r in parameters.regressors] if isinstance(parameters, ProphetModel) else []
    return {name: 10 + np.arange(steps) / 7 for name in names}
