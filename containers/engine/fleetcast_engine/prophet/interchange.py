"""Models to and from the JSON of `prophet.serialize`, without Prophet: ours open there, and theirs here."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from fleetcast_engine.artifact.fields import Fields
from fleetcast_engine.choice.naive import NaiveModel
from fleetcast_engine.errors import BadParameters, NotAModel, NotExportable
from fleetcast_engine.history.timeline import Floats
from fleetcast_engine.model import FittedModel
from fleetcast_engine.prophet.model import ProphetModel, Seasonality

# The release whose format this is; `model_from_json` reads it, and older ones.
_VERSION = "1.5.0"
_MAX_SECONDS = 2**36
_MAX_NUMBERS = 2000
_MAX_ORDER = 100
_MODES = ("additive", "multiplicative")
# What a model may have that ours cannot, and the value that says it has not.
_FOREIGN: Mapping[str, tuple[Any, ...]] = {
    "holidays": (None,),
    "country_holidays": (None,),
    "train_holiday_names": (None,),
    "extra_regressors": ([[], {}],),
    "logistic_floor": (False,),
}


def to_prophet_json(model: ProphetModel | FittedModel) -> str:
    """Return the JSON that `prophet.serialize.model_from_json` opens; its forecasts are the model's.

    The history is not in a model, so the JSON has two rows that carry its end and its spacing, without values.
    A correction becomes part of the trend's offset. Cutting forecasts off at zero is not Prophet's to know.

    Raises:
        NotExportable: the model is none that Prophet could be.
    """
    parameters = model.parameters if isinstance(model, FittedModel) else model
    if isinstance(parameters, NaiveModel):
        raise NotExportable("a seasonal naive is not a model of Prophet's")
    if parameters.correction and any(s.multiplicative for s in parameters.seasonalities):
        raise NotExportable("Prophet has no place for a correction beside multiplicative seasonality")
    return json.dumps(_document(parameters), separators=(",", ":"), allow_nan=False)


def _document(model: ProphetModel) -> dict[str, Any]:
    mode = _MODES[any(s.multiplicative for s in model.seasonalities)]
    end, step = model.start + model.span, model.span / (model.rows - 1)
    changes = [_date(moment) for moment in model.changepoints.tolist()]
    return {
        "growth": "linear",
        "n_changepoints": len(model.changepoints),
        "specified_changepoints": False,
        "changepoint_range": 0.8,
        **{f"{name}_seasonality": "auto" for name in ("yearly", "weekly", "daily")},
        "seasonality_mode": mode,
        "seasonality_prior_scale": 10.0,
        "changepoint_prior_scale": 0.05,
        "holidays_prior_scale": 10.0,
        "mcmc_samples": 0,
        "interval_width": 0.8,
        "uncertainty_samples": 1000,
        "y_scale": model.scale,
        "y_min": 0.0,
        "scaling": "absmax",
        "logistic_floor": False,
        "country_holidays": None,
        "component_modes": _component_modes(model.seasonalities, mode),
        "holidays_mode": mode,
        "changepoints": _series(changes, 1),
        "history_dates": _series([_date(model.start), _date(end)], 0),
        "train_holiday_names": None,
        "start": float(model.start),
        "t_scale": float(model.span),
        "holidays": None,
        "history": _history(_date(end - step), _date(end), 1 / (model.rows - 1)),
        "train_component_cols": _component_columns(model.seasonalities),
        "changepoints_t": ((model.changepoints - model.start) / model.span).tolist(),
        "seasonalities": [
            [s.name for s in model.seasonalities],
            {s.name: _props(s) for s in model.seasonalities},
        ],
        "extra_regressors": [[], {}],
        "fit_kwargs": {},
        "params": _params(model),
        "__prophet_version": _VERSION,
    }


def _params(model: ProphetModel) -> dict[str, Any]:
    return {
        "k": [[model.k]],
        "m": [[model.m + model.correction / model.scale]],
        "delta": [model.delta.tolist()],
        "sigma_obs": [[model.sigma]],
        # Without any seasonality Prophet has one column of zeros.
        "beta": [model.beta.tolist() or [0.0]],
    }


def _props(seasonality: Seasonality) -> dict[str, Any]:
    return {
        "period": seasonality.period,
        "fourier_order": seasonality.order,
        "prior_scale": 10.0,
        "mode": _MODES[seasonality.multiplicative],
        "condition_name": None,
    }


def _component_modes(seasonalities: Iterable[Seasonality], holidays_mode: str) -> dict[str, list[str]]:
    modes = {}
    for mode in _MODES:
        names = [s.name for s in seasonalities if _MODES[s.multiplicative] == mode]
        modes[mode] = [*names, f"{mode}_terms", f"extra_regressors_{mode}"]
    modes[holidays_mode].append("holidays")
    return modes


def _component_columns(seasonalities: tuple[Seasonality, ...]) -> str:
    """Return the table that says which column belongs to which component (`regressor_column_matrix`)."""
    names = ["additive_terms", "multiplicative_terms", *(s.name for s in seasonalities)]
    rows = [
        {name: int(name in {s.name, f"{_MODES[s.multiplicative]}_terms"}) for name in names}
        for s in seasonalities
        for _ in range(2 * s.order)
    ]
    return _table(dict.fromkeys(names, "integer"), rows or [dict.fromkeys(names, 0)])


def _history(before: str, last: str, step: float) -> str:
    fields = {"ds": "datetime", "y": "number", "floor": "number", "t": "number", "y_scaled": "number"}
    blank = {"y": None, "floor": 0.0, "y_scaled": None}
    return _table(fields, [{"ds": before, "t": 1 - step, **blank}, {"ds": last, "t": 1.0, **blank}])


def _table(fields: Mapping[str, str], rows: list[dict[str, Any]]) -> str:
    described = [{"name": name, "type": kind} for name, kind in fields.items()]
    return json.dumps({"schema": {"fields": described, "pandas_version": "1.4.0"}, "data": rows})


def _series(dates: list[str], first: int) -> str:
    return json.dumps({"name": "ds", "index": list(range(first, first + len(dates))), "data": dates})


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]


def from_prophet_json(text: str) -> ProphetModel:
    """Return the model in a JSON that `prophet.serialize.model_to_json` wrote.

    Raises:
        NotAModel: the text is not such a JSON.
        BadParameters: the model has what ours cannot have, such as holidays, or numbers that cannot be.
    """
    document = _parse(text, "the text")
    fields = Fields(document)
    growth = fields.choice("growth", ("linear", "flat"))
    _refuse_foreign(document)
    scale = fields.number("y_scale", 1e-300)
    start, span = _whole(fields, "start", -_MAX_SECONDS), _whole(fields, "t_scale", 1)
    params = fields.object("params")
    seasonalities = _seasonalities(document)
    changes, delta = fields.numbers("changepoints_t", _MAX_NUMBERS), _row(params, "delta")
    if growth == "flat":
        # A flat trend has changepoints like any other, and takes no notice of them.
        delta = np.zeros(len(changes))
    beta = _row(params, "beta") if seasonalities else np.zeros(0)
    if len(delta) != len(changes) or len(beta) != 2 * sum(s.order for s in seasonalities):
        raise BadParameters("the model's params do not belong to its changepoints and seasonalities")
    return ProphetModel(
        start=start,
        span=span,
        rows=_rows(document),
        scale=scale,
        k=0.0 if growth == "flat" else _one(params, "k"),
        # Prophet adds what it subtracted to its trend, before any seasonality multiplies it.
        m=_one(params, "m") + _floor(fields, document) / scale,
        changepoints=np.rint(start + changes * span).astype(np.int64),
        delta=delta,
        seasonalities=seasonalities,
        beta=beta,
        sigma=_one(params, "sigma_obs"),
    )


def _parse(text: Any, what: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotAModel(f"{what} is not the JSON of a Prophet model: {type(error).__name__}") from error
    if not isinstance(document, dict):
        raise NotAModel(f"{what} is not the JSON of a Prophet model, but a {type(document).__name__}")
    return document


def _refuse_foreign(document: Mapping[str, Any]) -> None:
    for name, harmless in _FOREIGN.items():
        if document.get(name, harmless[0]) not in harmless:
            raise BadParameters(f"the model has {name}, which cannot be imported")


def _floor(fields: Fields, document: Mapping[str, Any]) -> float:
    # Releases before 1.1.5 know one scaling only and do not name it.
    return fields.number("y_min") if document.get("scaling") == "minmax" else 0.0


def _whole(fields: Fields, name: str, least: int) -> int:
    value = fields.number(name, least)
    if not value.is_integer() or value > _MAX_SECONDS:
        raise BadParameters(f"the model's {name} is not a whole number of seconds")
    return int(value)


def _row(params: Fields, name: str) -> Floats:
    """Return one row of a parameter: Prophet keeps a matrix with a row per sample, and a maximum is one."""
    rows = params.matrix(name, _MAX_NUMBERS)
    if rows.shape[0] != 1 and rows.shape[1] != 1:
        raise BadParameters(f"the model's params.{name} are samples; only a maximum can be imported")
    return rows.reshape(-1)


def _one(params: Fields, name: str) -> float:
    row = _row(params, name)
    if len(row) != 1:
        raise BadParameters(f"the model's params.{name} are samples; only a maximum can be imported")
    return float(row[0])


def _rows(document: Mapping[str, Any]) -> int:
    """Return how many rows lie in the history, by the spacing of those that are there."""
    data = _parse(document.get("history"), "its history").get("data")
    if not isinstance(data, list) or len(data) < 2 or not all(isinstance(row, dict) for row in data):
        raise BadParameters("the model's history does not have two rows")
    first, last = (Fields(data[i], "history.").number("t") for i in (0, -1))
    if not 1e-9 < (last - first) / (len(data) - 1) <= 1:
        raise BadParameters("the model's history.t does not run from 0 to 1")
    return 1 + round((len(data) - 1) / (last - first))


def _seasonalities(document: Mapping[str, Any]) -> tuple[Seasonality, ...]:
    match document.get("seasonalities"):
        case [list(names), dict(props)]:
            given = Fields(props, "seasonalities.")
            return tuple(_seasonality(name, given.object(str(name))) for name in names)
    raise BadParameters("the model's seasonalities are not a list of names and their properties")


def _seasonality(name: Any, props: Fields) -> Seasonality:
    props.nothing("condition_name")
    return Seasonality(
        str(name),
        props.number("period", 1e-3),
        props.integer("fourier_order", 1, _MAX_ORDER),
        props.choice("mode", _MODES) == "multiplicative",
    )
