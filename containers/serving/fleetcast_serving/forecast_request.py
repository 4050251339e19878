"""What a caller may ask of a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from fleetcast.errors import RequestError

# A leap year of hours.
MAX_PERIOD = 8784


@dataclass(frozen=True)
class ForecastRequest:
    """How many steps of the customer's own frequency to forecast."""

    period: int

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Check a request's body.

        Raises:
            RequestError: with the offending field.
        """
        for field in document:
            if field != "period":
                raise RequestError(
                    f"{field!r} is not a field of a forecast request; period is the only one", field
                )
        if "period" not in document:
            raise RequestError("period is missing", "period")
        period = document["period"]
        if type(period) is not int or not 1 <= period <= MAX_PERIOD:
            raise RequestError(f"period must be a whole number from 1 to {MAX_PERIOD}", "period")
        return cls(period)
