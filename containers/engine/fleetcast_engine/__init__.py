"""One customer's forecasting model: find it, store it, load it, ask it. Knows no cloud and no container."""

from fleetcast_engine.artifact.archive import load, pack, unpack
from fleetcast_engine.artifact.document import iso_time
from fleetcast_engine.choice.tuning import TrainSettings, train
from fleetcast_engine.forecasting import Forecast, forecast
from fleetcast_engine.history.series import Series
from fleetcast_engine.model import FAMILIES, FittedModel, LoadedModel
from fleetcast_engine.prophet.fitting import ENGINES, Fit, fit, warm_up
from fleetcast_engine.prophet.interchange import from_prophet_json, to_prophet_json
from fleetcast_engine.prophet.options import ProphetOptions

__all__ = [
    "ENGINES",
    "FAMILIES",
    "Fit",
    "FittedModel",
    "Forecast",
    "LoadedModel",
    "ProphetOptions",
    "Series",
    "TrainSettings",
    "fit",
    "forecast",
    "from_prophet_json",
    "iso_time",
    "load",
    "pack",
    "to_prophet_json",
    "train",
    "unpack",
    "warm_up",
]
