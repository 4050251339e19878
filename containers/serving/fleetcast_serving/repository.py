"""From the folder of an extracted artifact to a model that answers."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np

from fleetcast.errors import DataError
from fleetcast_engine import Forecast, LoadedModel, forecast, iso_time, load
from fleetcast_engine.errors import ArtifactError, EngineError
from fleetcast_serving.errors import LoadFailed
from fleetcast_serving.forecast_request import ForecastRequest

# Longer forecasts take milliseconds, in which the event loop could not answer /ping.
_INLINE_STEPS = 200
# What the registry needs for each of its models: names, an event, objects around it; measured, rounded up.
_SLOT_BYTES = 1500


class ServedModel:
    """A customer's model with the answer it gives."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return self._loaded.size + _SLOT_BYTES

    async def answer(self, request: ForecastRequest) -> bytes:
        """Return the forecast as the JSON that the API shows.

        Raises:
            DataError: the model is broken in a way that only a forecast shows.
        """
        if request.period <= _INLINE_STEPS:
            return self._answer(request.period)
        return await asyncio.to_thread(self._answer, request.period)

    def _answer(self, period: int) -> bytes:
        try:
            return json.dumps(self._document(forecast(self._loaded, period))).encode()
        except EngineError as error:
            raise DataError(f"the customer's model cannot forecast: {error}") from error

    def _document(self, predicted: Forecast) -> dict[str, Any]:
        model = self._loaded.model
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


def read_model(url: str) -> ServedModel:
    """Read the model that the platform has extracted to a folder.

    Raises:
        LoadFailed: there is no usable model in it.
    """
    try:
        return ServedModel(load(Path(url)))
    except ArtifactError as error:
        raise LoadFailed(str(error)) from error


def _rows(predicted: Forecast) -> list[dict[str, Any]]:
    moments = np.datetime_as_string(predicted.timestamps.astype("datetime64[s]")).tolist()
    columns = (predicted.yhat.tolist(), predicted.lower.tolist(), predicted.upper.tolist())
    return [
        {"timestamp": f"{moment}Z", "yhat": yhat, "yhat_lower": lower, "yhat_upper": upper}
        for moment, yhat, lower, upper in zip(moments, *columns, strict=True)
    ]
