"""The request for a forecast, and the answer to it: one set of rules for the API and for the serving container."""

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from fleetcast.domain.names import check_customer_id
from fleetcast.domain.pointers import Release
from fleetcast.errors import DataError, RequestError

MAX_PERIOD = 8_784  # a leap year of hours
MAX_BODY_BYTES = 64 * 1024
# Beyond the upper one no backtest has seen how far off a forecast can be; below the lower one nobody needs bounds.
MIN_INTERVAL, MAX_INTERVAL = 0.0001, 0.9999
DEFAULT_INTERVAL = 0.8
# A model has one of them, and may be asked for a coarser one of which each step is one of its own.
FREQUENCIES = ("15min", "30min", "hourly", "daily", "weekly", "monthly", "irregular")
# What any caller may ask for; `customer_id` only where the path does not name the customer.
FIELDS = ("period", "start", "frequency", "interval", "components")
CUSTOMER_ID = "customer_id"

# As api/openapi.yaml has it, so in characters that mean the same to every reader of patterns.
MOMENT = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_MOMENT = re.compile(MOMENT)
_LATEST = 253_402_300_799  # the last second of 9999, where calendars end
_ROW = ("timestamp", "yhat", "yhat_lower", "yhat_upper")
_COMPONENTS = "components"


@dataclass(frozen=True)
class ForecastRequest:
    """What a caller wants to see.

    Attributes:
        period: how many steps.
        start: seconds since 1970 in UTC, at or after which the first step lies, unless it is the same local day's a
            little before it; None for right after the data.
        frequency: one of FREQUENCIES; None for the model's own.
        interval: probability that the truth lies between the bounds.
        components: whether to say what each step is made of.
        customer_id: whose forecast, where the request has to say it.
    """

    period: int
    start: int | None = None
    frequency: str | None = None
    interval: float = DEFAULT_INTERVAL
    components: bool = False
    customer_id: str | None = None

    @classmethod
    def from_body(cls, body: str | bytes | None, fields: Sequence[str] = FIELDS) -> "ForecastRequest":
        """Parse a JSON body, or raise RequestError with the field and what is allowed."""
        if body is not None and len(body) > MAX_BODY_BYTES:
            raise RequestError(f"the body has more than {MAX_BODY_BYTES} bytes", "body")
        try:
            text = body.decode() if isinstance(body, bytes) else body
            # Some editors begin every file with a byte order mark, which JSON does not know.
            text = (text or "").removeprefix("\ufeff")
            document = json.loads(text, object_pairs_hook=_without_repetition)
        except UnicodeDecodeError as error:
            raise RequestError(f"the body is not UTF-8: byte {error.start} is not", "body") from error
        except (ValueError, RecursionError) as error:
            raise RequestError(f'the body must be JSON such as {{"period": 7}}: {error}', "body") from error
        if not isinstance(document, dict):
            raise RequestError('the body must be a JSON object such as {"period": 7}', "body")
        return cls.from_document(document, fields)

    @classmethod
    def from_document(cls, document: Mapping[str, Any], fields: Sequence[str] = FIELDS) -> "ForecastRequest":
        """Check each field, or raise RequestError with the field and what is allowed."""
        unknown = sorted(document.keys() - set(fields))
        if unknown:
            name = unknown[0][:64]
            raise RequestError(f"unknown field {name!r}; allowed: {', '.join(fields)}", name)
        given = {"period": None, **document}
        return cls(**{name: _CHECKS[name](value) for name, value in given.items()})

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

    def to_document(self) -> dict[str, Any]:
        """Return the JSON object; what is as usual is left out, so that a former container understands most of them."""
        usual = asdict(ForecastRequest(self.period)) | {"period": None}
        document = {name: value for name, value in asdict(self).items() if value != usual[name]}
        return document if self.start is None else {**document, "start": _iso_time(self.start)}


def _iso_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0][:64]
        raise RequestError(f"field {name!r} comes more than once", name)
    return document


def _period(value: Any) -> int:
    # bool is an int to Python, but true is not a number of steps to anybody else
    if type(value) is not int or not 1 <= value <= MAX_PERIOD:
        raise RequestError(
            f"period must be a whole number from 1 to {MAX_PERIOD}, not {_shown(value)}", "period"
        )
    return value


def _start(value: Any) -> int:
    seconds = _seconds(value) if isinstance(value, str) and _MOMENT.fullmatch(value) else None
    if seconds is None or not 0 <= seconds <= _LATEST:
        raise RequestError(
            "start must be a time from 1970 to 9999 such as 2026-02-01T00:00:00Z, in UTC unless it says otherwise,"
            f" not {_shown(value)}",
            "start",
        )
    return seconds


def _seconds(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:  # such as the 30th of February
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return math.ceil((moment - datetime.fromtimestamp(0, UTC)).total_seconds())


def _frequency(value: Any) -> str:
    if not isinstance(value, str) or value not in FREQUENCIES:
        raise RequestError(
            f"frequency must be one of {', '.join(FREQUENCIES)}, not {_shown(value)}", "frequency"
        )
    return value


def _interval(value: Any) -> float:
    if type(value) not in (int, float) or not MIN_INTERVAL <= value <= MAX_INTERVAL:
        raise RequestError(
            f"interval must be a number from {MIN_INTERVAL} to {MAX_INTERVAL}, not {_shown(value)}",
            "interval",
        )
    return float(value)


def _components(value: Any) -> bool:
    if not isinstance(value, bool):
        raise RequestError(f"components must be true or false, not {_shown(value)}", _COMPONENTS)
    return value


def _customer_id(value: Any) -> str:
    if not isinstance(value, str):
        raise RequestError(f"customer_id must be a text, not {_shown(value)}", CUSTOMER_ID)
    return check_customer_id(value)


_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "period": _period,
    "start": _start,
    "frequency": _frequency,
    "interval": _interval,
    _COMPONENTS: _components,
    CUSTOMER_ID: _customer_id,
}


def _shown(value: Any) -> str:
    """Return the beginning of a value as its sender wrote it."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return json.dumps(value)[:50]


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


def to_csv(forecast: Mapping[str, Any]) -> str:
    """Return the rows of an answer under a header; a component is a column named `components.<its name>`.

    Half a surrogate pair in a name is written as an escape, since no table in UTF-8 can hold it.
    """
    rows = forecast["forecast"]
    names: Iterable[str] = rows[0].get(_COMPONENTS, ()) if rows else ()
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow((CUSTOMER_ID, *_ROW, *(f"{_COMPONENTS}.{name}" for name in names)))
    customer = forecast[CUSTOMER_ID]
    for row in rows:
        writer.writerow((customer, *(row[name] for name in _ROW), *row.get(_COMPONENTS, {}).values()))
    return written.getvalue().encode(errors="backslashreplace").decode()
