"""What a person may change about the local cloud, through the environment of `fleetcast up`."""

from collections.abc import Mapping

MINUTE = "FLEETCAST_LOCAL_MINUTE"
_SHORTEST, _LONGEST = 0.1, 60.0


class SettingError(Exception):
    """A setting that cannot be; the text names it, its value and what is allowed."""


def minute_seconds(environ: Mapping[str, str]) -> float:
    """Return how many seconds a minute of the endpoints' metrics lasts: less than 60 to watch autoscaling work."""
    text = environ.get(MINUTE, "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not _SHORTEST <= seconds <= _LONGEST:
        raise SettingError(
            f"{MINUTE} must be a number of seconds from {_SHORTEST} to {_LONGEST}, not {text!r}"
        )
    return seconds
