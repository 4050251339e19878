"""What a loaded model takes of memory."""

from collections.abc import Sequence

from fleetcast_engine.artifact.prophet_parameters import StoredProphet
from fleetcast_engine.choice.mix import MixModel
from fleetcast_engine.choice.naive import NaiveModel
from fleetcast_engine.model import FittedModel, Parameters
from fleetcast_engine.prophet.model import Holiday, ProphetModel, Regressor

# Measured on models that share nothing, rounded up: Python's objects and the arrays' headers.
_MODEL_BYTES = 600
_MIX_BYTES = 320
_STORED_BYTES = 200
_NAIVE_BYTES = 300
_PROPHET_BYTES = 1500
_FACTOR_BYTES = 200
_TERM_BYTES = 300
_DAY_BYTES = 40


def size_of(model: FittedModel) -> int:
    """Return a bound of the bytes that a model takes once it has answered; what models share is not in it."""
    return _MODEL_BYTES + 4 * len(model.customer_id) + _parameters_size(model.parameters)


def _parameters_size(parameters: Parameters) -> int:
    if isinstance(parameters, MixModel):
        return _mix_size(parameters)
    if isinstance(parameters, NaiveModel):
        return _NAIVE_BYTES + parameters.season.nbytes
    return _prophet_size(parameters)


def _mix_size(mix: MixModel) -> int:
    stored = mix.long_run
    if not isinstance(stored, StoredProphet):
        return _MIX_BYTES + mix.path_singles.nbytes + mix.quantile_singles.nbytes + _parameters_size(mix.tail)
    own = _MIX_BYTES + _STORED_BYTES + len(stored.block)
    rare = stored.rare
    return own + _terms_size(rare.get("holidays", ()), rare.get("regressors", ())) if rare else own


def _prophet_size(model: ProphetModel) -> int:
    # Once it has answered it has its coefficients twice, or three times where some multiply the trend.
    factors = any(seasonality.multiplicative for seasonality in model.seasonalities)
    arrays = model.changepoints.nbytes + model.delta.nbytes + (2 + factors) * model.beta.nbytes
    own = _PROPHET_BYTES + _FACTOR_BYTES * factors + arrays
    return own + _terms_size(model.holidays, model.regressors)


def _terms_size(holidays: Sequence[Holiday], regressors: Sequence[Regressor]) -> int:
    days = sum(len(holiday.days) for holiday in holidays)
    return _TERM_BYTES * (len(holidays) + len(regressors)) + _DAY_BYTES * days
