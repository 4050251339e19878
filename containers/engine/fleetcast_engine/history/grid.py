"""A series as values on regular steps, for whoever counts in steps and not in seconds."""

from dataclasses import dataclass

import numpy as np

from fleetcast_engine.errors import NoGrid
from fleetcast_engine.history.series import Series
from fleetcast_engine.history.timeline import IRREGULAR, Floats, Ints, Timeline


@dataclass(frozen=True)
class Grid:
    """One value per step of the series' frequency, from the first row to the timeline's end.

    Attributes:
        values: shape (steps,), NaN where a step has no row; where it has two, the later one counts.
        timeline: of the series; `values[-1]` belongs to its end, even where the row there was taken out.
    """

    values: Floats
    timeline: Timeline

    @classmethod
    def of(cls, series: Series) -> "Grid":
        """Put the rows of a series on their steps: months by the calendar, others by rounding.

        Raises:
            NoGrid: the series is irregular.
        """
        steps = steps_of(series)
        values = np.full(1 - int(steps[0]), np.nan)
        values[steps - 1] = series.values
        return cls(values, series.timeline)

    @property
    def seconds(self) -> int:
        """The nominal length of a step."""
        return self.timeline.seconds

    def __len__(self) -> int:
        return len(self.values)


def steps_of(series: Series) -> Ints:
    """Return the step of each row, shape (rows,), ascending: 0 at the timeline's end, negative before.

    Raises:
        NoGrid: the series is irregular.
    """
    if series.frequency == IRREGULAR:
        raise NoGrid(f"the {len(series)} rows lie on no regular steps; fit them where they are")
    return series.timeline.steps_to(series.timestamps)
