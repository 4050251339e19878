"""Wall-clock time of a named zone to UTC, over the two hours a year that need a rule.

The rules are those of the pipeline: a time that the clock shows twice is the first passing in the first row with it
and the second passing in every further one; a time that it skips never was, except midnight, which names a day and
moves to the moment the clock jumped to.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from fleetcast_engine.errors import NotASeries
from fleetcast_engine.history.timeline import DAY, Ints, Mask

_FIRST = int(datetime(1800, 1, 1, tzinfo=UTC).timestamp())
_LAST = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp())
# No zone changes its clock twice within a week and is back where it was.
_LOOK_EVERY = 7 * DAY


@dataclass(frozen=True)
class _Changes:
    """The moments a zone's clock changes, shape (changes,), and its offsets before, between and after them."""

    moments: Ints
    offsets: Ints


def to_utc(wall_clock: Ints, zone: str) -> tuple[Ints, Mask]:
    """Return seconds since 1970 in UTC of wall-clock seconds, and which of them the clock skipped.

    Args:
        wall_clock: what the clock showed, as seconds since its own 1970-01-01T00:00, shape (rows,).
        zone: an IANA name, such as `Europe/Berlin`.

    Raises:
        NotASeries: there is no such zone.
    """
    if zone == "UTC":
        return wall_clock, np.zeros(len(wall_clock), np.bool_)
    changes = _changes(zone)
    before, after = changes.offsets[:-1], changes.offsets[1:]
    early = np.searchsorted(changes.moments + before, wall_clock, side="right")
    late = np.searchsorted(changes.moments + after, wall_clock, side="right")
    chosen = np.where(_again(wall_clock, early < late), late, early)
    moments = wall_clock - changes.offsets[chosen]
    skipped = early > late
    midnight = skipped & (wall_clock % DAY == 0)
    moments[midnight] = changes.moments[late[midnight]]
    return moments, skipped & ~midnight


def _again(wall_clock: Ints, ambiguous: Mask) -> Mask:
    """Return which rows show an ambiguous time that an earlier row has shown."""
    again = np.zeros(len(wall_clock), np.bool_)
    rows = np.flatnonzero(ambiguous)
    _, first = np.unique(wall_clock[rows], return_index=True)
    again[np.delete(rows, first)] = True
    return again


@lru_cache(maxsize=32)
def _changes(name: str) -> _Changes:
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise NotASeries(
            f"there is no time zone {name!r}; it takes a name such as 'Europe/Berlin'"
        ) from error
    looks = range(_FIRST, _LAST, _LOOK_EVERY)
    offsets = [_offset(moment, zone) for moment in looks]
    moments = [
        _bisect(moment, moment + _LOOK_EVERY, zone)
        for moment, offset, following in zip(looks, offsets, offsets[1:], strict=False)
        if offset != following
    ]
    after = [_offset(moment, zone) for moment in moments]
    return _Changes(np.array(moments, np.int64), np.array([offsets[0], *after], np.int64))


def _bisect(low: int, high: int, zone: ZoneInfo) -> int:
    """Return the first second with the offset of `high`."""
    offset = _offset(high, zone)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _offset(middle, zone) == offset else (middle, high)
    return high


def _offset(moment: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(moment, zone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds())
