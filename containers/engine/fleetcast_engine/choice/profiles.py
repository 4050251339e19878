"""Families that repeat: the naives, and a cycle's profile upon a level that forgets sooner or later."""

from collections.abc import Mapping

import numpy as np

from fleetcast_engine.choice.past import OLDER_WEEK, Past
from fleetcast_engine.choice.windows import last_of_cycle, levels, profile, repeat, windows
from fleetcast_engine.history.timeline import Floats

Forecasts = Mapping[str, Floats]

SEASONAL = "naive1"
MEAN_OF_FOUR = "naive4"
# In days, or in steps where those are longer.
_HALF_LIVES = (1, 2, 3, 5, 8, 14, 28)
_NAIVE_CYCLES = 12
# The trend of the levels goes on and dies away: each day adds this share of the day before.
_DAMPING = 0.95
_MEAN_AGE_PER_HALF_LIFE = 1 / np.log(2)
_AGE_OF_THREE_DAY_LEVEL = 3 * _MEAN_AGE_PER_HALF_LIFE
# The share of the last days' shape that stays.
_KEPT_SHAPE = 0.7


def naives(past: Past) -> Forecasts:
    """Return what was metered one cycle before, and the mean of the last four cycles.

    A step of the cycle that was never metered gets the mean of the others, as in the naive that is served.
    """
    cycle, origins = past.rhythm.cycle, past.origins
    count = min(_NAIVE_CYCLES, past.rhythm.cycles)
    cycles = windows(past.raw, origins, count * cycle).reshape(len(origins), count, cycle)
    return {
        name: repeat(_whole(last_of_cycle(cycles, count)), past.horizon)
        for name, count in ((SEASONAL, 1), (MEAN_OF_FOUR, 4))
    }


def _whole(cycle: Floats) -> Floats:
    return np.where(np.isnan(cycle), np.nanmean(cycle, axis=1, keepdims=True), cycle)


def profiles(past: Past) -> Forecasts:
    """Return profile plus level, plain and in logarithms, with a damped trend, and with the last days' shape."""
    plain, usual = past.level(past.cycles, 0.8), past.logarithmic.usual
    base = repeat(plain.shape, past.horizon) + plain.with_memory(2, 5)
    found = {"plain2": base[0], "plain5": base[1]}
    heights = usual.with_memory(*_HALF_LIVES)
    shape = repeat(usual.shape, past.horizon)
    logarithms = dict(zip((f"level{days}" for days in _HALF_LIVES), shape + heights, strict=True))
    logarithms["trend"] = shape + heights[2] + _damped_trend(past, heights)
    if past.rhythm.within_a_day:
        logarithms |= _shapes_of_last_days(past, shape, heights) | _days_alike(past)
    return found | _back(past, logarithms)


def _back(past: Past, logarithms: Forecasts) -> dict[str, Floats]:
    values = past.from_logarithmic(np.stack(list(logarithms.values())))
    return dict(zip(logarithms, values, strict=True))


def _damped_trend(past: Past, heights: Floats) -> Floats:
    """Return what the difference of a younger and an older level adds from the three-day level on."""
    per_day = (heights[4] - heights[6]) / ((_HALF_LIVES[6] - _HALF_LIVES[4]) * _MEAN_AGE_PER_HALF_LIFE)
    days = np.arange(1, past.horizon + 1) / past.rhythm.unit
    damped = _DAMPING * (1 - _DAMPING**days) / (1 - _DAMPING)
    return np.asarray(per_day * (_AGE_OF_THREE_DAY_LEVEL + damped))


def _shapes_of_last_days(past: Past, shape: Floats, heights: Floats) -> dict[str, Floats]:
    """Return forecasts that keep most of what the last days' hours differed from their profile."""
    left, unit = past.logarithmic.usual.left, past.rhythm.unit
    by_hour = left.reshape(len(left), -1, unit).transpose(0, 2, 1).reshape(len(left) * unit, -1)
    days = levels(by_hour, 1, (3, 8)).reshape(len(left), unit, 2)
    days -= days.mean(axis=1, keepdims=True)
    return {
        f"hours{memory}_level{_HALF_LIVES[height]}": shape
        + heights[height]
        + _KEPT_SHAPE * repeat(days[:, :, which], past.horizon)
        for which, memory in enumerate((3, 8))
        for height in (0, 2)
    }


def _days_alike(past: Past) -> dict[str, Floats]:
    """Return forecasts for whom all days of the week are alike, or half so: there are seven times as many."""
    log, unit = past.logarithmic, past.rhythm.unit
    weekly, cycles = log.usual.shape, log.cycles
    days = profile(cycles.reshape(len(cycles), -1, unit), OLDER_WEEK ** (unit / past.rhythm.cycle))
    found: dict[str, Floats] = {}
    for name, share in (("days_alike", 1.0), ("days_half_alike", 0.5)):
        level = log.around(cycles, share * repeat(days, past.rhythm.cycle) + (1 - share) * weekly)
        heights = level.with_memory(3, 8) + repeat(level.shape, past.horizon)
        found |= {f"{name}_level3": heights[0], f"{name}_level8": heights[1]}
    return found
