"""A trained model with everything that is known about it."""

from dataclasses import dataclass, field
from typing import Final

from fleetcast_engine.choice.mix import MixModel
from fleetcast_engine.choice.naive import NaiveModel
from fleetcast_engine.history.repairs import Repairs
from fleetcast_engine.history.timeline import Timeline
from fleetcast_engine.prophet.model import ProphetModel

PROPHET: Final = "prophet"
PROPHET_CORRECTED: Final = "prophet_corrected"
MIX: Final = "mix"
SEASONAL_NAIVE: Final = "seasonal_naive"
FAMILIES: Final = (PROPHET, PROPHET_CORRECTED, MIX, SEASONAL_NAIVE)

Parameters = ProphetModel | MixModel | NaiveModel


@dataclass(frozen=True, slots=True)
class Metrics:
    """The backtest's verdict: mean absolute error of the model and of the naive, over `origins` cuts."""

    mae: float
    naive_mae: float
    origins: int


@dataclass(frozen=True, slots=True)
class FittedModel:
    """One customer's model.

    Attributes:
        trained_at: seconds since 1970 in UTC, like every time here.
        horizon: rows that the backtest forecast from each origin.
        repairs: what was done to the data before a model learned from it, for the ledger; not stored, and None where
            nobody looked.
        engine: who fitted it, "map" or "prophet"; not stored, and None where nothing was fitted.
        remark: what went wrong on the way to a usable model, for the ledger; not stored.
    """

    customer_id: str
    run_id: str
    family: str
    parameters: Parameters
    timeline: Timeline
    training_start: int
    trained_at: int
    horizon: int
    metrics: Metrics
    nonnegative: bool
    remark: str | None = None
    engine: str | None = field(default=None, compare=False)
    repairs: Repairs | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model read back from its artifact, ready to forecast.

    Attributes:
        size: bytes of memory that it takes.
    """

    model: FittedModel
    size: int
