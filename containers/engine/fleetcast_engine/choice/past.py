"""What was known at each of several origins, and what the families share of their work on it."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fleetcast_engine.choice.rhythm import Rhythm
from fleetcast_engine.choice.windows import levels, profile, windows
from fleetcast_engine.history.series import Series
from fleetcast_engine.history.timeline import Floats, Ints

# Below this share of the usual value logarithms go over into proportions: there they say too much.
_SOFTENED = 0.1
# What a cycle counts of the one after it, in the usual profile.
OLDER_WEEK = 0.9
_LOWEST, _HIGHEST = -3.0, 25.0


@dataclass(frozen=True)
class Past:
    """A customer's values on regular steps, seen from several origins.

    Attributes:
        raw: as metered, NaN where nothing is known.
        values: cleaned, as many.
        timestamps: of the steps, and of as many more as the horizon has.
        origins: index of the last step that is known; the first is the one to forecast from, the others are
            the backtest's, newest first.
        rhythm: of the steps.
        series: the cleaned rows, for models that ask for timestamps.
    """

    raw: Floats
    values: Floats
    timestamps: Ints
    origins: Ints
    rhythm: Rhythm
    series: Series

    @property
    def horizon(self) -> int:
        """Return the steps to forecast from each origin."""
        return self.rhythm.horizon

    @cached_property
    def positive(self) -> bool:
        """Whether no value was ever below zero."""
        return bool(np.nanmin(self.values) >= 0)

    @cached_property
    def silent(self) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """At which origins a whole cycle of zeros lies behind: what stands still goes on standing still."""
        zeros, cycle = np.concatenate([[0], np.cumsum(self.raw == 0)]), self.rhythm.cycle
        before = zeros[self.origins + 1] - zeros[np.maximum(self.origins + 1 - cycle, 0)]
        return np.asarray(before == cycle) if cycle > 1 else np.zeros(len(self.origins), bool)

    @cached_property
    def logarithmic(self) -> "Past":
        """The same past as log(1 + value / scale) where no value is negative; else itself."""
        return replace(self, values=np.log1p(self.values / self._scale)) if self.positive else self

    @cached_property
    def _scale(self) -> float:
        above = self.values[self.values > 0]
        return float(np.median(above)) * _SOFTENED if len(above) else 1.0

    def from_logarithmic(self, forecasts: Floats) -> Floats:
        """Return forecasts of the logarithmic past in the customer's unit."""
        if not self.positive:
            return forecasts
        bounded = np.clip(forecasts, _LOWEST, _HIGHEST)
        return np.asarray(np.expm1(bounded) * self._scale)

    @cached_property
    def cycles(self) -> Floats:
        """The last cycles before each origin: (origins, cycles, steps of a cycle)."""
        return self.cycles_before(self.origins)

    def cycles_before(self, origins: Ints) -> Floats:
        """Return the last cycles before other origins than its own."""
        cycle, count = self.rhythm.cycle, self.rhythm.cycles
        return windows(self.values, origins, cycle * count).reshape(len(origins), count, cycle)

    @cached_property
    def usual(self) -> "Level":
        """The profile of the last cycles, older ones counting a tenth less each, and what it leaves."""
        return self.level(self.cycles, OLDER_WEEK)

    def level(self, cycles: Floats, decay: float) -> "Level":
        """Return the profile of cycles and what it leaves, over as many units as levels look back."""
        return self.around(cycles, profile(cycles, decay))

    def around(self, cycles: Floats, shape: Floats) -> "Level":
        """Return a profile that is known, and what it leaves."""
        left = (cycles - shape[:, None]).reshape(len(cycles), -1)
        unit = self.rhythm.unit
        units = min(self.rhythm.units, left.shape[1] // unit)
        return Level(shape, left[:, left.shape[1] - units * unit :], unit)


@dataclass(frozen=True)
class Level:
    """A profile and what it leaves of the last values, from which levels of any memory follow.

    Attributes:
        shape: (origins, steps of a cycle).
        left: (origins, steps).
        unit: steps that a level is measured over.
    """

    shape: Floats
    left: Floats
    unit: int

    def with_memory(self, *half_lives: float) -> Floats:
        """Return the level at each origin: (half-lives, origins, 1)."""
        return levels(self.left, self.unit, half_lives).T[:, :, None]
