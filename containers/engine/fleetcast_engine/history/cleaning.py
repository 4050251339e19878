"""What a model may learn from: a series without what the meter made up."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from fleetcast_engine.history.grid import steps_of
from fleetcast_engine.history.outliers import clip_by_row, clip_by_week
from fleetcast_engine.history.repairs import Repairs
from fleetcast_engine.history.series import Series
from fleetcast_engine.history.silences import find_silences
from fleetcast_engine.history.timeline import IRREGULAR, Floats, Ints, Mask

# Steps in a day of the frequencies whose zeros and repetitions mean something.
_PER_DAY: Mapping[str, int] = MappingProxyType({"15min": 96, "30min": 48, "hourly": 24, "daily": 1})
_FEWEST_DAYS = 14
# Above this share readings below zero are not slips: power was fed in.
_RARE_NEGATIVES = 0.005


@dataclass(frozen=True)
class Cleaned:
    """A series before and after.

    Attributes:
        series: outage zeros and stuck runs taken out, outliers clipped; its timeline is that of `raw`.
        raw: the series as it was.
        repairs: what was done.
    """

    series: Series
    raw: Series
    repairs: Repairs


def clean(series: Series) -> Cleaned:
    """Return the series without what its meter made up; one of fewer than two weeks is left as it is."""
    steps = steps_of(series) if series.frequency != IRREGULAR else np.arange(len(series))
    lost = Repairs(series.unusable, series.duplicates, _missing(steps))
    per_day = _PER_DAY.get(series.frequency, 0)
    # A meter of what is fed in counts downwards; its readings are judged in the mirror.
    sign = -1.0 if np.count_nonzero(series.values < 0) > np.count_nonzero(series.values > 0) else 1.0
    readings = sign * series.values
    if not _is_enough(readings, per_day):
        return Cleaned(series, series, lost)
    negative = _single_negatives(readings)
    outage, stuck = find_silences(readings, steps, per_day) if per_day else (np.zeros_like(negative),) * 2
    keep = ~(outage | stuck | negative)
    if not _is_enough(readings[keep], per_day):
        return Cleaned(series, series, lost)
    kept = readings[keep]
    clipped = clip_by_week(kept, steps[keep], per_day) if per_day else clip_by_row(kept)
    repairs = replace(
        lost,
        outage=int(np.count_nonzero(outage)),
        stuck=int(np.count_nonzero(stuck)),
        outliers=int(np.count_nonzero(negative)) + int(np.count_nonzero(clipped != kept)),
    )
    if repairs == lost:
        return Cleaned(series, series, lost)
    return Cleaned(
        replace(series, timestamps=series.timestamps[keep], values=sign * clipped), series, repairs
    )


def _missing(steps: Ints) -> int:
    return int(np.maximum(np.diff(steps) - 1, 0).sum())


def _is_enough(readings: Floats, per_day: int) -> bool:
    positive = int(np.count_nonzero(readings > 0))
    return positive >= _FEWEST_DAYS and len(readings) >= _FEWEST_DAYS * per_day


def _single_negatives(readings: Floats) -> Mask:
    negative = readings < 0
    rare = np.count_nonzero(negative) <= max(1, _RARE_NEGATIVES * len(readings))
    return negative if rare else np.zeros_like(negative)
