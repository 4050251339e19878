"""Format 1: a model as a JSON document with a number for a number. It is no longer written, but read for good."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from fleetcast_engine.artifact.fields import Fields
from fleetcast_engine.artifact.limits import (
    MAX_CHANGEPOINTS,
    MAX_ORDER,
    MAX_SEASONALITIES,
    MAX_SECONDS,
    MIN_PERIOD,
)
from fleetcast_engine.choice.naive import NaiveModel
from fleetcast_engine.errors import BadParameters, WrongChecksum
from fleetcast_engine.history.timeline import IRREGULAR, MONTHLY, SPACINGS, Ints, Timeline
from fleetcast_engine.model import PROPHET, PROPHET_CORRECTED, SEASONAL_NAIVE, FittedModel, Metrics
from fleetcast_engine.prophet.model import ProphetModel, Seasonality

_MAX_SEASON = 1000
_FAMILIES = (PROPHET, PROPHET_CORRECTED, SEASONAL_NAIVE)


def read(document: dict[str, Any]) -> FittedModel:
    """Check a document of format 1 and return its model.

    Raises:
        WrongChecksum: it is not what was written.
        BadParameters: a field is missing, of another type or out of bounds; the text names it.
    """
    found = document.pop("checksum", None)
    if found != checksum(document):
        raise WrongChecksum("the model does not match its checksum; it was changed or damaged after training")
    fields = Fields(document)
    family = fields.choice("family", _FAMILIES)
    params = fields.object("params")
    parameters = _naive_from(params) if family == SEASONAL_NAIVE else _prophet_from(params)
    metrics = fields.object("metrics")
    return FittedModel(
        customer_id=fields.text("customer_id"),
        run_id=fields.text("run_id"),
        family=family,
        parameters=parameters,
        timeline=_timeline_from(fields),
        training_start=fields.time("training_start"),
        trained_at=fields.time("trained_at"),
        horizon=fields.integer("horizon", 1, MAX_SECONDS),
        metrics=Metrics(
            metrics.number("mae", 0), metrics.number("naive_mae", 0), metrics.integer("origins", 1, 10**6)
        ),
        nonnegative=fields.flag("nonnegative"),
    )


def checksum(document: Mapping[str, Any]) -> str:
    """Return the checksum of a document without one: that of its canonical text."""
    try:
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        # JSON has no infinity, but 1e999 is read as one.
        raise BadParameters("the model holds a number beyond all bounds") from error
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _timeline_from(fields: Fields) -> Timeline:
    frequency = fields.choice("frequency", (*SPACINGS, IRREGULAR))
    least_day = 1 if frequency == MONTHLY else 0
    return Timeline(
        frequency,
        fields.integer("frequency_seconds", 1, MAX_SECONDS),
        fields.time("training_end"),
        fields.integer("month_day", least_day, 31),
    )


def _naive_from(fields: Fields) -> NaiveModel:
    season = fields.numbers("season", _MAX_SEASON)
    if len(season) == 0:
        raise BadParameters("the model's params.season is empty")
    return NaiveModel(season, fields.number("sigma", 0))


def _prophet_from(fields: Fields) -> ProphetModel:
    seasonalities = tuple(
        _seasonality_from(each) for each in fields.objects("seasonalities", MAX_SEASONALITIES)
    )
    model = ProphetModel(
        start=fields.integer("start", -MAX_SECONDS, MAX_SECONDS),
        span=fields.integer("span", 1, MAX_SECONDS),
        rows=fields.integer("rows", 2, 10**9),
        scale=fields.number("scale", 0),
        k=fields.number("k"),
        m=fields.number("m"),
        changepoints=_changepoints_from(fields),
        delta=fields.numbers("delta", MAX_CHANGEPOINTS),
        seasonalities=seasonalities,
        beta=fields.numbers("beta", 2 * MAX_ORDER * MAX_SEASONALITIES),
        sigma=fields.number("sigma", 0),
        correction=fields.number("correction"),
    )
    if len(model.delta) != len(model.changepoints) or len(model.delta) == 0:
        raise BadParameters("the model's params.delta and params.changepoints do not belong together")
    if len(model.beta) != 2 * sum(seasonality.order for seasonality in seasonalities):
        raise BadParameters("the model's params.beta and params.seasonalities do not belong together")
    return model


def _changepoints_from(fields: Fields) -> Ints:
    changepoints = fields.numbers("changepoints", MAX_CHANGEPOINTS)
    if (np.abs(changepoints) > MAX_SECONDS).any():
        raise BadParameters("the model's params.changepoints are not times")
    return changepoints.astype(np.int64)


def _seasonality_from(fields: Fields) -> Seasonality:
    period = fields.number("period", MIN_PERIOD)
    return Seasonality(
        fields.text("name"), period, fields.integer("order", 1, MAX_ORDER), fields.flag("multiplicative")
    )
