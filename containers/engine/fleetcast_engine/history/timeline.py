"""How a customer's rows are spaced, and how time goes on after the last of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

DAY = 86_400
IRREGULAR = "irregular"
MONTHLY = "monthly"
_HOUR = 3600
# A clock change moves a local midnight by one hour of UTC; two leave room for odd time zones.
_CLOCK_CHANGE = 2 * 3600
_HALF_A_MONTH = 15 * DAY
# Rows that are not a whole number of steps after the row before; above this share the series is irregular.
_STRAY_SHARE = 0.2
# A grid of so many steps takes 32 MB; it spans a century of quarter-hours.
MOST_STEPS = 4_000_000
# With fewer rows than one in so many steps, two rows an hour apart do not make a history hourly.
_STEPS_PER_ROW = 1000


@dataclass(frozen=True, slots=True)
class Spacing:
    """The nominal step of a frequency, how far a real step may be off, and its seasons, longest first."""

    seconds: int
    tolerance: int
    seasons: tuple[int, ...]


SPACINGS: Mapping[str, Spacing] = MappingProxyType(
    {
        "15min": Spacing(900, 60, (672, 96, 1)),
        "30min": Spacing(1800, 60, (336, 48, 1)),
        "hourly": Spacing(3600, 60, (168, 24, 1)),
        "daily": Spacing(DAY, _CLOCK_CHANGE, (7, 1)),
        "weekly": Spacing(7 * DAY, _CLOCK_CHANGE, (52, 1)),
        MONTHLY: Spacing(int(30.4375 * DAY), int(2.5 * DAY) + _CLOCK_CHANGE, (12, 1)),
    }
)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The frequency of a series and the moment after which it continues.

    Attributes:
        frequency: a key of SPACINGS, or "irregular".
        seconds: the nominal step; the median one where the frequency is irregular.
        end: the last row's timestamp, seconds since 1970 in UTC.
        month_day: the day of the month that monthly rows fall on (31: always the last); 0 for the others.
    """

    frequency: str
    seconds: int
    end: int
    month_day: int = 0

    @property
    def leeway(self) -> int:
        """How many seconds before a local midnight its step may lie: steps of whole days know no clock change."""
        spacing = SPACINGS.get(self.frequency)
        return _CLOCK_CHANGE if spacing and spacing.seconds >= DAY else 0

    def future(self, count: int, skipped: int = 0) -> Ints:
        """Return `count` timestamps after the first `skipped` ones; with -1, the end is the first of them."""
        steps = np.arange(skipped + 1, skipped + count + 1, dtype=np.int64)
        if self.frequency == MONTHLY:
            return self._future_months(steps)
        following: Ints = self.end + steps * self.seconds
        return following

    def step_at(self, moment: int) -> int:
        """Return which step, from 1, a moment after the end means: the first one at or after it.

        Where days begin at a local midnight, it is the one before if that is the same day's: the moment is just an
        hour later, as a change of the clock makes it, or a midnight of UTC, which stands for a date, within two hours.
        """
        step = self._first_at(moment)
        return step - 1 if step > 1 and self._begins_the_day(self._at(step - 1), moment) else step

    def steps_to(self, timestamps: Ints) -> Ints:
        """Return how many steps each timestamp lies after the end: 0 is the end, negative is history."""
        if self.frequency == MONTHLY:
            return self._months_to(timestamps)
        # Half a step off goes the same way for all rows; rounding to even would put two of them on one step.
        return np.floor((timestamps - self.end) / self.seconds + 0.5).astype(np.int64)

    def season(self, first: int) -> int:
        """Return the longest season that fits twice between `first` and the end."""
        if self.frequency == IRREGULAR:
            return 1
        steps = 1 - int(self.steps_to(np.array([first], np.int64))[0])
        return next(s for s in SPACINGS[self.frequency].seasons if s == 1 or steps >= 2 * s)

    def _first_at(self, moment: int) -> int:
        if self.frequency != MONTHLY:
            return -((self.end - moment) // self.seconds)
        # What counts months may be one off, since days of the month and clocks differ.
        skipped = max(int(self._months_to(np.array([moment], np.int64))[0]) - 2, 0)
        return skipped + 1 + int(np.searchsorted(self.future(4, skipped), moment))

    def _at(self, step: int) -> int:
        return (
            int(self.future(1, step - 1)[0]) if self.frequency == MONTHLY else self.end + step * self.seconds
        )

    def _begins_the_day(self, before: int, moment: int) -> bool:
        behind = moment - before
        # Days of UTC begin when they say.
        local = before % DAY != 0 and behind <= self.leeway
        return local and (behind == _HOUR or moment % DAY == 0)

    def _months_to(self, timestamps: Ints) -> Ints:
        # With the end moved to the middle of its month, neither a clock change nor a short month moves a row into
        # the month before or after: midnights in London are on the last of March and on the first of November.
        end = np.array([self.end], np.int64)
        middle = end.astype("datetime64[s]").astype("datetime64[M]").astype("datetime64[s]") + _HALF_A_MONTH
        moved = middle.astype(np.int64) - end
        return _months(timestamps + moved) - _months(middle.astype(np.int64))

    def _future_months(self, steps: Ints) -> Ints:
        end = np.datetime64(self.end, "s")
        months = end.astype("datetime64[M]") + steps
        days = np.minimum(self.month_day, _days_in(months))
        midnights = months.astype("datetime64[D]") + (days - 1)
        following: Ints = midnights.astype("datetime64[s]").astype(np.int64) + self.end % DAY
        return following


def find_timeline(timestamps: Ints) -> Timeline:
    """Return the timeline of sorted, distinct timestamps; gaps do not disturb it, since it goes by the usual step.

    Irregular are rows that mostly do not lie on steps of 15 or 30 minutes, an hour, a day, a week or a month, rows of
    which two would share a month, and rows so far apart that nearly all steps are missing.
    """
    end = int(timestamps[-1])
    steps = np.diff(timestamps)
    if len(steps) == 0:
        return Timeline(IRREGULAR, DAY, end)
    alike = (steps == steps[0]).all()
    name = _frequency_of_step(int(steps[0])) if alike else _frequency(steps)
    if name and end - int(timestamps[0]) < SPACINGS[name].seconds * min(
        MOST_STEPS, _STEPS_PER_ROW * len(timestamps)
    ):
        timeline = Timeline(
            name, SPACINGS[name].seconds, end, _month_day(timestamps) if name == MONTHLY else 0
        )
        if name != MONTHLY or np.diff(timeline.steps_to(timestamps)).all():
            return timeline
    return Timeline(IRREGULAR, max(int(np.median(steps)), 1), end)


@lru_cache(maxsize=1024)  # most customers have one and the same step throughout
def _frequency_of_step(step: int) -> str | None:
    return _frequency(np.array([step], np.int64))


def _frequency(steps: Ints) -> str | None:
    """Return the spacing that most steps have, or None where too many rows do not lie on it."""
    counts = {name: int(np.count_nonzero(_is_step(steps, s))) for name, s in SPACINGS.items()}
    name = max(counts, key=lambda frequency: counts[frequency])
    regular = counts[name] and _stray_share(steps, SPACINGS[name]) <= _STRAY_SHARE
    return name if regular else None


def _is_step(steps: Ints, spacing: Spacing) -> Mask:
    return np.abs(steps - spacing.seconds) <= spacing.tolerance


def _stray_share(steps: Ints, spacing: Spacing) -> float:
    whole = np.maximum(np.rint(steps / spacing.seconds), 1)
    return float(np.mean(np.abs(steps - whole * spacing.seconds) > spacing.tolerance))


def _months(timestamps: Ints) -> Ints:
    return timestamps.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)


def _days_in(months: npt.NDArray[np.datetime64]) -> Ints:
    days: Ints = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
    return days


def _month_day(timestamps: Ints) -> int:
    # February hides which day the rows fall on: where the last row ends its month, ask the year before it.
    recent = timestamps[-12:].astype("datetime64[s]").astype("datetime64[D]")
    months = recent.astype("datetime64[M]")
    days = (recent - months.astype("datetime64[D]")).astype(np.int64) + 1
    return int(days.max() if days[-1] == _days_in(months)[-1] else days[-1])
