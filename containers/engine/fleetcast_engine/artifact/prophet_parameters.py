"""Prophet's parameters in format 2. What follows Prophet's own rules is only named: seasonalities, changepoints."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from operator import itemgetter
from struct import Struct
from types import MappingProxyType
from typing import Any

import numpy as np

from fleetcast_engine.artifact.fields import Fields
from fleetcast_engine.artifact.limits import (
    MAX_CHANGEPOINTS,
    MAX_ORDER,
    MAX_SEASONALITIES,
    MAX_SECONDS,
    MIN_DIVISOR,
    MIN_PERIOD,
)
from fleetcast_engine.artifact.numbers import Numbers, check, doubles
from fleetcast_engine.errors import BadParameters
from fleetcast_engine.history.timeline import Ints
from fleetcast_engine.prophet.model import Growth, Holiday, ProphetModel, Regressor, Seasonality

_MAX_ROWS = 10**9
_MAX_HOLIDAYS = 1000
_MAX_DAYS = 2000
_MAX_REGRESSORS = 100
_MODES = ("additive", "multiplicative")
_GROWTHS: tuple[Growth, ...] = ("linear", "flat", "logistic")
_AUTOMATIC: Mapping[str, tuple[float, int]] = {"yearly": (365.25, 10), "weekly": (7.0, 3), "daily": (1.0, 4)}

_NAMES = ("start", "span", "rows", "changepoints", "changepoint_range", "seasonality_mode", "seasonalities")
_FIELDS = itemgetter(*_NAMES)
_RARE = ("growth", "cap", "floor", "holidays", "regressors")
_SCALARS = ("scale", "k", "m", "sigma", "correction")
_SCALARS_NAME = "params." + ", ".join(_SCALARS)
_NUMBERS_NAME = f"{_SCALARS_NAME}, delta, beta"
_STORED_SCALARS = Struct(f"<{len(_SCALARS)}d")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(eq=False, slots=True)
class Shape:
    """What models of equally long histories have in common; one object for all of them.

    Attributes:
        changepoints: how many there are.
        share: of the rows over which Prophet spread them; None where they follow no rule.
        columns: coefficients of the seasonalities.
    """

    span: int
    rows: int
    changepoints: int
    share: float | None
    seasonalities: tuple[Seasonality, ...]
    columns: int


@dataclass(eq=False, slots=True)
class StoredProphet:
    """A model as it lies in its artifact, checked: it takes a fraction of the memory of one that can be asked.

    Attributes:
        block: begins with the model's numbers.
        count: how many they are.
        rare: what only some models have, as arguments of ProphetModel.
    """

    start: int
    shape: Shape
    block: bytes
    count: int
    rare: Mapping[str, Any]

    def model(self) -> ProphetModel:
        """Return the model, the same one as long as it is among those asked for lately."""
        return _lately_asked(self)

    def unpacked(self) -> ProphetModel:
        """Return the model, made anew."""
        shape, numbers = self.shape, np.frombuffer(self.block, "<f8", self.count)
        first, last = len(_SCALARS) + shape.changepoints, self.count
        if shape.share is None:
            last -= shape.changepoints
            changepoints = self.start + numbers[last:].astype(np.int64)
        else:
            changepoints = _automatic_changepoints(
                self.start, shape.span, shape.rows, shape.changepoints, shape.share
            )
        scale, k, m, sigma, correction = _STORED_SCALARS.unpack_from(self.block)
        return ProphetModel(
            self.start,
            shape.span,
            shape.rows,
            scale,
            k,
            m,
            changepoints,
            numbers[len(_SCALARS) : first],
            shape.seasonalities,
            numbers[first:last],
            sigma,
            correction,
            **self.rare,
        )


def write(model: ProphetModel) -> tuple[dict[str, Any], bytes]:
    """Return the JSON object and the numbers."""
    mode = _MODES[any(s.multiplicative for s in model.seasonalities)]
    offsets = model.changepoints - model.start
    share = _range_of(model.span, model.rows, offsets)
    params = {
        "start": model.start,
        "span": model.span,
        "rows": model.rows,
        "changepoints": len(offsets),
        "changepoint_range": share,
        "seasonality_mode": mode,
        "seasonalities": [_seasonality_document(s, mode) for s in model.seasonalities],
        **_rare_document(model),
    }
    numbers = (
        doubles(_SCALARS_NAME, [getattr(model, name) for name in _SCALARS]),
        doubles("params.delta", model.delta),
        doubles("params.beta", model.beta),
        doubles("params.changepoints", offsets if share is None else ()),
    )
    return params, b"".join(numbers)


def read(params: dict[str, Any], numbers: Numbers) -> StoredProphet:
    """Check the JSON object and take the numbers that belong to it, which come first.

    Raises:
        BadParameters: a field is missing, of another type or out of bounds; the text names it.
    """
    try:
        start, *shared, names = _FIELDS(params)
    except KeyError:
        raise _reason(params) from None
    if type(start) is not int or abs(start) > MAX_SECONDS or type(names) is not list:
        raise _reason(params)
    shape = _shape_of(shared, names)
    rare = _rare(params) if len(params) > len(_NAMES) else _NOTHING
    count = len(_SCALARS) + shape.changepoints + shape.columns
    if rare:
        count += len(rare.get("holidays", ())) + len(rare.get("regressors", ()))
    numbers.doubles(_NUMBERS_NAME, count)
    if shape.share is None:
        count += shape.changepoints
        check("params.changepoints", numbers.doubles("params.changepoints", shape.changepoints), MAX_SECONDS)
    scale, _, _, sigma, _ = _STORED_SCALARS.unpack_from(numbers.block)
    if scale < 0 or sigma < 0:
        raise BadParameters("the model's params.scale and params.sigma are not numbers from 0")
    if rare.get("growth") == "logistic" and not (scale >= MIN_DIVISOR and rare["cap"] > rare["floor"]):
        raise BadParameters("the model's params.cap is not above its params.floor")
    return StoredProphet(start, shape, numbers.block, count, rare)


# Few are asked beyond the path of the mix that they belong to.
@lru_cache(maxsize=64)
def _lately_asked(stored: StoredProphet) -> ProphetModel:
    return stored.unpacked()


def _range_of(span: int, rows: int, offsets: Ints) -> float | None:
    """Return Prophet's changepoint_range in whole hundredths, where it puts the changepoints where they are."""
    last = round(int(offsets[-1]) * (rows - 1) / span) + 1
    share = ceil(round(last / rows * 100, 6)) / 100
    if 0 < share <= 1 and np.array_equal(offsets, _automatic_offsets(span, rows, len(offsets), share)):
        return share
    return None


