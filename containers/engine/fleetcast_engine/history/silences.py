"""Runs of one value that the meter made up: zeros while it was off, and readings that it repeats.

A run that reaches the last row stays, whatever it is: nobody knows yet how it ends.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fleetcast_engine.history.timeline import Floats, Ints, Mask

_OUTAGE_DAYS = 3
_BESIDE_DAYS = 7
# The share of the usual level that the days beside an outage have; zeros after less than that taper off.
_NORMAL_LEVEL = 0.3
_STUCK_DAYS = 4
_STUCK_DAYS_OF_HOURS = 1
_TIMES_USUAL_RUN = 4
# Above this share of the readings outside long runs, a value is one of the steps of a coarse meter.
_RARE_VALUE = 0.01
# And above this share of the runs it is what a constant load comes back to.
_RARE_RUNS = 0.05


@dataclass(frozen=True)
class _Runs:
    """Where runs of the same value on consecutive steps start and end, shape (runs,)."""

    starts: Ints
    ends: Ints
    lengths: Ints
    values: Floats

    def rows(self, chosen: npt.ArrayLike) -> Mask:
        """Return which rows lie in the chosen runs."""
        edges = np.zeros(int(self.ends[-1]) + 1, np.int64)
        runs = np.asarray(chosen, np.intp)
        edges[self.starts[runs]] += 1
        edges[self.ends[runs]] -= 1
        inside: Mask = np.cumsum(edges[:-1]) > 0
        return inside


def find_silences(readings: Floats, steps: Ints, per_day: int) -> tuple[Mask, Mask]:
    """Return which readings are zeros of an outage, and which ones the meter repeats, each of shape (rows,).

    Args:
        readings: shape (rows,), mostly positive.
        steps: the step of each reading, shape (rows,), ascending.
        per_day: steps in a day.
    """
    runs = _find_runs(readings, steps)
    inside, zero = runs.ends < len(readings), runs.values == 0
    silent = np.flatnonzero(inside & zero & (runs.lengths >= _OUTAGE_DAYS * per_day))
    shortest = per_day * (_STUCK_DAYS if per_day == 1 else _STUCK_DAYS_OF_HOURS)
    repeated = np.flatnonzero(inside & ~zero & (runs.lengths >= shortest))
    return (
        runs.rows(_outages(runs, silent, readings, steps, per_day) if len(silent) else silent),
        runs.rows(_stuck(runs, repeated, shortest) if len(repeated) else repeated),
    )


def _find_runs(readings: Floats, steps: Ints) -> _Runs:
    broken = (readings[1:] != readings[:-1]) | (steps[1:] - steps[:-1] > 1)
    breaks = np.flatnonzero(broken) + 1
    starts, ends = np.append(0, breaks), np.append(breaks, len(readings))
    return _Runs(starts, ends, ends - starts, readings[starts])


def _stuck(runs: _Runs, repeated: Ints, shortest: int) -> Ints:
    usual = np.median(runs.lengths[runs.values != 0])
    values = runs.values[repeated]
    ordinary = np.repeat(runs.values, np.where(runs.lengths < shortest, runs.lengths, 0))
    rare = (_share(values, ordinary) <= _RARE_VALUE) & (_share(values, runs.values) <= _RARE_RUNS)
    stuck: Ints = repeated[rare & (runs.lengths[repeated] >= _TIMES_USUAL_RUN * usual)]
    return stuck


def _share(values: Floats, among: Floats) -> Floats:
    """Return the share of each of the values among others."""
    ordered = np.sort(among)
    count = np.searchsorted(ordered, values, side="right") - np.searchsorted(ordered, values)
    share: Floats = count / max(len(ordered), 1)
    return share


def _outages(runs: _Runs, silent: Ints, readings: Floats, steps: Ints, per_day: int) -> list[int]:
    days = _means(readings, (steps - steps[0]) // per_day)
    normal = _NORMAL_LEVEL * float(np.median(days[days > 0]))
    # Before the first normal day a building is being put into service, not out of it.
    in_service = int(steps[0]) + per_day * int(np.argmax(days > normal))
    return [
        run
        for run in silent.tolist()
        if steps[runs.starts[run]] <= in_service
        or _level_beside(int(runs.starts[run]), int(runs.ends[run]), readings, steps, per_day) > normal
    ]


def _level_beside(start: int, end: int, readings: Floats, steps: Ints, per_day: int) -> float:
    """Return the level of the week before or after, whichever is higher; infinite where there is neither."""
    reach = _BESIDE_DAYS * per_day
    first = int(np.searchsorted(steps, steps[start] - reach))
    last = int(np.searchsorted(steps, steps[end - 1] + reach, side="right"))
    before = _means(readings[first:start], (steps[start] - 1 - steps[first:start]) // per_day)
    after = _means(readings[end:last], (steps[end:last] - steps[end - 1] - 1) // per_day)
    return max(
        (float(np.median(side[side > 0])) for side in (before, after) if (side > 0).any()), default=np.inf
    )


def _means(readings: Floats, days: Ints) -> Floats:
    """Return the mean reading of each day, NaN for a day without any; shape (days,)."""
    count = np.bincount(days)
    means: Floats = np.full(len(count), np.nan)
    np.divide(np.bincount(days, readings), count, out=means, where=count > 0)
    return means
