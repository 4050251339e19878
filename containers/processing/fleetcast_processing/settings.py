"""What a processing job is told through its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from zoneinfo import ZoneInfo

from fleetcast.errors import SettingError


@dataclass(frozen=True)
class Columns:
    customer: str = "customer_id"
    timestamp: str = "timestamp"
    value: str = "consumption"

    def names(self) -> tuple[str, str, str]:
        return self.customer, self.timestamp, self.value


@dataclass(frozen=True)
class ProcessingSettings:
    run_id: str
    customers_per_object: int = 1
    """No series object holds more customers than this, unless that would need more than max_objects."""
    max_objects: int = 5000
    """Above it, customers are grouped into this many objects of similar size."""
    columns: Columns = Columns()
    """The raw files' names of the three columns."""
    time_zone: str = "UTC"
    """The zone of timestamps that carry none."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read FLEETCAST_* variables (empty means default), or raise SettingError naming the variable."""
        return cls(
            run_id=_text(environ, "FLEETCAST_RUN_ID", None),
            customers_per_object=_count(environ, "FLEETCAST_CUSTOMERS_PER_OBJECT", cls.customers_per_object),
            max_objects=_count(environ, "FLEETCAST_MAX_OBJECTS", cls.max_objects),
            columns=_columns(environ),
            time_zone=_time_zone(environ),
        )


def _text(environ: Mapping[str, str], name: str, default: str | None) -> str:
    value = environ.get(name, "").strip() or default
    if value is None:
        raise SettingError(f"{name} is not set")
    return value


def _count(environ: Mapping[str, str], name: str, default: int) -> int:
    text = _text(environ, name, str(default))
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 10**9):
        raise SettingError(f"{name} must be a whole number from 1 to 1000000000, not {text!r}")
    return int(text)


def _columns(environ: Mapping[str, str]) -> Columns:
    columns = Columns(
        customer=_text(environ, "FLEETCAST_CUSTOMER_COLUMN", Columns.customer),
        timestamp=_text(environ, "FLEETCAST_TIMESTAMP_COLUMN", Columns.timestamp),
        value=_text(environ, "FLEETCAST_VALUE_COLUMN", Columns.value),
    )
    if len(set(columns.names())) < 3:
        raise SettingError(
            "FLEETCAST_CUSTOMER_COLUMN, FLEETCAST_TIMESTAMP_COLUMN and FLEETCAST_VALUE_COLUMN must name "
            f"three different columns, not {', '.join(columns.names())}"
        )
    return columns


def _time_zone(environ: Mapping[str, str]) -> str:
    name = _text(environ, "FLEETCAST_TIME_ZONE", ProcessingSettings.time_zone)
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise SettingError(
            f"FLEETCAST_TIME_ZONE must be a zone of the IANA database such as Europe/Berlin, not {name!r}"
        ) from error
    return name