@lru_cache(maxsize=256)
def _automatic_offsets(span: int, rows: int, count: int, share: float) -> Ints:
    last = int(np.floor(rows * share)) - 1
    indices = np.linspace(0, last, count + 1).round()[1:]
    return np.rint(indices * (span / (rows - 1))).astype(np.int64)


def _shape_of(shared: list[Any], names: list[Any]) -> Shape:
    try:
        return _kept_shape(*shared, *names)
    except TypeError:
        return _shape(*shared, *names)  # lists and objects cannot be keys


def _shape(span: Any, rows: Any, count: Any, share: Any, mode: Any, *names: Any) -> Shape:
    values = (span, rows, count, share, mode, list(names))
    fields = Fields(dict(zip(_NAMES[1:], values, strict=True)), "params.")
    fields.integer("span", 1, MAX_SECONDS)
    fields.integer("rows", 2, _MAX_ROWS)
    fields.integer("changepoints", 1, MAX_CHANGEPOINTS)
    if share is not None and not 0 < fields.number("changepoint_range") <= 1:
        raise BadParameters("the model's params.changepoint_range is not null or a share up to 1")
    fields.choice("seasonality_mode", _MODES)
    fields.values("seasonalities", MAX_SEASONALITIES)
    seasonalities, columns = _seasonalities(mode, names)
    return Shape(span, rows, count, share, seasonalities, columns)


# The series of a fleet are equally long, or of few lengths. By type too, since to a dictionary 1.0 and true are 1.
_kept_shape = lru_cache(maxsize=1024, typed=True)(_shape)


# They began together, too, or on few days.
@lru_cache(maxsize=1024)
def _automatic_changepoints(start: int, span: int, rows: int, count: int, share: float) -> Ints:
    changepoints = start + _automatic_offsets(span, rows, count, share)
    changepoints.flags.writeable = False
    return changepoints


def _seasonality_document(seasonality: Seasonality, mode: str) -> str | dict[str, Any]:
    usual = _AUTOMATIC.get(seasonality.name)
    if (seasonality.period, seasonality.order) == usual and _MODES[seasonality.multiplicative] == mode:
        return seasonality.name
    return {
        "name": seasonality.name,
        "period": float(seasonality.period),
        "order": seasonality.order,
        "multiplicative": seasonality.multiplicative,
    }


