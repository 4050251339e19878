"""Readings that resemble neither the days around them nor their own hour of the week, clipped to what does.

Either comparison alone takes sound readings for outliers: the first the weekends of an office, the second a day off.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fleetcast_engine.history.timeline import Floats, Ints

_DEVIATIONS = 8.0
# Of a normal distribution: its standard deviation in median absolute deviations.
_SIGMA_PER_MAD = 1.4826
# And how many of them lie between its median and its tenth.
_SIGMAS_PER_TENTH = 1.2816
# A robust deviation below this share of the median says that the meter is coarse, not that it is exact.
_FLOOR = 0.02
_WINDOW = 57
_STRIDE = 7
_WEEKS = 9
# With fewer weeks too few readings share an hour of the week.
_FEWEST_WEEKS = 5
# What has lasted so long and reaches the last row may be where the customer is now.
_NEW_LEVEL_DAYS = 3
_NEW_LEVEL_SHARE = 0.25
# Where fewer of the readings differ from the one before, their changes are the outliers themselves.
_CHANGING = 0.1


@dataclass(frozen=True)
class _Band:
    low: Floats
    high: Floats


def clip_by_row(readings: Floats) -> Floats:
    """Clip readings to the median ± 8 robust deviations of the 57 rows around them; shape kept."""
    band = _band_of_rows(readings, 1, _resolution(readings), with_tails=False)
    return _but_for_a_new_level(np.clip(readings, band.low, band.high), readings, 1)


def clip_by_week(readings: Floats, steps: Ints, per_day: int) -> Floats:
    """Clip what lies outside both bands: of the 57 days around a reading, and of its hour of the week.

    Args:
        readings: shape (rows,).
        steps: the step of each reading, shape (rows,), ascending.
        per_day: steps in a day.
    """
    resolution = _resolution(readings)
    short = len(readings) < _FEWEST_WEEKS * 7 * per_day
    days = _band_of_rows(readings, per_day, resolution, with_tails=short or per_day > 1)
    suspects = np.flatnonzero((readings < days.low) | (readings > days.high))
    if not len(suspects):
        return readings
    low, high = days.low[suspects], days.high[suspects]
    if not short:
        hours = _band_of_hours(readings, steps, per_day, resolution, suspects)
        low, high = np.fmin(low, hours.low), np.fmax(high, hours.high)
    clipped = readings.copy()
    clipped[suspects] = np.clip(readings[suspects], low, high)
    return _but_for_a_new_level(clipped, readings, per_day)


def _but_for_a_new_level(clipped: Floats, readings: Floats, per_day: int) -> Floats:
    """Return the clipped readings, but as they were on the last days if those all lie on the same side."""
    side = np.sign(clipped - readings)
    days = side[len(side) % per_day :].reshape(-1, per_day)[::-1].mean(axis=1)
    # The nights of a new level may look like the days of the old one.
    lasting = days * np.sign(days[0]) >= _NEW_LEVEL_SHARE
    count = int(np.argmin(np.append(lasting, False)))
    if count < _NEW_LEVEL_DAYS:
        return clipped
    start = len(readings) - count * per_day
    return np.append(clipped[:start], readings[start:])


def _resolution(readings: Floats) -> float:
    """Return the usual smallest change of the readings: the step of a coarse meter, next to nothing for a fine one."""
    changes = np.abs(np.diff(readings))
    changes = changes[changes > 0]
    if len(changes) < _CHANGING * len(readings):
        return 0.0
    tenth = len(changes) // 10
    return float(np.partition(changes, tenth)[tenth])


def _band_of_rows(readings: Floats, per_day: int, resolution: float, *, with_tails: bool) -> _Band:
    """Return the band of the 57 days of rows around each row, looked at anew every 7 days of rows."""
    window, stride = _WINDOW * per_day | 1, _STRIDE * per_day
    if len(readings) <= window:
        band = _band_of_windows(readings[None], resolution, with_tails=with_tails)
        return _Band(np.repeat(band.low, len(readings)), np.repeat(band.high, len(readings)))
    half = window // 2
    mirrored = np.concatenate([readings[:half][::-1], readings, readings[-half:][::-1]])
    windows = np.lib.stride_tricks.sliding_window_view(mirrored, window)[::stride]
    band = _band_of_windows(windows, resolution, with_tails=with_tails)
    nearest = np.arange(len(readings)) // stride
    return _Band(band.low[nearest], band.high[nearest])


def _band_of_windows(windows: Floats, resolution: float, *, with_tails: bool) -> _Band:
    centres = _middle(windows)
    spread = np.maximum(_SIGMA_PER_MAD * _middle(np.abs(windows - centres[:, None])), resolution)
    if not with_tails:
        return _band(centres, spread, spread)
    # Hours are skewed: a kettle is rare and far above the median of a home, and yet no outlier.
    tenth, last = windows.shape[1] // 10, windows.shape[1] - 1
    tails = np.partition(windows, (tenth, last - tenth), axis=1)
    below, above = centres - tails[:, tenth], tails[:, last - tenth] - centres
    return _band(
        centres, np.maximum(spread, below / _SIGMAS_PER_TENTH), np.maximum(spread, above / _SIGMAS_PER_TENTH)
    )


def _middle(windows: Floats) -> Floats:
    half = windows.shape[1] // 2
    if windows.shape[1] % 2:
        return np.partition(windows, half, axis=1)[:, half]
    middle: Floats = np.median(windows, axis=1)
    return middle


def _band_of_hours(readings: Floats, steps: Ints, per_day: int, resolution: float, suspects: Ints) -> _Band:
    """Return the band of each suspect's hour of the week (its weekday, where rows are days), over nine weeks.

    Where a reading should lie is the median of its hour of the week; how far it may stray is what the same hour of
    all days of those weeks strays from theirs.
    """
    weeks, place = np.divmod(steps - steps[0], 7 * per_day)
    # Weeks without a row take no memory.
    week = np.cumsum(np.diff(weeks, prepend=weeks[0]) > 0)
    table = np.full((int(week[-1]) + 1, 7 * per_day), np.nan)
    table[week, place] = readings
    suspected, which = np.unique(week[suspects], return_inverse=True)
    around = _around(table, suspected).reshape(len(suspected), 7, per_day, -1)
    centres = _median(around)
    strays = np.abs(around - centres[..., None]).transpose(0, 2, 1, 3)
    mads = _median(strays.reshape(len(suspected), per_day, -1))
    day, hour = np.divmod(place[suspects], per_day)
    spread = np.fmax(_SIGMA_PER_MAD * mads[which, hour], resolution)
    return _band(centres[which, day, hour], spread, spread)


def _around(table: Floats, weeks: Ints) -> Floats:
    """Return the up to nine weeks around each of the weeks, shape (weeks, places, 9); windows end at the edges."""
    size = min(_WEEKS, len(table))
    windows = np.lib.stride_tricks.sliding_window_view(table, size, axis=0)
    around: Floats = windows[np.clip(weeks - size // 2, 0, len(windows) - 1)]
    return around


def _median(windows: Floats) -> Floats:
    """Return the median along the last axis of what is there; NaN where nothing is."""
    ordered = np.sort(windows, axis=-1)
    count = np.count_nonzero(~np.isnan(ordered), axis=-1)
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, ordered.shape[-1] - 1)
    middle: Floats = (_at(ordered, low) + _at(ordered, high)) / 2
    return middle


def _at(ordered: Floats, place: npt.NDArray[np.intp]) -> Floats:
    return np.take_along_axis(ordered, place[..., None], axis=-1)[..., 0]


def _band(centres: Floats, below: Floats, above: Floats) -> _Band:
    least = _FLOOR * np.abs(centres)
    down, up = (_DEVIATIONS * np.maximum(spread, least) for spread in (below, above))
    # Where most readings are the same zero, nothing says how far another may stray.
    return _Band(np.where(down > 0, centres - down, -np.inf), np.where(up > 0, centres + up, np.inf))
