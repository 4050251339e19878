"""The best few candidates of each part of the horizon, and what their mean would have missed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fleetcast_engine.choice.backtest import Backtest
from fleetcast_engine.choice.mix import LEVELS
from fleetcast_engine.choice.profiles import SEASONAL
from fleetcast_engine.history.timeline import Floats, Ints

MEMBERS = 3
# A model names its members and is refused with more than 20; histories of two to seven weeks of days gained nothing
# from more than 12, and lost two percent with 5.
MOST_MEMBERS = 12
_MORE = 24
# An older origin's residuals count nearly as much as a younger one's: what they are for is the other seasons.
_RESIDUAL_DECAY = 0.98
# Student's 80 % interval from n residuals is about 1 + 1.25 / n + 2.5 / n^2 times as wide as the normal one.
_UNCERTAINTY = (1.25, 2.5)
_FEWEST_DIFFERENT = 2.0
# A part of the horizon that fewer whole origins have seen is judged by the part before it.
_LEAST_SEEN = 0.5
# A share that only rounding leaves.
_NOTHING = 1e-9


@dataclass(frozen=True)
class Mix:
    """The mean of the chosen candidates.

    Attributes:
        path: (horizon,), from the end of the history.
        tested: (origins, horizon): the same in the backtest, each origin's members chosen by the other origins; NaN
            where no candidate ran.
        members: names, per block.
        errors: (candidates, blocks): mean absolute errors.
    """

    path: Floats
    tested: Floats
    members: tuple[tuple[str, ...], ...]
    errors: Floats


@dataclass(frozen=True)
class _Verdict:
    """What a part of the horizon says of the candidates.

    Attributes:
        part: the steps that it speaks for.
        errors: (candidates,): mean absolute errors.
        of_others: (candidates, origins): scores by the other origins; infinite where a candidate did not run.
    """

    part: slice
    errors: Floats
    of_others: Floats


def select(backtest: Backtest, fewest: int = MEMBERS) -> Mix:
    """Return the mean of the best candidates per block of the horizon; a tie goes by name.

    Three of them where there are many origins, up to `MOST_MEMBERS` where there are few: then being first is luck.
    """
    members = min(MOST_MEMBERS, fewest + _MORE // max(1, backtest.origins))
    verdicts = _verdicts(backtest, backtest.past.rhythm.blocks)
    return _mixed(backtest, verdicts, verdicts, np.arange(len(backtest.names)), members)


def select_one(backtest: Backtest, names: Sequence[str]) -> Mix:
    """Return the one of some candidates that is best over the whole horizon, as a mix of one."""
    blocks = backtest.past.rhythm.blocks
    among = np.array([backtest.names.index(name) for name in names])
    return _mixed(backtest, _verdicts(backtest, blocks[-1:]), _verdicts(backtest, blocks), among, 1)


def _mixed(
    backtest: Backtest, choosing: list[_Verdict], table: list[_Verdict], among: Ints, members: int
) -> Mix:
    mixed, chosen = np.empty(backtest.forecasts.shape[1:]), []
    for verdict in choosing:
        best = among[np.argsort(verdict.errors[among], kind="stable")[:members]]
        part = backtest.forecasts[among, :, verdict.part]
        mixed[0, verdict.part] = backtest.forecasts[best, 0, verdict.part].mean(axis=0)
        mixed[1:, verdict.part] = _mean_of_best(part[:, 1:], verdict.of_others[among], members)
        chosen.append(tuple(backtest.names[i] for i in best))
    per_block = tuple(chosen) if len(chosen) == len(table) else tuple(chosen * len(table))
    return Mix(mixed[0], mixed[1:], per_block, np.stack([verdict.errors for verdict in table], axis=1))


def _mean_of_best(forecasts: Floats, scores: Floats, members: int) -> Floats:
    """Return the mean of each origin's best candidates that ran there: (origins, steps), NaN where none did."""
    best = np.argsort(scores, axis=0, kind="stable")[:members]
    ran = np.isfinite(np.take_along_axis(scores, best, axis=0))[:, :, None]
    taken = np.take_along_axis(forecasts, best[:, :, None], axis=0)
    with np.errstate(invalid="ignore"):
        means: Floats = np.where(ran, taken, 0.0).sum(axis=0) / ran.sum(axis=0)
    return means


