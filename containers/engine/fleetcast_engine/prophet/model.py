"""Prophet's model as plain numbers: evaluating it needs neither Prophet nor pandas."""

from dataclasses import dataclass

import numpy as np

from fleetcast_engine.history.timeline import DAY, Floats, Ints, Timeline


@dataclass(frozen=True)
class Seasonality:
    """A Fourier series; its coefficients are the next `2 * order` of the model's beta."""

    name: str
    period: float
    order: int
    multiplicative: bool


@dataclass(frozen=True)
class ProphetModel:
    """The maximum a posteriori parameters of a linear trend with changepoints plus seasonalities.

    Trend, seasonalities and sigma are in units of `scale`; time runs from 0 at `start` to 1 at the last row.

    Attributes:
        start: timestamp of the first row.
        span: seconds from the first row to the last.
        rows: number of rows it was fitted on.
        correction: added to every forecast, in the customer's unit: what Prophet lately missed.
    """

    start: int
    span: int
    rows: int
    scale: float
    k: float
    m: float
    changepoints: Ints
    delta: Floats
    seasonalities: tuple[Seasonality, ...]
    beta: Floats
    sigma: float
    correction: float = 0.0

    def predict(self, timestamps: Ints, _timeline: Timeline) -> Floats:
        """Return the forecast; agrees with `Prophet.predict` but for the correction."""
        additive, multiplicative = self._seasonal(timestamps)
        yhat: Floats = self._trend(timestamps) * self.scale * (1 + multiplicative) + additive * self.scale
        return yhat + self.correction

    def deviation(self, timestamps: Ints, _timeline: Timeline) -> Floats:
        """Return the standard deviation of the forecast at consecutive future timestamps.

        Prophet simulates trend changes as frequent and as large as in the history; this is the exact
        variance of that simulation, plus the noise of the observations.
        """
        step = self._mean_step(timestamps)
        likelihood = min(len(self.changepoints) * step, 1.0)
        size = float(np.abs(self.delta).mean()) + 1e-8
        # A change half a step before row i has moved row j by (j - i + 1/2) steps; the squares add up.
        moved = np.cumsum((np.arange(len(timestamps)) + 0.5) ** 2) * step * step
        trend_variance = likelihood * 2 * size * size * moved
        _, multiplicative = self._seasonal(timestamps)
        deviation: Floats = np.sqrt(trend_variance * (1 + multiplicative) ** 2 + self.sigma**2) * self.scale
        return deviation

    def keeps_its_sign(self, timestamps: Ints) -> bool:
        """Return whether the trend never changes its sign, and no seasonality turns it upside down."""
        trend, (_, multiplicative) = self._trend(timestamps), self._seasonal(timestamps)
        return bool(trend.min() * trend.max() > 0 and multiplicative.min() > -1)

    def _mean_step(self, timestamps: Ints) -> float:
        if len(timestamps) > 1:
            return float(timestamps[-1] - timestamps[0]) / (len(timestamps) - 1) / self.span
        return 1 / (self.rows - 1)

    def _trend(self, timestamps: Ints) -> Floats:
        t = (timestamps - self.start) / self.span
        changes = (self.changepoints - self.start) / self.span
        active = (changes <= t[:, None]) * self.delta
        rate = active.sum(axis=1) + self.k
        offset = (active * -changes).sum(axis=1) + self.m
        trend: Floats = rate * t + offset
        return trend

    def _seasonal(self, timestamps: Ints) -> tuple[Floats, Floats]:
        sums = np.zeros((2, len(timestamps)))
        angle = np.pi * 2 * (timestamps / DAY)
        first = 0
        for seasonality in self.seasonalities:
            # Same order of operations as Prophet: at angles of half a million, another order costs 1e-10.
            angles = np.outer(angle, np.arange(1, seasonality.order + 1) / seasonality.period)
            beta = self.beta[first : first + 2 * seasonality.order]
            sums[int(seasonality.multiplicative)] += np.sin(angles) @ beta[0::2] + np.cos(angles) @ beta[1::2]
            first += 2 * seasonality.order
        return sums[0], sums[1]
