"""The seasonal naive: what was metered at the same point of the season before."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fleetcast_engine.choice.singles import doubles, offset_and_unit, singles
from fleetcast_engine.history.ahead import look_ahead
from fleetcast_engine.history.series import Series
from fleetcast_engine.history.timeline import Floats, Ints, Timeline
from fleetcast_engine.prophet.model import NO_REGRESSORS
from fleetcast_engine.score import score

# A week of half hours in double precision would make an artifact of 4 kB.
_LONGEST_DOUBLE = 200


@dataclass(frozen=True, slots=True)
class NaiveModel:
    """The last known value of each point of the season.

    Attributes:
        season: one value per step of the season, the step after the training end first. More than 200 become
            distances from the offset in single precision, as they are stored.
        sigma: standard deviation of the error one season ahead.
        offset: in the middle of a long season; 0 for others.
        unit: what a long season's distances are multiples of; 1 for others.
    """

    season: npt.NDArray[np.floating[Any]]
    sigma: float
    offset: float = 0.0
    unit: float = 1.0

    def __post_init__(self) -> None:
        if len(self.season) > _LONGEST_DOUBLE and not self.in_singles:
            offset, unit = offset_and_unit(self.season)
            object.__setattr__(self, "season", singles(self.season, offset, unit))
            object.__setattr__(self, "offset", offset)
            object.__setattr__(self, "unit", unit)

    @property
    def in_singles(self) -> bool:
        """Whether the season is kept as distances from the offset."""
        return self.season.dtype == np.float32

    def predict(
        self, timestamps: Ints, timeline: Timeline, _regressors: Mapping[str, Floats] = NO_REGRESSORS
    ) -> Floats:
        """Return the value of the same point of the last season; regressors are not looked at."""
        ahead, length = look_ahead(timeline, timestamps), len(self.season)
        within = ahead.consecutive and ahead.first >= 1 and ahead.last <= length
        places = slice(ahead.first - 1, ahead.last) if within else (ahead.steps - 1) % length
        return doubles(self.season[places], self.offset, self.unit)

    def bounds(
        self, timestamps: Ints, yhat: Floats, timeline: Timeline, interval: float
    ) -> tuple[Floats, Floats]:
        """Return bounds around `yhat` that hold the truth with probability `interval`."""
        margin = self.deviation(timestamps, timeline) * score(interval)
        return yhat - margin, yhat + margin

    def components(
        self, timestamps: Ints, timeline: Timeline, _regressors: Mapping[str, Floats] = NO_REGRESSORS
    ) -> dict[str, Floats]:
        """Return "trend", the season's mean, and "season", what the season adds to it."""
        mean = self.season.mean(dtype=np.float64) * self.unit + self.offset
        trend = np.full(len(timestamps), mean)
        return {"trend": trend, "season": self.predict(timestamps, timeline) - trend}

    def deviation(self, timestamps: Ints, timeline: Timeline) -> Floats:
        """Return the standard deviation of the forecast: it grows with each season repeated."""
        return self.sigma * self._growth(timestamps, timeline)

    def with_spread_of(self, timestamps: Ints, residuals: Floats, timeline: Timeline) -> "NaiveModel":
        """Return this model with its sigma measured from residuals after `timeline`'s end."""
        return replace(self, sigma=_root_mean_square(residuals / self._growth(timestamps, timeline)))

    def _growth(self, timestamps: Ints, timeline: Timeline) -> Floats:
        ahead = look_ahead(timeline, timestamps)
        if ahead.last <= len(self.season):
            return np.ones(len(ahead.steps))
        seasons = np.maximum((ahead.steps - 1) // len(self.season), 0)
        growth: Floats = np.sqrt(seasons + 1.0)
        return growth


def fit_naive(series: Series, length: int) -> NaiveModel:
    """Return the naive of a season of `length` steps; its sigma is 0 until it is measured."""
    season = np.full(length, np.nan)
    # Rows are in order of time, so each point of the season keeps its latest row.
    season[(series.timeline.steps_to(series.timestamps) - 1) % length] = series.values
    season[np.isnan(season)] = np.nanmean(season)
    return NaiveModel(season, 0.0)


def _root_mean_square(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))
