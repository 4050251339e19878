"""Models from the JSON of `prophet.serialize`, without Prophet; nothing in it is believed."""

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, cast

import numpy as np

from fleetcast_engine.artifact.fields import Fields
from fleetcast_engine.artifact.limits import MAX_CHANGEPOINTS, MAX_ORDER, MAX_SECONDS, MIN_PERIOD
from fleetcast_engine.artifact.prophet_export import LEAST_SCALE, MODES
from fleetcast_engine.errors import BadParameters, NotAModel
from fleetcast_engine.history.timeline import Floats, Ints
from fleetcast_engine.prophet.design import holiday_columns
from fleetcast_engine.prophet.model import GROWTHS, Growth, Holiday, ProphetModel, Regressor, Seasonality
from fleetcast_engine.prophet.options import check_names

_MAX_NUMBERS = 2000
_MAX_HOLIDAYS = 10_000
# Those of two hundred holidays in twenty-five years, each with ten days around it.
_MAX_HOLIDAY_DAYS = 50_000
_MAX_WINDOW = 366


def from_prophet_json(text: str) -> ProphetModel:
    """Return the model in a JSON that `prophet.serialize.model_to_json` wrote.

    Raises:
        NotAModel: the text is not such a JSON.
        BadParameters: the model has what ours cannot have, such as the holidays of a country by its name, or numbers
            that cannot be.
    """
    document = _parse(text, "the text")
    fields = Fields(document)
    growth = cast("Growth", fields.choice("growth", GROWTHS))
    fields.nothing("country_holidays")
    scale = fields.number("y_scale", LEAST_SCALE)
    start, span = _whole(fields, "start", -MAX_SECONDS), _whole(fields, "t_scale", 1)
    params = fields.object("params")
    seasonalities, regressors = _seasonalities(document), _regressors(document)
    holidays = _holidays(document)
    changes, delta = fields.numbers("changepoints_t", MAX_CHANGEPOINTS), _row(params, "delta")
    if growth == "flat":
        # A flat trend has changepoints like any other, and takes no notice of them.
        delta = np.zeros(len(changes))
    columns = 2 * sum(s.order for s in seasonalities) + len(holidays) + len(regressors)
    beta = _row(params, "beta") if columns else np.zeros(0)
    if len(delta) != len(changes) or len(beta) != columns:
        raise BadParameters("the model's params do not belong to its changepoints and columns")
    cap, floor = _bounds(document) if growth == "logistic" else (0.0, 0.0)
    return ProphetModel(
        start=start,
        span=span,
        rows=_rows(document),
        scale=scale,
        k=0.0 if growth == "flat" else _one(params, "k"),
        # Prophet adds what it subtracted to its trend, before any seasonality multiplies it.
        m=_one(params, "m") + (0.0 if growth == "logistic" else _floor(fields, document) / scale),
        changepoints=_moments(start + changes * span),
        delta=delta,
        seasonalities=seasonalities,
        beta=beta,
        sigma=_sigma(params),
        growth=growth,
        cap=cap,
        floor=floor,
        holidays=holidays,
        regressors=regressors,
    )


