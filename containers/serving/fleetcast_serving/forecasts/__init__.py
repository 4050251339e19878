"""From a request's body to an answer's."""

import json
from typing import Any, NamedTuple

import numpy as np

from fleetcast.errors import DataError, RequestError
from fleetcast_engine import Forecast, forecast, iso_time
from fleetcast_engine.errors import EngineError
from fleetcast_serving.errors import UnsupportedContentType
from fleetcast_serving.repository import ServedModel

MAX_PERIOD = 8784


class Answer(NamedTuple):
    body: bytes
    content_type: str


class Inquiry:
    def __init__(self, steps: int) -> None:
        self.steps = steps

    def answer(self, model: ServedModel) -> Answer:
        try:
            document = _document(model, forecast(model.loaded, self.steps))
        except EngineError as error:
            raise DataError(f"the customer's model cannot forecast: {error}") from error
        return Answer(json.dumps(document).encode(), "application/json")

    answer_from = answer


def inquiry(body: bytes, content_type: str, accept: str) -> Inquiry:
    kind, _, parameters = content_type.lower().partition(";")
    charset = parameters.partition("charset=")[2].strip(' "')
    if kind.strip() not in ("", "application/json") or charset not in ("", "utf-8", "utf8"):
        raise UnsupportedContentType(f"the content type must be application/json, not {content_type!r}")
    try:
        document = json.loads(body.decode())
    except UnicodeDecodeError as error:
        raise RequestError(f"the body is not UTF-8: byte {error.start} is not") from error
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise RequestError('the body must be a JSON object such as {"period": 7}')
    for field in document:
        if field != "period":
            raise RequestError(f"{field!r} is not a field of a forecast request", field)
    if "period" not in document:
        raise RequestError("period is missing", "period")
    period = document["period"]
    if type(period) is not int or not 1 <= period <= MAX_PERIOD:
        raise RequestError(f"period must be a whole number from 1 to {MAX_PERIOD}", "period")
    return Inquiry(period)


def _document(served: ServedModel, predicted: Forecast) -> dict[str, Any]:
    model = served.loaded.model
    return {
        "customer_id": model.customer_id,
        "run_id": model.run_id,
        "family": model.family,
        "frequency": model.timeline.frequency,
        "training_end": iso_time(model.timeline.end),
        "trained_at": iso_time(model.trained_at),
        "interval": predicted.interval,
        "forecast": _rows(predicted),
    }


def _rows(predicted: Forecast) -> list[dict[str, Any]]:
    moments = np.datetime_as_string(predicted.timestamps.astype("datetime64[s]")).tolist()
    columns = (predicted.yhat.tolist(), predicted.lower.tolist(), predicted.upper.tolist())
    return [
        {"timestamp": f"{moment}Z", "yhat": yhat, "yhat_lower": lower, "yhat_upper": upper}
        for moment, yhat, lower, upper in zip(moments, *columns, strict=True)
    ]
