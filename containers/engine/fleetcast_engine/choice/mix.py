"""The mean of the best candidates: its path as far as it was tested, and Prophet's long run beyond."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from fleetcast_engine.choice.naive import NaiveModel
from fleetcast_engine.choice.singles import Singles, doubles, offset_and_unit, singles
from fleetcast_engine.history.ahead import KEPT_STEPS, Ahead, future, look_ahead
from fleetcast_engine.history.timeline import Floats, Ints, Timeline
from fleetcast_engine.prophet.model import NO_REGRESSORS, ProphetModel
from fleetcast_engine.score import score

# The probabilities at which a mix keeps the quantiles of what it missed.
LEVELS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99)
# Seasons beyond the path after which half of its difference from the tail is left.
HALF_LIFE = 4.0
LOCAL = "local"

Tail = ProphetModel | NaiveModel

_NORMAL = NormalDist()
_SCORES = np.array([_NORMAL.inv_cdf(level) for level in LEVELS])


class StoredTail(Protocol):
    """A tail in fewer bytes than the model that can be asked: most mixes are never asked beyond their path."""

    def model(self) -> Tail: ...


@dataclass(frozen=True, slots=True)
class MixModel:
    """A forecast of the first steps after the training end, and a model for all that follow.

    Path and quantiles are kept in single precision, as they are stored: a fresh model, made by `of`, answers what the
    one read back from its artifact does.

    Attributes:
        offset: in the middle of the path, in the customer's unit.
        unit: what path and quantiles are multiples of, in the customer's unit; above 0.
        path_singles: the path's distances from the offset.
        blocks: the last step of each block of the path; they increase, and the last one is H.
        quantile_singles: shape (blocks, LEVELS); rows do not decrease.
        season: steps of the shortest season, the pattern in which path and tail differ where the path ends.
        long_run: the model of everything beyond the path, or what it is made of once it is asked; see `tail`.
        members: names of the candidates that were averaged, per block that was selected for; for people.
    """

    offset: float
    unit: float
    path_singles: Singles
    blocks: Ints
    quantile_singles: Singles
    season: int
    long_run: Tail | StoredTail
    members: tuple[tuple[str, ...], ...]

    @classmethod
    def of(  # noqa: PLR0913 - they are what a mix is made of
        cls,
        *,
        path: Floats,
        blocks: Ints,
        quantiles: Floats,
        season: int,
        long_run: Tail | StoredTail,
        members: tuple[tuple[str, ...], ...],
    ) -> Self:
        """Return the mix of a path and quantiles in double precision, both in the customer's unit."""
        offset, unit = offset_and_unit(path, quantiles)
        near, missed = singles(path, offset, unit), singles(quantiles, 0.0, unit)
        return cls(offset, unit, near, blocks, missed, season, long_run, members)

    @property
    def path(self) -> Floats:
        """The forecast of steps 1 to H after the training end, in the customer's unit."""
        return doubles(self.path_singles, self.offset, self.unit)

    @property
    def quantiles(self) -> Floats:
        """Of actual minus forecast in the backtest, shape (blocks, LEVELS), in the customer's unit."""
        return doubles(self.quantile_singles, 0.0, self.unit)

    @property
    def tail(self) -> Tail:
        """The model of everything beyond the path."""
        long_run = self.long_run
        return long_run if isinstance(long_run, ProphetModel | NaiveModel) else long_run.model()

    def predict(
        self, timestamps: Ints, timeline: Timeline, regressors: Mapping[str, Floats] = NO_REGRESSORS
    ) -> Floats:
        """Return the path; beyond it the tail, moved by the path's last season, which fades out.

        So nothing jumps where the path ends. Before the training end it is the tail alone.
        """
        ahead = look_ahead(timeline, timestamps)
        steps, end = ahead.steps, len(self.path_singles)
        if ahead.first >= 1 and ahead.last <= end:
            return self._path_at(slice(ahead.first - 1, ahead.last) if ahead.consecutive else steps - 1)
        yhat = self.tail.predict(timestamps, timeline, regressors)
        inside, beyond = (steps >= 1) & (steps <= end), steps > end
        yhat[inside] = self._path_at(steps[inside] - 1)
        if beyond.any():
            yhat[beyond] += self._fading(steps[beyond], timeline)
        return yhat

    def bounds(
        self, timestamps: Ints, yhat: Floats, timeline: Timeline, interval: float
    ) -> tuple[Floats, Floats]:
        """Return bounds around `yhat` that hold the truth with probability `interval`.

        They come from what the mix missed in its own backtest; beyond the path the variance that the tail gains
        after its end is added.
        """
        ahead = look_ahead(timeline, timestamps)
        shares = _weights(interval).dot(self.quantile_singles.T)
        # A biased backtest may leave both quantiles on one side, but a forecast lies within its own bounds.
        if ahead.last <= self.blocks[0]:  # as most do, and two numbers are faster than two small arrays
            below, above = shares[:, 0].tolist()
            return yhat - max(below, 0.0) * self.unit, yhat + max(above, 0.0) * self.unit
        margins = np.maximum(shares, 0).astype(np.float64) * self.unit
        below, above = margins.take(self._blocks_of(ahead), axis=1)
        if ahead.last > len(self.path_singles):
            gained = self._gained(ahead, timestamps, timeline) * score(interval)
            below, above = np.hypot(below, gained), np.hypot(above, gained)
        return yhat - below, yhat + above

    def components(
        self, timestamps: Ints, timeline: Timeline, regressors: Mapping[str, Floats] = NO_REGRESSORS
    ) -> dict[str, Floats]:
        """Return the tail's components, and as "local" what has to be added to their forecast."""
        parts = self.tail.components(timestamps, timeline, regressors)
        long_run = self.tail.predict(timestamps, timeline, regressors)
        return {**parts, LOCAL: self.predict(timestamps, timeline, regressors) - long_run}

    def _path_at(self, places: slice | Ints) -> Floats:
        return doubles(self.path_singles[places], self.offset, self.unit)

    def _blocks_of(self, ahead: Ahead) -> Ints:
        if len(ahead.steps) > KEPT_STEPS:
            return _block_of_each(self.blocks, ahead.steps)
        return _kept_blocks(self.blocks.tobytes(), ahead)

    def _fading(self, steps: Ints, timeline: Timeline) -> Floats:
        last = self._last_season(timeline)
        after = steps - len(self.path_singles)
        fading: Floats = last[(after - 1) % len(last)] * 0.5 ** (after / self.season / HALF_LIFE)
        return fading

    def _last_season(self, timeline: Timeline) -> Floats:
        """Return path minus tail over the path's last season; their mean where the path is shorter."""
        end = len(self.path_singles)
        season = min(self.season, end)
        moments = future(timeline, end - season, season)
        difference = self._path_at(slice(end - season, end)) - self.tail.predict(moments, timeline)
        return difference if season == self.season else difference.mean(keepdims=True)

    def _gained(self, ahead: Ahead, timestamps: Ints, timeline: Timeline) -> Floats:
        """Return the root of what the tail's variance gains after the path's end; 0 on the path."""
        end = future(timeline, len(self.path_singles) - 1, 1)
        at_end = float(self.tail.deviation(end, timeline)[0])
        later = np.maximum(self.tail.deviation(timestamps, timeline), at_end)
        # Of values near the smallest number there is, the squares would be zero.
        gained: Floats = np.sqrt(later - at_end) * np.sqrt(later + at_end)
        return np.where(ahead.steps > len(self.path_singles), gained, 0.0)


@lru_cache(maxsize=64)
def _kept_blocks(ends: bytes, ahead: Ahead) -> Ints:
    return _block_of_each(np.frombuffer(ends, np.int64), ahead.steps)


def _block_of_each(ends: Ints, steps: Ints) -> Ints:
    return np.minimum(np.searchsorted(ends, steps), len(ends) - 1)


@lru_cache(maxsize=64)
def _weights(interval: float) -> npt.NDArray[np.float32]:
    """Return what to multiply quantiles by for how far bounds lie below and above, shape (2, LEVELS).

    Quantiles are interpolated linearly in the normal score, and extrapolated by the slope of the outermost two.
    """
    weights = np.zeros((2, len(LEVELS)), np.float32)
    for side, (sign, probability) in enumerate(((-1, (1 - interval) / 2), (1, (1 + interval) / 2))):
        score = _NORMAL.inv_cdf(probability)
        left = int(np.clip(np.searchsorted(_SCORES, score) - 1, 0, len(LEVELS) - 2))
        share = (score - _SCORES[left]) / (_SCORES[left + 1] - _SCORES[left])
        weights[side, left : left + 2] = sign * (1 - share), sign * share
    weights.flags.writeable = False
    return weights
