"""Our forecast for servers that are not ours: the same models, the same engine, an answer written the same way."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from fleetcast_engine import Forecast, LoadedModel, forecast, iso_time, load


def read_fleet(folder: Path) -> dict[str, LoadedModel]:
    """Return every customer's model, from folders as the platform extracts artifacts to."""
    return {path.name: load(path / "model") for path in sorted(folder.iterdir())}


def answer(loaded: LoadedModel, period: int) -> bytes:
    """Return the document that our own container answers with."""
    model, predicted = loaded.model, forecast(loaded, period)
    return orjson.dumps(
        {
            "customer_id": model.customer_id,
            "run_id": model.run_id,
            "family": model.family,
            "frequency": model.timeline.frequency,
            "training_end": iso_time(model.timeline.end),
            "trained_at": iso_time(model.trained_at),
            "interval": predicted.interval,
            "forecast": _rows(predicted),
        }
    )


def _rows(predicted: Forecast) -> list[dict[str, Any]]:
    moments = _texts(predicted.timestamps.tobytes())
    columns = (predicted.yhat.tolist(), predicted.lower.tolist(), predicted.upper.tolist())
    return [
        {"timestamp": moment, "yhat": yhat, "yhat_lower": lower, "yhat_upper": upper}
        for moment, yhat, lower, upper in zip(moments, *columns, strict=True)
    ]


@lru_cache(maxsize=256)
def _texts(timestamps: bytes) -> list[str]:
    """Customers whose data end together share these, in our container as well."""
    moments = np.frombuffer(timestamps, np.int64).astype("datetime64[s]")
    texts: list[str] = np.datetime_as_string(moments, timezone="UTC").tolist()
    return texts
