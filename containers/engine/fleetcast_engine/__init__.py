"""One customer's forecasting model: find it, store it, load it, ask it. Knows no cloud and no container."""

from fleetcast_engine.artifact.archive import decode, load, pack, read_document, unpack
from fleetcast_engine.artifact.moments import iso_time
from fleetcast_engine.artifact.prophet_export import to_prophet_json
from fleetcast_engine.artifact.prophet_import import from_prophet_json
from fleetcast_engine.choice.choosing import Candidate, Choice, choose
from fleetcast_engine.choice.settings import TrainSettings
from fleetcast_engine.choice.tuning import train
from fleetcast_engine.forecasting import Forecast, components, forecast
from fleetcast_engine.history.cleaning import Cleaned, clean
from fleetcast_engine.history.coarser import COARSER
from fleetcast_engine.history.grid import Grid
from fleetcast_engine.history.repairs import Repairs
from fleetcast_engine.history.series import Series
from fleetcast_engine.model import FAMILIES, FittedModel, LoadedModel
from fleetcast_engine.prophet.fitting import ENGINES, Fit, fit, warm_up
from fleetcast_engine.prophet.options import CustomSeasonality, ExtraRegressor, Holidays, ProphetOptions

__all__ = [
    "COARSER",
    "ENGINES",
    "FAMILIES",
    "Candidate",
    "Choice",
    "Cleaned",
    "CustomSeasonality",
    "ExtraRegressor",
    "Fit",
    "FittedModel",
    "Forecast",
    "Grid",
    "Holidays",
    "LoadedModel",
    "ProphetOptions",
    "Repairs",
    "Series",
    "TrainSettings",
    "choose",
    "clean",
    "components",
    "decode",
    "fit",
    "forecast",
    "from_prophet_json",
    "iso_time",
    "load",
    "pack",
    "read_document",
    "to_prophet_json",
    "train",
    "unpack",
    "warm_up",
]
