"""Steps of a coarser frequency that are steps of the series' own: every 24th hour, the same day of each month."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from fleetcast_engine.history.timeline import DAY, MONTHLY, SPACINGS, Ints, Timeline


def _coarser(frequency: str) -> tuple[str, ...]:
    seconds = SPACINGS[frequency].seconds
    whole = {name: spacing.seconds for name, spacing in SPACINGS.items() if name != MONTHLY}
    found = [name for name, other in whole.items() if other > seconds and other % seconds == 0]
    # A month is a whole number of days, and of nothing longer.
    return (*found, MONTHLY) if DAY % seconds == 0 else tuple(found)


# Others, such as irregular ones, have none.
COARSER: Mapping[str, tuple[str, ...]] = MappingProxyType({name: _coarser(name) for name in SPACINGS})


def coarser_future(timeline: Timeline, frequency: str, first: int | None, count: int) -> Ints:
    """Return `count` timestamps of one of the timeline's coarser frequencies.

    Args:
        timeline: whose steps they are.
        frequency: one of COARSER.
        first: the first of them, which is a step; by default the one a whole coarse step after the end.
        count: at least 1.
    """
    begin = timeline.end if first is None else first
    # A local midnight lies on the day before in UTC, whose months would be counted from another day of the month.
    leeway = timeline.leeway if frequency == MONTHLY else 0
    month_day = _day_of_month(begin + leeway) if frequency == MONTHLY else 0
    coarse = Timeline(frequency, SPACINGS[frequency].seconds, begin + leeway, month_day)
    return coarse.future(count, 0 if first is None else -1) - leeway


def _day_of_month(moment: int) -> int:
    day = np.datetime64(moment, "s").astype("datetime64[D]")
    return int((day - day.astype("datetime64[M]")).astype(np.int64)) + 1
