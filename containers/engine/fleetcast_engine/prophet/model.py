"""Prophet's model as plain numbers: evaluating it needs neither Prophet nor pandas."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

import numpy as np

from fleetcast_engine.errors import MissingRegressor
from fleetcast_engine.history.ahead import Ahead, look_ahead
from fleetcast_engine.history.timeline import DAY, Floats, Ints, Timeline
from fleetcast_engine.prophet.line import Line
from fleetcast_engine.score import score

Growth = Literal["linear", "flat", "logistic"]
GROWTHS: Final[tuple[Growth, ...]] = ("linear", "flat", "logistic")
# What `components` adds to the names of seasonalities, holidays and regressors; the two sums are Prophet's.
TREND: Final = "trend"
CORRECTION: Final = "correction"
SUMS: Final = ("additive_terms", "multiplicative_terms")

# 16 MB: a year of hours with all of Prophet's own seasonalities is below it.
_MAX_VALUES = 2_000_000

NO_REGRESSORS: Mapping[str, Floats] = MappingProxyType({})


@dataclass(frozen=True)
class Seasonality:
    """A Fourier series; its coefficients are the next `2 * order` of the model's beta."""

    name: str
    period: float
    order: int
    multiplicative: bool


@dataclass(frozen=True)
class Holiday:
    """A column that is 1 on certain days, and its one coefficient; those of one name are one component.

    Attributes:
        offset: how many days its days lie after the holiday itself; negative before it.
        days: since 1970, sorted.
    """

    name: str
    offset: int
    days: tuple[int, ...]
    multiplicative: bool

    def column(self, timestamps: Ints) -> Floats:
        """Return the column at the timestamps; a day is one of UTC."""
        return np.isin(timestamps // DAY, self.days).astype(np.float64)


@dataclass(frozen=True)
class Regressor:
    """A column of values that somebody has to know ahead, and its one coefficient.

    Attributes:
        mean: taken off the values before they are divided by `deviation`; 0 and 1 where they stay as they are.
    """

    name: str
    mean: float
    deviation: float
    multiplicative: bool


@dataclass(frozen=True, slots=True)
class ProphetModel:
    """The parameters of Prophet's model: a trend with changepoints, seasonalities, holidays and regressors.

    Trend, terms and sigma are in units of `scale`; time runs from 0 at `start` to 1 at the last row.

    Attributes:
        start: timestamp of the first row.
        span: seconds from the first row to the last.
        rows: number of rows it was fitted on.
        beta: the coefficients of the seasonalities, then of the holidays, then of the regressors, in their order.
        correction: added to every forecast, in the customer's unit: what Prophet lately missed.
        growth: "flat" has k and delta of zeros.
        cap: where a logistic trend ends, in the customer's unit; 0 for the others, which have none.
        floor: where it comes from.
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
    growth: Growth = "linear"
    cap: float = 0.0
    floor: float = 0.0
    holidays: tuple[Holiday, ...] = ()
    regressors: tuple[Regressor, ...] = ()
    _line: Line | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def terms(self) -> tuple[Seasonality | Holiday | Regressor, ...]:
        """All that is not trend, in the order of its coefficients."""
        return (*self.seasonalities, *self.holidays, *self.regressors)

    def predict(
        self, timestamps: Ints, _timeline: Timeline, regressors: Mapping[str, Floats] = NO_REGRESSORS
    ) -> Floats:
        """Return the forecast; agrees with `Prophet.predict` but for the correction.

        Args:
            timestamps: seconds since 1970 in UTC, in any order.
            regressors: for each of the model's regressors its values at the timestamps, in its own unit.

        Raises:
            MissingRegressor: a regressor, or some of its values, is not among them.
        """
        line = self._straight(timestamps)
        if line is not None and (yhat := line.predict(timestamps)) is not None:
            return yhat
        additive, multiplicative = self._sums(timestamps, regressors)
        whole: Floats = self._trend(timestamps) * (1 + multiplicative) + additive + self.correction
        return whole

    def bounds(
        self, timestamps: Ints, yhat: Floats, timeline: Timeline, interval: float
    ) -> tuple[Floats, Floats]:
        """Return bounds around `yhat` that hold the truth with probability `interval`."""
        margin = self._deviation(timestamps, timeline, score(interval))
        return yhat - margin, yhat + margin

    def components(
        self, timestamps: Ints, _timeline: Timeline, regressors: Mapping[str, Floats] = NO_REGRESSORS
    ) -> dict[str, Floats]:
        """Return what the forecast is made of, named as in `Prophet.predict`; arguments and errors as there.

        `trend * (1 + multiplicative_terms) + additive_terms + correction` is the forecast. The two sums are those
        of the seasonalities, holidays and regressors: additive ones in the customer's unit, multiplicative ones
        as shares of the trend.
        """
        parts = {TREND: self._trend(timestamps)}
        for name, multiplicative, term in self._terms(timestamps, regressors):
            part = term if multiplicative else term * self.scale
            parts[name] = parts[name] + part if name in parts else part
        sums = dict(zip(SUMS, self._sums(timestamps, regressors), strict=True))
        return parts | sums | {CORRECTION: np.full(len(timestamps), self.correction)}

    def deviation(self, timestamps: Ints, timeline: Timeline) -> Floats:
        """Return the standard deviation of the forecast.

        Prophet simulates trend changes as frequent and as large as in the history; this is the exact variance of
        that simulation, to first order where growth is logistic, plus the noise of the observations. Factors of
        holidays and regressors are left out of it.
        """
        return self._deviation(timestamps, timeline, 1.0)

    def _deviation(self, timestamps: Ints, timeline: Timeline, times: float) -> Floats:
        ahead = look_ahead(timeline, timestamps)
        if (line := self._straight(timestamps)) is not None:
            return line.deviation(timestamps, ahead, times)
        step = self._mean_step(ahead)
        likelihood = min(len(self.changepoints) * step, 1.0)
        size = float(np.abs(self.delta).mean()) + 1e-8
        moved = ahead.moved * step * step * self._steepness(timestamps) ** 2
        multiplicative = self._seasonal(timestamps)[1]
        trend_variance = likelihood * 2 * size * size * moved
        deviation: Floats = np.sqrt(trend_variance * (1 + multiplicative) ** 2 + self.sigma**2)
        return deviation * (self.scale * times)

    def keeps_its_sign(self, timestamps: Ints, regressors: Mapping[str, Floats] = NO_REGRESSORS) -> bool:
        """Return whether the trend never changes its sign, and no factor turns it upside down."""
        trend, (_, multiplicative) = self._trend(timestamps), self._sums(timestamps, regressors)
        return bool((trend.min() > 0 or trend.max() < 0) and multiplicative.min() > -1)

    def _straight(self, timestamps: Ints) -> Line | None:
        """Return the future as a line, worked out when it is first asked for; None where it is none.

        It needs all columns at once, and so it is none either where they would take too much memory.
        """
        if len(timestamps) * len(self.beta) > _MAX_VALUES:
            return None
        curved = self.holidays or self.regressors or self.growth == "logistic" or len(self.changepoints) == 0
        if self._line is None and not curved:
            object.__setattr__(self, "_line", Line.of(self))
        return self._line

    def _mean_step(self, ahead: Ahead) -> float:
        # Prophet has no spacing but the history's for a single step.
        return 1 / (self.rows - 1) if ahead.spacing is None else ahead.spacing / self.span

    def _trend(self, timestamps: Ints) -> Floats:
        t = (timestamps - self.start) / self.span
        changes = (self.changepoints - self.start) / self.span
        if self.growth == "logistic":
            return self._logistic(t, changes) * self.scale + self.floor
        active = (changes <= t[:, None]) * self.delta
        rate = active.sum(axis=1) + self.k
        offset = (active * -changes).sum(axis=1) + self.m
        trend: Floats = (rate * t + offset) * self.scale
        return trend

    def _logistic(self, t: Floats, changes: Floats) -> Floats:
        """Return the logistic trend; each change of rate moves the offset so that the curve has no jump."""
        rates = self.k + np.concatenate([[0.0], np.cumsum(self.delta)])
        offsets = np.full(len(rates), self.m)
        for i, change in enumerate(changes):
            offsets[i + 1] = offsets[i] + (change - offsets[i]) * (1 - rates[i] / rates[i + 1])
        piece = np.searchsorted(changes, t, side="right")
        with np.errstate(over="ignore"):  # far below the floor the exponential has no end
            share: Floats = 1 / (1 + np.exp(-rates[piece] * (t - offsets[piece])))
        return self._capacity * share

    @property
    def _capacity(self) -> float:
        return (self.cap - self.floor) / self.scale

    def _steepness(self, timestamps: Ints) -> Floats:
        """Return how much the trend moves with its exponent; a linear trend is its own."""
        if self.growth != "logistic":
            return np.ones(len(timestamps))
        share = (self._trend(timestamps) - self.floor) / (self.cap - self.floor)
        steepness: Floats = self._capacity * share * (1 - share)
        return steepness

    def _sums(self, timestamps: Ints, regressors: Mapping[str, Floats]) -> tuple[Floats, Floats]:
        sums = np.zeros((2, len(timestamps)))
        for _, multiplicative, term in self._terms(timestamps, regressors):
            sums[int(multiplicative)] += term
        return sums[0] * self.scale, sums[1]

    def _seasonal(self, timestamps: Ints) -> tuple[Floats, Floats]:
        sums = np.zeros((2, len(timestamps)))
        for _, multiplicative, term in self._waves(timestamps):
            sums[int(multiplicative)] += term
        return sums[0], sums[1]

    def _terms(
        self, timestamps: Ints, regressors: Mapping[str, Floats]
    ) -> Iterator[tuple[str, bool, Floats]]:
        """Yield name, mode and values of every column that is not the trend's; a name may come repeatedly."""
        yield from self._waves(timestamps)
        if not self.holidays and not self.regressors:
            return
        others = self.beta[len(self.beta) - len(self.holidays) - len(self.regressors) :]
        for holiday, beta in zip(self.holidays, others, strict=False):
            yield holiday.name, holiday.multiplicative, holiday.column(timestamps) * beta
        for regressor, beta in zip(self.regressors, others[len(self.holidays) :], strict=True):
            values = known_values(regressor.name, timestamps, regressors)
            standard = (values - regressor.mean) / regressor.deviation
            yield regressor.name, regressor.multiplicative, standard * beta

    def _waves(self, timestamps: Ints) -> Iterator[tuple[str, bool, Floats]]:
        angle = np.pi * 2 * (timestamps / DAY)
        first = 0
        for seasonality in self.seasonalities:
            # Same order of operations as Prophet: at angles of half a million, another order costs 1e-10.
            angles = np.outer(angle, np.arange(1, seasonality.order + 1) / seasonality.period)
            beta = self.beta[first : first + 2 * seasonality.order]
            wave = np.sin(angles) @ beta[0::2] + np.cos(angles) @ beta[1::2]
            yield seasonality.name, seasonality.multiplicative, wave
            first += 2 * seasonality.order


def known_values(name: str, timestamps: Ints, regressors: Mapping[str, Floats]) -> Floats:
    """Return a regressor's values at the timestamps.

    Raises:
        MissingRegressor: there are none, or not a finite one for each timestamp.
    """
    if name not in regressors:
        raise MissingRegressor(f"regressor {name!r} has no values from {_iso(timestamps.min())} on")
    values = np.asarray(regressors[name], np.float64)
    if values.shape != timestamps.shape:
        raise MissingRegressor(
            f"regressor {name!r} has {values.size} values for {len(timestamps)} timestamps"
        )
    missing = timestamps[~np.isfinite(values)]
    if len(missing) > 0:
        named = ", ".join(_iso(moment) for moment in missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise MissingRegressor(f"regressor {name!r} has no value at {len(missing)} timestamps: {named}")
    return values


def _iso(seconds: np.int64) -> str:
    return f"{np.datetime64(int(seconds), 's')}Z"
