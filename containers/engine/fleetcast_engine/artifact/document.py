"""A model as the JSON document of format 1, and back; on the way back every field is checked."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from fleetcast_engine.artifact.fields import Fields
from fleetcast_engine.choice.naive import NaiveModel
from fleetcast_engine.errors import BadParameters
from fleetcast_engine.history.timeline import IRREGULAR, MONTHLY, SPACINGS, Timeline
from fleetcast_engine.model import FAMILIES, SEASONAL_NAIVE, FittedModel, LoadedModel, Metrics, Parameters
from fleetcast_engine.prophet.model import ProphetModel, Seasonality

_MAX_CHANGEPOINTS = 1000
_MAX_ORDER = 100
_MAX_SEASONALITIES = 10
_MAX_SEASON = 1000
# Two thousand years in seconds: no time and no span of one is longer.
_MAX_SECONDS = 2**36
# A Python object, its arrays' headers and a slot in the registry; measured, rounded up.
_OBJECT_BYTES = 3000


def model_to_document(model: FittedModel) -> dict[str, Any]:
    """Return the document without format and checksum, which belong to the file."""
    timeline = model.timeline
    return {
        "customer_id": model.customer_id,
        "run_id": model.run_id,
        "family": model.family,
        "frequency": timeline.frequency,
        "frequency_seconds": timeline.seconds,
        "month_day": timeline.month_day,
        "trained_at": iso_time(model.trained_at),
        "training_start": iso_time(model.training_start),
        "training_end": iso_time(timeline.end),
        "horizon": model.horizon,
        "nonnegative": model.nonnegative,
        "params": _parameters_to_document(model.parameters),
        "metrics": {
            "mae": model.metrics.mae,
            "naive_mae": model.metrics.naive_mae,
            "origins": model.metrics.origins,
        },
    }


def model_from_document(document: Mapping[str, Any]) -> LoadedModel:
    """Check a document of format 1 and return its model.

    Raises:
        BadParameters: a field is missing, of another type or out of bounds; the text names it.
    """
    fields = Fields(document)
    family = fields.choice("family", FAMILIES)
    parameters = _parameters_from(fields.object("params"), naive=family == SEASONAL_NAIVE)
    metrics = fields.object("metrics")
    model = FittedModel(
        customer_id=fields.text("customer_id"),
        run_id=fields.text("run_id"),
        family=family,
        parameters=parameters,
        timeline=_timeline_from(fields),
        training_start=fields.time("training_start"),
        trained_at=fields.time("trained_at"),
        horizon=fields.integer("horizon", 1, _MAX_SECONDS),
        metrics=Metrics(
            metrics.number("mae", 0), metrics.number("naive_mae", 0), metrics.integer("origins", 1, 10**6)
        ),
        nonnegative=fields.flag("nonnegative"),
    )
    return LoadedModel(model, _size_of(model))


def iso_time(seconds: int) -> str:
    """Return ISO 8601 in UTC, as all of Fleetcast writes time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _timeline_from(fields: Fields) -> Timeline:
    frequency = fields.choice("frequency", (*SPACINGS, IRREGULAR))
    least_day = 1 if frequency == MONTHLY else 0
    return Timeline(
        frequency,
        fields.integer("frequency_seconds", 1, _MAX_SECONDS),
        fields.time("training_end"),
        fields.integer("month_day", least_day, 31),
    )


def _parameters_to_document(parameters: Parameters) -> dict[str, Any]:
    if isinstance(parameters, NaiveModel):
        return {"season": parameters.season.tolist(), "sigma": parameters.sigma}
    return {
        "start": parameters.start,
        "span": parameters.span,
        "rows": parameters.rows,
        "scale": parameters.scale,
        "k": parameters.k,
        "m": parameters.m,
        "changepoints": parameters.changepoints.tolist(),
        "delta": parameters.delta.tolist(),
        "seasonalities": [
            {"name": s.name, "period": s.period, "order": s.order, "multiplicative": s.multiplicative}
            for s in parameters.seasonalities
        ],
        "beta": parameters.beta.tolist(),
        "sigma": parameters.sigma,
        "correction": parameters.correction,
    }


def _parameters_from(fields: Fields, *, naive: bool) -> Parameters:
    return _naive_from(fields) if naive else _prophet_from(fields)


def _naive_from(fields: Fields) -> NaiveModel:
    season = fields.numbers("season", _MAX_SEASON)
    if len(season) == 0:
        raise BadParameters("the model's params.season is empty")
    return NaiveModel(season, fields.number("sigma", 0))


def _prophet_from(fields: Fields) -> ProphetModel:
    seasonalities = tuple(
        _seasonality_from(each) for each in fields.objects("seasonalities", _MAX_SEASONALITIES)
    )
    model = ProphetModel(
        start=fields.integer("start", -_MAX_SECONDS, _MAX_SECONDS),
        span=fields.integer("span", 1, _MAX_SECONDS),
        rows=fields.integer("rows", 2, 10**9),
        scale=fields.number("scale", 0),
        k=fields.number("k"),
        m=fields.number("m"),
        changepoints=fields.numbers("changepoints", _MAX_CHANGEPOINTS).astype(np.int64),
        delta=fields.numbers("delta", _MAX_CHANGEPOINTS),
        seasonalities=seasonalities,
        beta=fields.numbers("beta", 2 * _MAX_ORDER * _MAX_SEASONALITIES),
        sigma=fields.number("sigma", 0),
        correction=fields.number("correction"),
    )
    if len(model.delta) != len(model.changepoints) or len(model.delta) == 0:
        raise BadParameters("the model's params.delta and params.changepoints do not belong together")
    if len(model.beta) != 2 * sum(seasonality.order for seasonality in seasonalities):
        raise BadParameters("the model's params.beta and params.seasonalities do not belong together")
    return model


def _seasonality_from(fields: Fields) -> Seasonality:
    period = fields.number("period", 1e-3)
    return Seasonality(
        fields.text("name"), period, fields.integer("order", 1, _MAX_ORDER), fields.flag("multiplicative")
    )


def _size_of(model: FittedModel) -> int:
    parameters = model.parameters
    if isinstance(parameters, NaiveModel):
        return _OBJECT_BYTES + parameters.season.nbytes
    return _OBJECT_BYTES + parameters.changepoints.nbytes + parameters.delta.nbytes + parameters.beta.nbytes
