"""Models to the JSON of `prophet.serialize`, without Prophet: ours open there."""

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from fleetcast_engine.choice.mix import MixModel
from fleetcast_engine.choice.naive import NaiveModel
from fleetcast_engine.errors import NotExportable
from fleetcast_engine.history.timeline import DAY
from fleetcast_engine.model import FittedModel
from fleetcast_engine.prophet.model import Holiday, ProphetModel, Regressor, Seasonality
from fleetcast_engine.prophet.options import AUTOMATIC

# The release whose format this is; `model_from_json` reads it, and older ones.
_VERSION = "1.5.0"
MODES = ("additive", "multiplicative")
# Below this, what is divided by a model's scale is no longer a number.
LEAST_SCALE = 1e-300


def to_prophet_json(model: ProphetModel | FittedModel, *, long_run: bool = False) -> str:
    """Return the JSON that `prophet.serialize.model_from_json` opens; its forecasts are the model's.

    The history is not in a model, so the JSON has two rows that carry its end and its spacing, without values.
    A correction becomes part of the trend's offset. Cutting forecasts off at zero is not Prophet's to know.

    Args:
        model: any that is Prophet's.
        long_run: of a mix, export the Prophet that it goes over into; on the mix's own path it forecasts
            something else.

    Raises:
        NotExportable: the model is none that Prophet could be.
    """
    parameters = model.parameters if isinstance(model, FittedModel) else model
    if isinstance(parameters, MixModel):
        if not long_run:
            raise NotExportable("a mix is not a model of Prophet's; its long run is, and can be asked for")
        parameters = parameters.tail
    if isinstance(parameters, NaiveModel):
        raise NotExportable("a seasonal naive is not a model of Prophet's")
    if parameters.correction and any(term.multiplicative for term in parameters.terms):
        raise NotExportable("Prophet has no place for a correction beside what multiplies the trend")
    if parameters.correction and parameters.growth == "logistic":
        raise NotExportable("Prophet has no place for a correction beside logistic growth")
    if not (parameters.scale >= LEAST_SCALE and math.isfinite(parameters.correction / parameters.scale)):
        raise NotExportable(f"Prophet divides by the model's scale, and {parameters.scale:g} is too small")
    return json.dumps(_document(parameters), separators=(",", ":"), allow_nan=False)


def _document(model: ProphetModel) -> dict[str, Any]:
    mode = MODES[any(s.multiplicative for s in model.seasonalities)]
    holidays_mode = MODES[any(holiday.multiplicative for holiday in model.holidays)]
    names = list(dict.fromkeys(holiday.name for holiday in model.holidays))
    end, step = model.start + model.span, model.span / (model.rows - 1)
    changes = [_date(moment) for moment in model.changepoints.tolist()]
    return {
        "growth": model.growth,
        "n_changepoints": len(model.changepoints),
        "specified_changepoints": False,
        "changepoint_range": 0.8,
        **{f"{name}_seasonality": "auto" for name in AUTOMATIC},
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
        "logistic_floor": model.floor != 0,
        "country_holidays": None,
        "component_modes": _component_modes(model, holidays_mode),
        "holidays_mode": holidays_mode,
        "changepoints": _series(changes, 1),
        "history_dates": _series([_date(model.start), _date(end)], 0),
        "train_holiday_names": json.dumps({"index": list(range(len(names))), "data": names})
        if names
        else None,
        "start": float(model.start),
        "t_scale": float(model.span),
        "holidays": _holiday_table(model.holidays) if names else None,
        "history": _history(model, _date(end - step), _date(end)),
        "train_component_cols": _component_columns(model),
        "changepoints_t": ((model.changepoints - model.start) / model.span).tolist(),
        "seasonalities": [
            [s.name for s in model.seasonalities],
            {s.name: _props(s) for s in model.seasonalities},
        ],
        "extra_regressors": [
            [regressor.name for regressor in model.regressors],
            {regressor.name: _regressor_props(regressor) for regressor in model.regressors},
        ],
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
        "mode": MODES[seasonality.multiplicative],
        "condition_name": None,
    }


def _regressor_props(regressor: Regressor) -> dict[str, Any]:
    return {
        "prior_scale": 10.0,
        "standardize": "auto",
        "mu": regressor.mean,
        "std": regressor.deviation,
        "mode": MODES[regressor.multiplicative],
        "predictor_spec": None,
        "predictor": None,
    }


def _component_modes(model: ProphetModel, holidays_mode: str) -> dict[str, list[str]]:
    modes = {}
    for mode in MODES:
        names = dict.fromkeys(term.name for term in model.terms if MODES[term.multiplicative] == mode)
        modes[mode] = [*names, f"{mode}_terms", f"extra_regressors_{mode}"]
    modes[holidays_mode].append("holidays")
    return modes


def _component_columns(model: ProphetModel) -> str:
    """Return the table that says which column belongs to which component (`regressor_column_matrix`)."""
    memberships = [_membership(s) for s in model.seasonalities for _ in range(2 * s.order)]
    memberships += [_membership(holiday, "holidays") for holiday in model.holidays]
    memberships += [
        _membership(regressor, f"extra_regressors_{MODES[regressor.multiplicative]}")
        for regressor in model.regressors
    ]
    names = dict.fromkeys(["additive_terms", "multiplicative_terms"])
    for membership in memberships:
        names |= dict.fromkeys(membership)
    rows = [{name: int(name in membership) for name in names} for membership in memberships]
    return _table(dict.fromkeys(names, "integer"), rows or [dict.fromkeys(names, 0)])


def _membership(column: Seasonality | Holiday | Regressor, *groups: str) -> tuple[str, ...]:
    return column.name, f"{MODES[column.multiplicative]}_terms", *groups


def _holiday_table(holidays: Iterable[Holiday]) -> str:
    """Return a row for each date of a holiday, with the window around it."""
    offsets: dict[tuple[str, int], list[int]] = {}
    for holiday in holidays:
        for day in holiday.days:
            offsets.setdefault((holiday.name, day - holiday.offset), [0]).append(holiday.offset)
    rows = [
        {"holiday": name, "ds": _date(day * DAY), "lower_window": min(window), "upper_window": max(window)}
        for (name, day), window in offsets.items()
    ]
    windows = {"lower_window": "integer", "upper_window": "integer"}
    return _table({"holiday": "string", "ds": "datetime", **windows}, rows)


def _history(model: ProphetModel, before: str, last: str) -> str:
    fields = {"ds": "datetime", "y": "number", "floor": "number", "t": "number", "y_scaled": "number"}
    blank: dict[str, Any] = {"y": None, "floor": model.floor, "y_scaled": None}
    if model.growth == "logistic":
        fields["cap"], blank["cap"] = "number", model.cap
    first = {"ds": before, "t": 1 - 1 / (model.rows - 1), **blank}
    return _table(fields, [first, {"ds": last, "t": 1.0, **blank}])


def _table(fields: Mapping[str, str], rows: list[dict[str, Any]]) -> str:
    described = [{"name": name, "type": kind} for name, kind in fields.items()]
    return json.dumps({"schema": {"fields": described, "pandas_version": "1.4.0"}, "data": rows})


def _series(dates: list[str], first: int) -> str:
    return json.dumps({"name": "ds", "index": list(range(first, first + len(dates))), "data": dates})


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
