"""A Prophet model's future in few numbers: beyond the last changepoint its trend is one line."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Self

import numpy as np

from fleetcast_engine.history.ahead import Ahead
from fleetcast_engine.history.timeline import DAY, Floats, Ints

if TYPE_CHECKING:
    from fleetcast_engine.prophet.model import ProphetModel, Seasonality

# The values that columns may have to be kept for the next customer: 128 kB.
_KEPT_VALUES = 16_384


@dataclass(eq=False, slots=True)
class Basis:
    """The waves of some seasonalities, told from others by identity, so that it is cheap to look up.

    Attributes:
        frequencies: of each pair of columns, per day.
        multiplicative: for each column whether it multiplies the trend.
    """

    frequencies: Floats
    multiplicative: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]"


@dataclass(eq=False, slots=True)
class Columns:
    """A basis at timestamps, one row for each: sine and cosine of each frequency, then seconds since the first."""

    first: int
    matrix: Floats


@lru_cache(maxsize=128)
def basis_of(seasonalities: "tuple[Seasonality, ...]") -> Basis:
    """Return the waves of the seasonalities, the same object for the same seasonalities."""
    # Same order of operations as Prophet: at angles of half a million, another order costs 1e-10.
    frequencies = [np.arange(1, s.order + 1) / s.period for s in seasonalities]
    modes = [np.full(2 * s.order, s.multiplicative) for s in seasonalities]
    return Basis(np.concatenate([*frequencies, []]), np.concatenate([*modes, np.zeros(0, np.bool_)]))


def columns_of(basis: Basis, timestamps: Ints) -> Columns:
    """Return the basis at the timestamps; short ones are kept for whoever asks next."""
    if len(timestamps) * (len(basis.multiplicative) + 1) > _KEPT_VALUES:
        return _columns(basis, timestamps)
    return _kept_columns(basis, timestamps.tobytes())


# 8 MB at most.
@lru_cache(maxsize=64)
def _kept_columns(basis: Basis, timestamps: bytes) -> Columns:
    return _columns(basis, np.frombuffer(timestamps, np.int64))


def _columns(basis: Basis, timestamps: Ints) -> Columns:
    first = int(np.minimum.reduce(timestamps))
    angles = (np.pi * 2 * (timestamps / DAY))[:, None] * basis.frequencies
    matrix = np.empty((len(timestamps), len(basis.multiplicative) + 1))
    np.sin(angles, out=matrix[:, 0:-1:2])
    np.cos(angles, out=matrix[:, 1::2])
    matrix[:, -1] = timestamps - first
    return Columns(first, matrix)


@dataclass(eq=False, slots=True)
class Line:
    """The future of a model without holidays, regressors and limits to its growth.

    Attributes:
        since: timestamp of the last changepoint.
        rate: of the trend since then, over the model's span and in units of its scale; as is `offset`.
        slope: the same in the customer's unit, per second.
        additive: what to multiply the columns by, in the customer's unit; the slope is in it if nothing
            multiplies the trend.
        factors: what to multiply them by for shares of the trend; None where nothing multiplies it.
        changes: how many changepoints the history has, and `size` how large they are on average.
        noise: standard deviation of an observation, in the customer's unit.
    """

    basis: Basis
    since: int
    start: int
    span: int
    scale: float
    rate: float
    offset: float
    slope: float
    correction: float
    additive: Floats
    factors: Floats | None
    changes: int
    size: float
    noise: float
    rows: int

    @classmethod
    def of(cls, model: "ProphetModel") -> Self:
        """Return the line of a model whose growth is not logistic."""
        basis = basis_of(model.seasonalities)
        rate = float(model.delta.sum()) + model.k
        slope = rate / model.span * model.scale
        additive, factors = _coefficients(basis, model.beta, model.scale, slope)
        return cls(
            basis=basis,
            since=int(model.changepoints.max()),
            start=model.start,
            span=model.span,
            scale=model.scale,
            rate=rate,
            offset=model.m - float(model.delta @ ((model.changepoints - model.start) / model.span)),
            slope=slope,
            correction=model.correction,
            additive=additive,
            factors=factors,
            changes=len(model.changepoints),
            size=float(np.abs(model.delta).mean()) + 1e-8,
            noise=model.sigma * model.scale,
            rows=model.rows,
        )

    def predict(self, timestamps: Ints) -> Floats | None:
        """Return the forecast; None where some of it lies before `since`, or where there is nothing to do."""
        if len(timestamps) == 0 or timestamps[0] < self.since:
            return None
        columns = columns_of(self.basis, timestamps)
        if columns.first < self.since:
            return None
        level = (self.rate * ((columns.first - self.start) / self.span) + self.offset) * self.scale
        matrix = columns.matrix
        if self.factors is None:
            yhat: Floats = matrix.dot(self.additive) + (level + self.correction)
            return yhat
        yhat = (matrix[:, -1] * self.slope + level) * (matrix.dot(self.factors) + 1) + self.correction
        whole: Floats = yhat + matrix.dot(self.additive)
        return whole

    def deviation(self, timestamps: Ints, ahead: Ahead, times: float = 1.0) -> Floats:
        """Return so many times the standard deviation of the forecast, in the customer's unit."""
        spacing = self.span / (self.rows - 1) if ahead.spacing is None else ahead.spacing
        step = spacing / self.span
        noise, spread = self.noise * times, step * self.size * self.scale * times
        variance = 2 * min(self.changes * step, 1.0) * spread * spread
        moved = ahead.moved
        if self.factors is not None and len(timestamps) > 0:
            moved = moved * (columns_of(self.basis, timestamps).matrix.dot(self.factors) + 1) ** 2
        deviation: Floats = np.sqrt(moved * variance + noise * noise)
        return deviation


def _coefficients(basis: Basis, beta: Floats, scale: float, slope: float) -> tuple[Floats, Floats | None]:
    multiplicative = basis.multiplicative
    if not multiplicative.any():
        return np.append(beta * scale, slope), None
    additive = np.append(np.where(multiplicative, 0, beta * scale), 0)
    return additive, np.append(np.where(multiplicative, beta, 0), 0)
