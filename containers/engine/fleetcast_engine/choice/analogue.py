"""The family of yearly analogues: what the same method missed 364, 728 and 1,092 days ago, on the same weekdays."""

import numpy as np

from fleetcast_engine.choice.past import OLDER_WEEK, Past
from fleetcast_engine.choice.profiles import Forecasts
from fleetcast_engine.choice.windows import ahead, repeat
from fleetcast_engine.history.timeline import Floats

_YEARS = 3
_MEMORIES = (1, 3, 8)
_SHARES = (0.25, 0.5, 0.75)
# A year ago counts only if four weeks of history lay before it.
_DAYS_BEFORE = 27
# Part of what was missed is the week's, not the day's.
_OF_THE_WEEK = 0.4
_LARGEST_LOGARITHM = 1.5


def analogues(past: Past) -> Forecasts:
    """Return profile plus level plus a share of what they missed a year before; nothing in the first year."""
    year, enough = past.rhythm.year, _DAYS_BEFORE * past.rhythm.unit
    years = [k * year for k in range(1, _YEARS + 1) if year and past.origins[0] - k * year >= enough]
    if not years:
        return {}
    past_log = past.logarithmic
    heights = past_log.usual.with_memory(*_MEMORIES)
    # Where nothing is known of the year before, nothing was missed.
    missed = np.nan_to_num(_smoothed(_missed(past_log, years, enough), past))
    base = repeat(past_log.usual.shape, past.horizon) + heights
    forecasts = base + np.array(_SHARES)[:, None, None, None] * missed
    values = past.from_logarithmic(forecasts)
    return {
        f"yearly{round(100 * share)}_level{memory}": values[i, j]
        for i, share in enumerate(_SHARES)
        for j, memory in enumerate(_MEMORIES)
    }


def _missed(past: Past, years: list[int], enough: int) -> Floats:
    """Return the mean over the years of actual minus forecast: (memories, origins, horizon)."""
    origins = np.concatenate([past.origins - year for year in years])
    known = origins >= enough
    then = np.maximum(origins, 0)
    level = past.level(past.cycles_before(then), OLDER_WEEK)
    heights = level.with_memory(*_MEMORIES)
    missed = ahead(past.values, then, past.horizon) - repeat(level.shape, past.horizon) - heights
    missed = np.clip(missed, -_LARGEST_LOGARITHM, _LARGEST_LOGARITHM) if past.positive else missed
    missed[:, ~known] = np.nan
    by_year = missed.reshape(len(_MEMORIES), len(years), len(past.origins), past.horizon)
    return _mean(by_year, axis=1)


def _smoothed(missed: Floats, past: Past) -> Floats:
    """Return each step moved towards the mean of its week, or of its day where a day has several steps."""
    length = past.rhythm.unit if past.rhythm.within_a_day else past.rhythm.cycle
    whole = -(-past.horizon // length) * length
    padded = np.concatenate([missed, np.full((*missed.shape[:2], whole - past.horizon), np.nan)], axis=2)
    weeks = _mean(padded.reshape(*missed.shape[:2], -1, length), axis=3)
    of_the_week = weeks.repeat(length, axis=2)[:, :, : past.horizon]
    return np.asarray((1 - _OF_THE_WEEK) * missed + _OF_THE_WEEK * of_the_week)


def _mean(values: Floats, axis: int) -> Floats:
    """Return the mean of what is known, NaN where nothing is."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        means: Floats = np.where(known, values, 0.0).sum(axis=axis) / known.sum(axis=axis)
    return means
