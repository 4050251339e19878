"""One customer's history, cleaned of what no model can use."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from fleetcast_engine.errors import NoValidRows
from fleetcast_engine.history.timeline import Floats, Ints, Timeline, find_timeline

# Beyond this a reading is a broken meter, and squares of it overflow.
_ABSURD = 1e15
# Prophet's calendar arithmetic is in nanoseconds, which end in 1677 and 2262.
EARLIEST = -6_000_000_000
LATEST = 7_000_000_000


@dataclass(frozen=True)
class Series:
    """A customer's rows: sorted, one per timestamp, every value finite. Gaps stay gaps.

    Attributes:
        timestamps: seconds since 1970 in UTC.
    """

    customer_id: str
    timestamps: Ints
    values: Floats
    timeline: Timeline

    @classmethod
    def from_arrays(cls, customer_id: str, timestamps: npt.ArrayLike, values: npt.ArrayLike) -> Self:
        """Build a series from rows in any order; of two rows with one timestamp the later one counts.

        Raises:
            NoValidRows: no row has a usable value and timestamp.
        """
        when, what = np.asarray(timestamps, np.int64), np.asarray(values, np.float64)
        valid = (np.abs(what) <= _ABSURD) & (when > EARLIEST) & (when < LATEST)
        when, what = when[valid], what[valid]
        if len(when) == 0:
            raise NoValidRows(f"none of {len(valid)} rows has a usable value")
        when, what = _sorted_without_duplicates(when, what)
        return cls(customer_id, when, what, find_timeline(when))

    @property
    def frequency(self) -> str:
        """The name of the frequency: 15min, 30min, hourly, daily, weekly, monthly or irregular."""
        return self.timeline.frequency

    @property
    def nonnegative(self) -> bool:
        """Whether no reading was ever below zero; forecasts then are not either."""
        return bool(self.values.min() >= 0)

    def __len__(self) -> int:
        return len(self.values)

    def head(self, rows: int) -> "Series":
        """Return the first `rows` rows, as if the rest had not happened yet."""
        timestamps = self.timestamps[:rows]
        timeline = Timeline(
            self.timeline.frequency, self.timeline.seconds, int(timestamps[-1]), self.timeline.month_day
        )
        return Series(self.customer_id, timestamps, self.values[:rows], timeline)


def _sorted_without_duplicates(timestamps: Ints, values: Floats) -> tuple[Ints, Floats]:
    order = np.argsort(timestamps, kind="stable")
    timestamps, values = timestamps[order], values[order]
    last_of_its_time = np.append(timestamps[1:] != timestamps[:-1], True)
    return timestamps[last_of_its_time], values[last_of_its_time]
