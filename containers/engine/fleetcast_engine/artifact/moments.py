"""Times as all of Fleetcast writes them."""

from datetime import UTC, datetime
from functools import lru_cache

_LENGTH = len("2026-01-31T00:00:00Z")


@lru_cache(maxsize=4096)  # a fleet begins, ends and was trained at the same few moments
def iso_time(seconds: int) -> str:
    """Return ISO 8601 in UTC, such as 2026-01-31T00:00:00Z."""
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[: _LENGTH - 1]}Z"


def seconds_of(text: str) -> int:
    """Return the seconds since 1970 of what `iso_time` wrote.

    Raises:
        ValueError: it did not write that.
    """
    if len(text) != _LENGTH or text[-1] != "Z":
        raise ValueError(text)
    return int(datetime.fromisoformat(text).timestamp())
