"""Timestamps and steps ahead, worked out once for all customers that share them.

A fleet is asked for the same days over and over. What follows from timeline and timestamps alone is kept for
the latest few of them, in arrays that nobody may write to. The caches are thread-safe, and bounded: only short
forecasts are kept, with some kilobytes each.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fleetcast_engine.history.timeline import IRREGULAR, MONTHLY, Floats, Ints, Timeline

# Half-hourly forecasts of a week and hourly ones of two fit in.
KEPT_STEPS = 400

_Key = tuple[str, int, int, int]


@dataclass(eq=False, slots=True)
class Ahead:
    """Where timestamps lie after the end of a timeline.

    Attributes:
        steps: as `Timeline.steps_to` counts them.
        first: the nearest of them; 0 where there are none.
        last: the furthest of them.
        consecutive: whether each is the one after the one before it.
        spacing: seconds between the steps from the first to the last; None where the first is the last.
        moved: variance that a trend gathers until each step, in squares of a step, when each step before it has
            changed its rate by a random number of variance 1, half a step ahead of it. 0 in the history.
    """

    steps: Ints
    first: int
    last: int
    consecutive: bool
    spacing: float | None
    moved: Floats


def future(timeline: Timeline, skipped: int, count: int) -> Ints:
    """Return `count` timestamps after the first `skipped` ones; nobody may write to them."""
    cached = _future if skipped + count <= KEPT_STEPS else _future.__wrapped__
    return cached(_key(timeline), skipped, count)


def look_ahead(timeline: Timeline, timestamps: Ints) -> Ahead:
    """Return where the timestamps lie after the end."""
    if len(timestamps) > KEPT_STEPS:
        return _ahead(timeline, timestamps)
    return _look_ahead(_key(timeline), timestamps.tobytes())


def _key(timeline: Timeline) -> _Key:
    # A tuple's hash costs a tenth of a dataclass's.
    return timeline.frequency, timeline.seconds, timeline.end, timeline.month_day


@lru_cache(maxsize=128)
def _future(key: _Key, skipped: int, count: int) -> Ints:
    timestamps = Timeline(*key).future(count, skipped)
    timestamps.flags.writeable = False
    return timestamps


@lru_cache(maxsize=128)
def _look_ahead(key: _Key, timestamps: bytes) -> Ahead:
    moments = np.frombuffer(timestamps, np.int64)
    frequency, seconds, end, _ = key
    if frequency != MONTHLY and len(moments) > 0:
        first, rest = divmod(int(moments[0]) - end, seconds)
        near = rest == 0 and first > 0 and first + len(moments) <= KEPT_STEPS
        if near and _future(key, first - 1, len(moments)).tobytes() == timestamps:
            return _consecutive(first, len(moments), seconds)
    return _ahead(Timeline(*key), moments)


# What follows the end step by step is where it is, whenever that end was.
@lru_cache(maxsize=128)
def _consecutive(first: int, count: int, seconds: int) -> Ahead:
    timeline = Timeline(IRREGULAR, seconds, 0)
    return _ahead(timeline, timeline.future(count, first - 1))


def _ahead(timeline: Timeline, timestamps: Ints) -> Ahead:
    if len(timestamps) == 0:
        return Ahead(timestamps, 0, 0, consecutive=False, spacing=None, moved=np.zeros(0))
    steps = timeline.steps_to(timestamps)
    # Called as reductions, which spares what the arrays' methods do around them.
    first, last = int(np.minimum.reduce(steps)), int(np.maximum.reduce(steps))
    count = steps.astype(np.float64) if first > 0 else np.maximum(steps, 0.0)
    # The sum of (i - 1/2)² for i from 1 to count.
    moved = count * (4 * count * count - 1) / 12
    consecutive = np.array_equal(steps, np.arange(first, first + len(steps)))
    return Ahead(steps, first, last, consecutive, _spacing(timeline, last), moved)


def _spacing(timeline: Timeline, last: int) -> float | None:
    if last < 2:
        return None
    if timeline.frequency != MONTHLY:
        return float(timeline.seconds)
    between = int(timeline.future(1, last - 1)[0]) - int(timeline.future(1)[0])
    return float(between) / (last - 1)