def _seasonalities(mode: str, names: tuple[Any, ...]) -> tuple[tuple[Seasonality, ...], int]:
    try:
        return _automatic_seasonalities(mode, *names)
    except (KeyError, TypeError):
        # Some are not Prophet's usual ones, and objects cannot be keys.
        fields = Fields({"seasonalities": [each for each in names if not isinstance(each, str)]}, "params.")
        given = iter(fields.objects("seasonalities", MAX_SEASONALITIES))
    found = tuple(
        _automatic(each, mode) if isinstance(each, str) else _seasonality(next(given)) for each in names
    )
    return _shared(found), _columns(found)


@lru_cache(maxsize=64)
def _automatic_seasonalities(mode: str, *names: str) -> tuple[tuple[Seasonality, ...], int]:
    found = tuple(Seasonality(name, *_AUTOMATIC[name], mode == "multiplicative") for name in names)
    return _shared(found), _columns(found)


def _automatic(name: str, mode: str) -> Seasonality:
    if name not in _AUTOMATIC:
        raise BadParameters(
            f"the model's params.seasonalities has {name[:100]!r}, which is not one of Prophet's"
        )
    return Seasonality(name, *_AUTOMATIC[name], mode == "multiplicative")


def _seasonality(fields: Fields) -> Seasonality:
    return Seasonality(
        fields.text("name"),
        fields.number("period", MIN_PERIOD),
        fields.integer("order", 1, MAX_ORDER),
        fields.flag("multiplicative"),
    )


@lru_cache(maxsize=256)
def _shared(seasonalities: tuple[Seasonality, ...]) -> tuple[Seasonality, ...]:
    """Return one tuple for all models with the same seasonalities."""
    return seasonalities


def _columns(seasonalities: tuple[Seasonality, ...]) -> int:
    return sum(2 * seasonality.order for seasonality in seasonalities)


def _rare_document(model: ProphetModel) -> dict[str, Any]:
    rare: dict[str, Any] = {}
    if model.growth != "linear":
        rare |= {"growth": model.growth, "cap": float(model.cap), "floor": float(model.floor)}
    if model.holidays:
        rare["holidays"] = [
            {"name": h.name, "offset": h.offset, "days": list(h.days), "multiplicative": h.multiplicative}
            for h in model.holidays
        ]
    if model.regressors:
        rare["regressors"] = [
            {"name": r.name, "mean": r.mean, "deviation": r.deviation, "multiplicative": r.multiplicative}
            for r in model.regressors
        ]
    return rare


def _rare(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what only some models have, as arguments of ProphetModel."""
    if not params.keys() <= {*_NAMES, *_RARE}:
        raise _reason(params)
    fields, rare = Fields(params, "params."), dict[str, Any]()
    if not params.keys().isdisjoint(("growth", "cap", "floor")):
        rare["growth"] = fields.choice("growth", _GROWTHS)
        rare |= {name: fields.number(name) for name in ("cap", "floor")}
    if "holidays" in params:
        rare["holidays"] = tuple(_holiday(each) for each in fields.objects("holidays", _MAX_HOLIDAYS))
    if "regressors" in params:
        rare["regressors"] = tuple(_regressor(each) for each in fields.objects("regressors", _MAX_REGRESSORS))
    return rare


def _holiday(fields: Fields) -> Holiday:
    return Holiday(
        fields.text("name"),
        fields.integer("offset", -_MAX_DAYS, _MAX_DAYS),
        tuple(fields.integers("days", _MAX_DAYS)),
        fields.flag("multiplicative"),
    )


def _regressor(fields: Fields) -> Regressor:
    return Regressor(
        fields.text("name"),
        fields.number("mean"),
        fields.number("deviation", MIN_DIVISOR),
        fields.flag("multiplicative"),
    )


def _reason(params: Mapping[str, Any]) -> BadParameters:
    """Return what is wrong with parameters whose start or names are."""
    fields = Fields(params, "params.")
    try:
        fields.nothing_but(*_NAMES, *_RARE)
        fields.integer("start", -MAX_SECONDS, MAX_SECONDS)
        fields.values("seasonalities", MAX_SEASONALITIES)
    except BadParameters as error:
        return error
    missing = next(name for name in _NAMES if name not in params)
    return BadParameters(f"the model's params.{missing} is not there")
