"""The seasonal naive: what was metered at the same point of the season before."""

from dataclasses import dataclass

import numpy as np

from fleetcast_engine.history.series import Series
from fleetcast_engine.history.timeline import Floats, Ints, Timeline


@dataclass(frozen=True)
class NaiveModel:
    """The last known value of each point of the season.

    Attributes:
        season: one value per step of the season, the step after the training end first.
        sigma: standard deviation of the error one season ahead.
    """

    season: Floats
    sigma: float

    def predict(self, timestamps: Ints, timeline: Timeline) -> Floats:
        """Return the value of the same point of the last season."""
        predicted: Floats = self.season[(timeline.steps_to(timestamps) - 1) % len(self.season)]
        return predicted

    def deviation(self, timestamps: Ints, timeline: Timeline) -> Floats:
        """Return the standard deviation of the forecast: it grows with each season repeated."""
        return self.sigma * self._growth(timestamps, timeline)

    def with_spread_of(self, timestamps: Ints, residuals: Floats, timeline: Timeline) -> "NaiveModel":
        """Return this model with its sigma measured from residuals after `timeline`'s end."""
        return NaiveModel(self.season, _root_mean_square(residuals / self._growth(timestamps, timeline)))

    def _growth(self, timestamps: Ints, timeline: Timeline) -> Floats:
        seasons = np.maximum((timeline.steps_to(timestamps) - 1) // len(self.season), 0)
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
