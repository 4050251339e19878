"""Questions to models of each kind, as the container gets them."""

import json
from typing import Any

import numpy as np
from tests.containers.engine_models import fitted, of_each_kind, prophet, regressors_for
from tests.containers.serving_support import END, naive_model

from fleetcast_engine import FittedModel, pack, unpack
from fleetcast_engine.history.timeline import Timeline
from fleetcast_engine.prophet.model import Holiday
from fleetcast_serving.forecasts import inquiry
from fleetcast_serving.repository import ServedModel

KINDS = {name: model for name, model in of_each_kind().items() if not regressors_for(model, 1)}
LINES = "application/jsonlines"


def served(model: FittedModel) -> ServedModel:
    return ServedModel(unpack(pack(model)))


MODEL = served(naive_model("7"))


def ask(request: Any, model: ServedModel = MODEL) -> dict[str, Any]:
    answer = inquiry(json.dumps(request).encode(), "application/json", "").answer(model)
    assert answer.content_type == "application/json"
    document: dict[str, Any] = json.loads(answer.body)
    return document


def lines(body: bytes, model: ServedModel = MODEL, accept: str = "") -> list[dict[str, Any]]:
    answer = inquiry(body, LINES, accept).answer(model)
    return [json.loads(line) for line in answer.body.splitlines()]


def with_holidays(count: int, name: str) -> ServedModel:
    """Return an hourly model that has a component for each of its holidays."""
    holidays = tuple(
        Holiday(f"{name} {number}", 0, (20_000,), multiplicative=False) for number in range(count)
    )
    parameters = prophet(beta=np.r_[np.resize(0.1, 6), np.full(count, 0.1)], holidays=holidays)
    return served(fitted("prophet", parameters, Timeline("hourly", 3600, END)))
