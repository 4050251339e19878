"""The table behind the choice of a customer's model, for people."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fleetcast_engine.choice.backtest import Backtest
from fleetcast_engine.choice.deciding import decide
from fleetcast_engine.choice.mix import LEVELS
from fleetcast_engine.choice.profiles import SEASONAL
from fleetcast_engine.choice.rowwise import Compared
from fleetcast_engine.choice.selection import Mix, quantiles
from fleetcast_engine.choice.settings import TrainSettings
from fleetcast_engine.history.cleaning import Cleaned
from fleetcast_engine.history.repairs import Repairs
from fleetcast_engine.history.series import Series
from fleetcast_engine.history.timeline import Floats
from fleetcast_engine.model import SEASONAL_NAIVE, Metrics

_NOMINAL = (0.1, 0.9)


@dataclass(frozen=True)
class Candidate:
    """One candidate in the backtest.

    Attributes:
        errors: mean absolute error per block of the horizon, as a share of the seasonal
            naive's; NaN where the naive made none, or the candidate is out of the race.
        chosen: per block, whether it is one of those averaged.
        remark: why it is out of the race.
    """

    name: str
    errors: tuple[float, ...]
    chosen: tuple[bool, ...]
    remark: str | None = None


@dataclass(frozen=True)
class Choice:
    """What was compared and what came of it.

    Attributes:
        family: the family that is served.
        candidates: best first.
        blocks: the last step of each block of the horizon.
        origins: how many cuts of the history were compared at.
        members: names of the candidates averaged, per block; of the only one where the family is not a mix.
        metrics: of what is served.
        coverage: share of values within the 80 % interval, per part of the horizon: the interval of every second
            origin's residuals, tried on the others, and the other way round. Empty where nothing was mixed.
        repairs: what was done to the data first.
    """

    customer_id: str
    family: str
    candidates: tuple[Candidate, ...]
    blocks: tuple[int, ...]
    origins: int
    members: tuple[tuple[str, ...], ...]
    metrics: Metrics
    coverage: tuple[float, ...]
    repairs: Repairs


def choose(series: Series, settings: TrainSettings) -> Choice:
    """Return the table behind the choice of a customer's model; `train` chooses the same way.

    Raises:
        TooShort: there are not enough rows to fit a model and to test it.
        UnknownFamily: a user's family cannot be loaded.
    """
    cleaned, decision = decide(series, settings)
    if isinstance(decision, Compared):
        return _choice_by_rows(cleaned, decision)
    backtest, mix = decision.backtest, decision.mix
    served = mix.members if decision.family != SEASONAL_NAIVE else ((SEASONAL,),) * len(mix.members)
    return Choice(
        customer_id=series.customer_id,
        family=decision.family,
        candidates=_candidates(backtest, mix.errors, served),
        blocks=backtest.past.rhythm.blocks,
        origins=backtest.origins,
        members=served,
        metrics=decision.metrics,
        coverage=_coverage(backtest, mix),
        repairs=cleaned.repairs,
    )


def _candidates(
    backtest: Backtest, errors: Floats, served: tuple[tuple[str, ...], ...]
) -> tuple[Candidate, ...]:
    names, reference = backtest.names, errors[backtest.names.index(SEASONAL)]
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(reference > 0, errors / reference, np.nan)
    ranked = sorted(range(len(names)), key=lambda i: (float(errors[i].sum()), names[i]))
    chosen = {name: tuple(name in members for members in served) for name in names}
    present = (Candidate(names[i], tuple(shares[i].tolist()), chosen[names[i]]) for i in ranked)
    nothing = ((float("nan"),) * len(served), (False,) * len(served))
    absent = (Candidate(name, *nothing, remark) for name, remark in sorted(backtest.absent.items()))
    return (*present, *absent)


def _coverage(backtest: Backtest, mix: Mix) -> tuple[float, ...]:
    parts = backtest.past.rhythm.parts
    halves = (slice(0, None, 2), slice(1, None, 2))
    if backtest.origins < len(halves):
        return ()
    inside: list[Floats] = []
    for learned, tried in (halves, halves[::-1]):
        low, high = quantiles(backtest, mix.tested, learned)[:, [LEVELS.index(level) for level in _NOMINAL]].T
        missed = (backtest.metered - mix.tested)[tried]
        part = np.searchsorted(parts, np.arange(1, parts[-1] + 1))
        within = ((missed >= low[part]) & (missed <= high[part])).astype(float)
        inside.append(np.where(np.isnan(missed), np.nan, within))
    both, edges = np.concatenate(inside), (0, *parts)
    shares = [both[:, begin:end] for begin, end in pairwise(edges)]
    return tuple(float(np.nanmean(s)) if not np.isnan(s).all() else float("nan") for s in shares)


def _choice_by_rows(cleaned: Cleaned, compared: Compared) -> Choice:
    naive_error = compared.errors[SEASONAL]
    ranked = sorted(compared.errors.items(), key=lambda item: (item[1], item[0]))
    present = (
        Candidate(name, (error / naive_error if naive_error else float("nan"),), (name == compared.winner,))
        for name, error in ranked
    )
    absent = (
        Candidate(name, (float("nan"),), (False,), why) for name, why in sorted(compared.absent.items())
    )
    return Choice(
        customer_id=cleaned.raw.customer_id,
        family=compared.family,
        candidates=(*present, *absent),
        blocks=(compared.horizon,),
        origins=compared.metrics.origins,
        members=((compared.winner,),),
        metrics=compared.metrics,
        coverage=(),
        repairs=cleaned.repairs,
    )
