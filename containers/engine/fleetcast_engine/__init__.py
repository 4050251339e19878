"""One customer's forecasting model: find it, store it, load it, ask it. Knows no cloud and no container."""

from fleetcast_engine.artifact import load, pack, unpack
from fleetcast_engine.document import iso_time
from fleetcast_engine.fitting import ENGINES, Fit, fit, warm_up
from fleetcast_engine.forecasting import Forecast, forecast
from fleetcast_engine.model import FAMILIES, FittedModel, LoadedModel
from fleetcast_engine.prophet_json import from_prophet_json, to_prophet_json
from fleetcast_engine.prophet_options import ProphetOptions
from fleetcast_engine.series import Series
from fleetcast_engine.tuning import TrainSettings, train

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