def _verdicts(backtest: Backtest, ends: tuple[int, ...]) -> list[_Verdict]:
    missed, weights = _missed(backtest)
    ran, reference = backtest.ran, backtest.names.index(SEASONAL)
    verdicts = []
    for begin, end in pairwise((0, *ends)):
        judged = _judged(weights, begin, end, ends[0])
        by_origin, seen = missed[:, :, judged].sum(axis=2), float(weights[:, judged].sum())
        naive = ran * by_origin[reference]
        totals = _comparable(by_origin.sum(axis=1), naive.sum(axis=1), reference)
        # What an origin's own outcome has chosen would look better there than it is.
        several = by_origin.shape[1] > 1
        own = by_origin.sum(axis=1, keepdims=True) - (by_origin if several else 0.0)
        of_others = _comparable(
            own, naive.sum(axis=1, keepdims=True) - (naive if several else 0.0), reference
        )
        errors = totals / seen if seen else np.ones(len(totals))
        verdicts.append(_Verdict(slice(begin, end), errors, np.where(ran, of_others, np.inf)))
    return verdicts


def _comparable(missed: Floats, of_naive: Floats, reference: int) -> Floats:
    """Return what candidates would miss at all origins, did they compare to the naive as where they ran.

    Args:
        missed: by each candidate where it ran: (candidates, …).
        of_naive: by the naive at the same origins, as many.
        reference: the row of the naive, which ran everywhere.
    """
    everywhere = of_naive[reference]
    comparable = of_naive > _NOTHING * everywhere
    return np.asarray(missed * np.divide(everywhere, of_naive, out=np.ones_like(of_naive), where=comparable))


def _missed(backtest: Backtest) -> tuple[Floats, Floats]:
    """Return weighted absolute errors (candidates, origins, horizon) and the weights; zero where nothing is known."""
    missed = np.abs(backtest.forecasts[:, 1:] - backtest.actual)
    known = ~np.isnan(backtest.actual)
    missed[np.isnan(missed)] = 0.0
    weights = known * backtest.weights[:, None]
    missed *= weights
    return missed, weights


def _judged(weights: Floats, begin: int, end: int, first_end: int) -> slice:
    """Return the steps that a block is judged by: its own, or the first block's where those were hardly seen."""
    seen = weights[:, begin:end].sum() >= _LEAST_SEEN * (end - begin)
    return slice(begin, end) if seen else slice(0, first_end)


def weighted_error(backtest: Backtest, tested: Floats) -> float:
    """Return the mean absolute error over the steps of all origins that are tested, younger origins counting more."""
    missed = np.abs(tested - backtest.actual)
    known = ~np.isnan(missed)
    weights = known * backtest.weights[:, None]
    total = float(weights.sum())
    return float((np.where(known, missed, 0.0) * weights).sum()) / total if total else 0.0


def quantiles(backtest: Backtest, tested: Floats, used: slice = slice(None)) -> Floats:
    """Return quantiles of metered minus forecast, per part of the horizon: (parts, LEVELS).

    They are moved away from the median by what so few residuals cannot tell: only origins that are as far apart as
    the part reaches ahead are counted as different ones.
    """
    missed, ages = (backtest.metered - tested)[used], backtest.ages[used]
    rhythm, parts = backtest.past.rhythm, backtest.past.rhythm.parts
    # An origin stands for the time up to the next younger one.
    stretches = np.minimum(np.diff(ages, prepend=0.0), rhythm.older / rhythm.spacing)
    weights = _RESIDUAL_DECAY**ages * stretches
    found = _filled(
        np.stack([_of_part(missed[:, begin:end], weights) for begin, end in pairwise((0, *parts))])
    )
    span = float(np.ptp(ages)) * rhythm.spacing
    different = np.maximum(1 + span / np.array(parts), _FEWEST_DIFFERENT)
    wider = 1 + _UNCERTAINTY[0] / different + _UNCERTAINTY[1] / different**2
    median = found[:, [len(LEVELS) // 2]]
    return np.asarray(median + (found - median) * wider[:, None])


def _of_part(missed: Floats, weights: Floats) -> Floats:
    known = ~np.isnan(missed)
    if not known.any():
        return np.full(len(LEVELS), np.nan)
    return _weighted_quantiles(missed[known], np.broadcast_to(weights[:, None], missed.shape)[known])


def _filled(found: Floats) -> Floats:
    """Return the rows with the one before in place of each that was never seen: a short history's later parts."""
    seen = np.flatnonzero(~np.isnan(found[:, 0]))
    if len(seen) == 0:
        return np.zeros_like(found)
    nearest = np.maximum(np.searchsorted(seen, np.arange(len(found)), side="right") - 1, 0)
    return np.asarray(found[seen[nearest]])


def _weighted_quantiles(values: Floats, weights: Floats) -> Floats:
    order = np.argsort(values, kind="stable")
    weights = weights[order]
    below = (np.cumsum(weights) - 0.5 * weights) / weights.sum()
    return np.asarray(np.interp(LEVELS, below, values[order]))


def seasonal(backtest: Backtest) -> Floats:
    """Return the seasonal naive's forecasts in the backtest: (origins, horizon)."""
    return np.asarray(backtest.forecasts[backtest.names.index(SEASONAL), 1:])
