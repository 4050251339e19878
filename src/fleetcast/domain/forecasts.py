"""The request for a forecast, and the answer to it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fleetcast.domain.pointers import Release
from fleetcast.errors import DataError, RequestError

MAX_PERIOD = 8_784  # a leap year of hours
MAX_BODY_BYTES = 64 * 1024


@dataclass(frozen=True)
class ForecastRequest:
    """How many steps ahead a caller wants to see."""

    period: int

    @classmethod
    def from_body(cls, body: str | None) -> "ForecastRequest":
        """Parse a JSON body, or raise RequestError with the field and what is allowed."""
        if body is not None and len(body) > MAX_BODY_BYTES:
            raise RequestError(f"the body has more than {MAX_BODY_BYTES} bytes", "body")
        try:
            document = json.loads(body or "")
        except (ValueError, RecursionError) as error:
            raise RequestError(f'the body must be JSON such as {{"period": 7}}: {error}', "body") from error
        if not isinstance(document, dict):
            raise RequestError('the body must be a JSON object such as {"period": 7}', "body")
        unknown = sorted(document.keys() - {"period"})
        if unknown:
            name = unknown[0][:64]
            raise RequestError(f"unknown field {name!r}; allowed: period", name)
        return cls(_period(document.get("period")))

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> "ForecastRequest":
        """Parse an API Gateway proxy event."""
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        media_type = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise RequestError(
                f"Content-Type must be application/json, not {media_type[:64]!r}", "Content-Type"
            )
        return cls.from_body(event.get("body"))

    def to_document(self) -> dict[str, int]:
        return {"period": self.period}


def _period(value: Any) -> int:
    # bool is an int to Python, but true is not a number of steps to anybody else
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_PERIOD:
        raise RequestError(
            f"period must be a whole number from 1 to {MAX_PERIOD}, not {json.dumps(value)[:50]}", "period"
        )
    return value


def answer(customer_id: str, release: Release, forecast: Any, now: datetime) -> dict[str, Any]:
    """Join the container's forecast with what the pointer knows of its model.

    Raises:
        DataError: the container answered for another customer, which must never reach a caller, or with something
            that is no forecast.
    """
    if not isinstance(forecast, Mapping) or not isinstance(forecast.get("forecast"), list):
        raise DataError(f"model {release.key} answered with something that is no forecast")
    if forecast.get("customer_id") != customer_id:
        raise DataError(f"model {release.key} answered for another customer than {customer_id!r}")
    trained = datetime.fromisoformat(release.trained_at)
    return {
        "customer_id": customer_id,
        "run_id": release.run_id,
        "model_family": release.family,
        "training_end": release.training_end,
        "model_age_seconds": max(0, int((now.astimezone(UTC) - trained).total_seconds())),
        "frequency": forecast.get("frequency"),
        "interval": forecast.get("interval"),
        "forecast": forecast["forecast"],
    }
