"""Our forecast for servers that are not ours: the same models, read and asked by the same engine."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from fleetcast_engine import Forecast, LoadedModel, forecast, iso_time, load


def read_fleet(folder: Path) -> dict[str, LoadedModel]:
    """Return every customer's model, from folders as the platform extracts artifacts to."""
    return {path.name: load(path / "model") for path in sorted(folder.iterdir())}


def answer(loaded: LoadedModel, period: int) -> bytes:
    """Return the document that our own container answers with."""
    model, predicted = loaded.model, forecast(loaded, period)
    document = {
        "customer_id": model.customer_id,
        "run_id": model.run_id,
        "family": model.family,
        "frequency": model.timeline.frequency,
        "training_end": iso_time(model.timeline.end),
        "trained_at": iso_time(model.trained_at),
        "interval": predicted.interval,
        "forecast": _rows(predicted),
    }
    return json.dumps(document).encode()


def _rows(predicted: Forecast) -> list[dict[str, Any]]:
    moments = np.datetime_as_string(predicted.timestamps.astype("datetime64[s]")).tolist()
    columns = (predicted.yhat.tolist(), predicted.lower.tolist(), predicted.upper.tolist())
    return [
        {"timestamp": f"{moment}Z", "yhat": yhat, "yhat_lower": lower, "yhat_upper": upper}
        for moment, yhat, lower, upper in zip(moments, *columns, strict=True)
    ]