def _parse(text: Any, what: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotAModel(f"{what} is not the JSON of a Prophet model: {type(error).__name__}") from error
    if not isinstance(document, dict):
        raise NotAModel(f"{what} is not the JSON of a Prophet model, but a {type(document).__name__}")
    return document


def _floor(fields: Fields, document: Mapping[str, Any]) -> float:
    # Releases before 1.1.5 know one scaling only and do not name it.
    return fields.number("y_min") if document.get("scaling") == "minmax" else 0.0


def _whole(fields: Fields, name: str, least: int) -> int:
    value = fields.number(name, least)
    if not value.is_integer() or value > MAX_SECONDS:
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


def _sigma(params: Fields) -> float:
    sigma = _one(params, "sigma_obs")
    if sigma < 0:
        raise BadParameters("the model's params.sigma_obs is below zero")
    return sigma


def _moments(seconds: Floats) -> Ints:
    if len(seconds) and np.abs(seconds).max() > MAX_SECONDS:
        raise BadParameters("the model's changepoints_t lie outside every calendar")
    return np.rint(seconds).astype(np.int64)


def _rows(document: Mapping[str, Any]) -> int:
    """Return how many rows lie in the history, by the spacing of those that are there."""
    data = _history_rows(document)
    first, last = (Fields(data[i], "history.").number("t") for i in (0, -1))
    if not 1e-9 < (last - first) / (len(data) - 1) <= 1:
        raise BadParameters("the model's history.t does not run from 0 to 1")
    return 1 + round((len(data) - 1) / (last - first))


def _history_rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = _table_rows(document, "history")
    if len(rows) < 2:
        raise BadParameters("the model's history does not have two rows")
    return rows


def _table_rows(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    rows = _parse(document.get(name), f"its {name}").get("data")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadParameters(f"the model's {name} is not a table")
    return rows


def _bounds(document: Mapping[str, Any]) -> tuple[float, float]:
    """Return cap and floor of a logistic trend, which in ours are the same at all times."""
    rows = [Fields(row, "history.") for row in _history_rows(document)]
    bounds = {(row.number("cap"), row.number("floor")) for row in rows}
    cap, floor = bounds.pop()
    if bounds or cap <= floor:
        raise BadParameters("the model's cap and floor change with time, or are not above each other")
    return cap, floor


def _holidays(document: Mapping[str, Any]) -> tuple[Holiday, ...]:
    if document.get("holidays") is None:
        return ()
    rows = _table_rows(document, "holidays")
    if len(rows) > _MAX_HOLIDAYS:
        raise BadParameters(f"the model has more than {_MAX_HOLIDAYS} holidays")
    # Releases before 1.1.5 have one mode for holidays and seasonalities.
    fields = Fields(document)
    mode = fields.choice("holidays_mode" if "holidays_mode" in document else "seasonality_mode", MODES)
    table = [_holiday(row) for row in rows]
    _check_names([name for name, *_ in table])
    _check_windows(table)
    return holiday_columns(table, multiplicative=mode == "multiplicative")


def _holiday(row: Mapping[str, Any]) -> tuple[str, int, int, int]:
    fields = Fields(row, "holidays.")
    # A window that is not there, or not a number, is the day itself.
    windows = ("lower_window", "upper_window")
    lower, upper = (0.0 if row.get(name) is None else fields.number(name) for name in windows)
    if not -_MAX_WINDOW <= lower <= 0 <= upper <= _MAX_WINDOW:
        raise BadParameters(f"the model's holidays have a window of more than {_MAX_WINDOW} days")
    return fields.text("holiday"), _day(fields.text("ds")), int(lower), int(upper)


def _check_windows(table: Iterable[tuple[str, int, int, int]]) -> None:
    """Refuse a short text that would become gigabytes of days."""
    days, widest = 0, dict[str, tuple[int, int]]()
    for name, _, lower, upper in table:
        first, last = widest.get(name, (0, 0))
        widest[name] = min(first, lower), max(last, upper)
        days += 1 + upper - lower
    columns = sum(1 + last - first for first, last in widest.values())
    if columns > _MAX_NUMBERS or days > _MAX_HOLIDAY_DAYS:
        raise BadParameters(
            f"the model's holidays are {days} days in {columns} columns;"
            f" at most {_MAX_HOLIDAY_DAYS} in {_MAX_NUMBERS} can be imported"
        )


def _day(text: str) -> int:
    try:
        return datetime.fromisoformat(text).date().toordinal() - date(1970, 1, 1).toordinal()
    except ValueError as error:
        raise BadParameters("the model's holidays.ds is not a date") from error


def _regressors(document: Mapping[str, Any]) -> tuple[Regressor, ...]:
    match document.get("extra_regressors", [[], {}]):
        case [list(names), dict(props)]:
            given = Fields(props, "extra_regressors.")
            _check_names(names)
            return tuple(_regressor(name, given.object(name)) for name in names)
    raise BadParameters("the model's extra_regressors are not a list of names and their properties")


def _regressor(name: str, props: Fields) -> Regressor:
    # A regressor may come with a Prophet model of its own, which forecasts it.
    props.nothing("predictor_spec")
    multiplicative = props.choice("mode", MODES) == "multiplicative"
    return Regressor(name, props.number("mu"), props.number("std", 1e-300), multiplicative)


def _check_names(names: list[Any]) -> None:
    try:
        check_names([name if isinstance(name, str) else "" for name in names])
    except ValueError as error:
        raise BadParameters(f"the model's {error}") from error


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
        props.number("period", MIN_PERIOD),
        props.integer("fourier_order", 1, MAX_ORDER),
        props.choice("mode", MODES) == "multiplicative",
    )
