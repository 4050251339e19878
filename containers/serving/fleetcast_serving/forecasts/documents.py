"""One request to one model: the document that answers it, and its text."""

import json
import logging
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from fleetcast.domain.forecasts import FIELDS, ForecastRequest
from fleetcast.errors import DataError, RequestError
from fleetcast_engine import components, forecast, iso_time
from fleetcast_engine.errors import EngineError, ForecastError
from fleetcast_serving.repository import ServedModel

logger = logging.getLogger("fleetcast_serving")

Document = dict[str, Any]

# Of short forecasts most customers share the timestamps, and so their texts: 4 MB at most.
_KEPT_STEPS = 200
# Neither SageMaker nor Lambda passes on more than 6 MB, and whoever is refused by them is not told why.
MAX_BYTES = 5_000_000
# At most: a step without components, and what is around a component's name. Counted in what Lambda hands to API
# Gateway, a text within a text, which is the longest form that an answer takes.
_STEP_BYTES = 200
_NUMBER_BYTES = 25
# So many steps show which components there are, without the memory that all of them may take.
_SAMPLE_STEPS = 200


def document_of(model: ServedModel, request: ForecastRequest) -> Document:
    """Return the forecast as the API shows it.

    Raises:
        RequestError: the model cannot be asked this; its text says what it can be asked.
        DataError: the model is broken in a way that only a forecast shows.
    """
    if request.customer_id is not None and request.customer_id != model.customer_id:
        # Whoever sent it here thinks of another model. Whose this one is, is not his to know.
        logger.info("asked for customer %r, this is the model of %r", request.customer_id, model.customer_id)
        raise RequestError("customer_id is not the customer of this model", "customer_id")
    try:
        rows, interval = _rows(model, request)
    except ForecastError as error:
        if error.argument in FIELDS:
            raise RequestError(str(error), error.argument) from error
        raise DataError(f"the customer's model cannot forecast: {error}") from error
    except EngineError as error:
        raise DataError(f"the customer's model cannot forecast: {error}") from error
    fitted = model.loaded.model
    timeline = fitted.timeline
    return {
        "customer_id": fitted.customer_id,
        "run_id": fitted.run_id,
        "family": fitted.family,
        "frequency": request.frequency or timeline.frequency,
        "training_end": iso_time(timeline.end),
        "trained_at": iso_time(fitted.trained_at),
        "interval": interval,
        "forecast": rows,
    }


def to_json(document: Any) -> bytes:
    """Return the text of a document; its floats must be finite."""
    try:
        return orjson.dumps(document)
    except TypeError:
        # Half a surrogate pair in a name, which has no UTF-8, but a way to be written in ASCII.
        return json.dumps(document).encode()


def _rows(model: ServedModel, request: ForecastRequest) -> tuple[list[Document], float]:
    predicted = forecast(
        model.loaded, request.period, request.start, request.interval, frequency=request.frequency
    )
    rows = [
        {"timestamp": moment, "yhat": yhat, "yhat_lower": lower, "yhat_upper": upper}
        for moment, yhat, lower, upper in zip(
            _texts(predicted.timestamps),
            predicted.yhat.tolist(),
            predicted.lower.tolist(),
            predicted.upper.tolist(),
            strict=True,
        )
    ]
    if request.components:
        _explain(rows, _components(model, request))
    return rows, predicted.interval


def _components(model: ServedModel, request: ForecastRequest) -> Mapping[str, npt.NDArray[np.float64]]:
    sample = min(request.period, _SAMPLE_STEPS)
    parts = components(model.loaded, sample, request.start, frequency=request.frequency)
    _check_size(parts, request.period)
    if sample == request.period:
        return parts
    return components(model.loaded, request.period, request.start, frequency=request.frequency)


def _check_size(names: Iterable[str], period: int) -> None:
    each = _STEP_BYTES + sum(_written_bytes(name) + _NUMBER_BYTES for name in names)
    if each * period > MAX_BYTES:
        raise RequestError(
            f"this model's components take up to {each} bytes a step, so at most {MAX_BYTES // each} steps can have "
            f"them in one answer, not {period}",
            "components",
        )


@lru_cache(maxsize=4096)
def _written_bytes(name: str) -> int:
    return len(json.dumps(json.dumps(name)))


def _explain(rows: list[Document], parts: Mapping[str, npt.NDArray[np.float64]]) -> None:
    if not all(np.isfinite(part).all() for part in parts.values()):
        raise DataError("the customer's model has components that are not numbers")
    names = list(parts)
    for row, values in zip(rows, zip(*(part.tolist() for part in parts.values()), strict=True), strict=True):
        row["components"] = dict(zip(names, values, strict=True))


def _texts(timestamps: npt.NDArray[np.int64]) -> list[str]:
    if len(timestamps) > _KEPT_STEPS:
        return _written(timestamps)
    return _kept_texts(timestamps.tobytes())


@lru_cache(maxsize=256)
def _kept_texts(timestamps: bytes) -> list[str]:
    return _written(np.frombuffer(timestamps, np.int64))


def _written(timestamps: npt.NDArray[np.int64]) -> list[str]:
    texts: list[str] = np.datetime_as_string(timestamps.astype("datetime64[s]"), timezone="UTC").tolist()
    return texts
