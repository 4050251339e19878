"""Every candidate's forecast from every origin, and what came of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from fleetcast_engine.choice.analogue import analogues
from fleetcast_engine.choice.families import AUTOREGRESSION, NAIVE, PROFILE, PROPHET, YEARLY
from fleetcast_engine.choice.past import Past
from fleetcast_engine.choice.profiles import Forecasts, naives, profiles
from fleetcast_engine.choice.prophets import prophets
from fleetcast_engine.choice.registered import Unusable, forecasts_of, load_family
from fleetcast_engine.choice.regression import autoregressions
from fleetcast_engine.choice.rhythm import RHYTHMS, Rhythm
from fleetcast_engine.choice.settings import TrainSettings
from fleetcast_engine.choice.windows import ahead
from fleetcast_engine.history.cleaning import Cleaned
from fleetcast_engine.history.grid import Grid
from fleetcast_engine.history.timeline import MONTHLY, Floats, Ints, Timeline

_BUILT_IN: Mapping[str, Callable[[Past], Forecasts]] = MappingProxyType(
    {NAIVE: naives, PROFILE: profiles, AUTOREGRESSION: autoregressions, YEARLY: analogues, PROPHET: prophets}
)
# For each two origins there is an older one, further apart.
_OLDER_SHARE = 2
# A candidate may leave what was metered so far by half of its largest value.
_BEYOND = 0.5
# A candidate that ran at a smaller share of the origins has not shown what it is worth.
_LEAST_RUN = 0.5


Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Backtest:
    """The candidates' forecasts at the origins of a customer.

    Attributes:
        past: what they knew.
        names: of the candidates, sorted.
        forecasts: (candidates, 1 + origins, horizon); the first origin is the end of the history. NaN at origins
            where a candidate did not run; the naives ran everywhere.
        actual: cleaned values that followed: (origins, horizon), NaN where there are none.
        metered: raw values that followed, as many.
        ages: of the origins, in their usual spacing.
        weights: of the origins.
        absent: candidates that are out of the race, and why.
    """

    past: Past
    names: tuple[str, ...]
    forecasts: Floats
    actual: Floats
    metered: Floats
    ages: Floats
    weights: Floats
    absent: Mapping[str, str]

    @property
    def origins(self) -> int:
        """Return how many origins there are to compare at."""
        return len(self.ages)

    @property
    def ran(self) -> Flags:
        """Return at which origins each candidate has a forecast: (candidates, origins)."""
        return np.asarray(~np.isnan(self.forecasts[:, 1:, 0]))


def run_backtest(cleaned: Cleaned, settings: TrainSettings) -> Backtest:
    """Run the candidates of the families that compete over a regular series."""
    past = past_of(cleaned, settings.horizon, settings.origins)
    found, absent = _run_families(past, settings)
    names, forecasts = tuple(found), np.stack(list(found.values()))
    ran: Flags = np.asarray(np.isfinite(forecasts).all(axis=2))
    absent |= _hardly_run(names, ran)
    # By name, so that ties are.
    kept = sorted((i for i, name in enumerate(names) if name not in absent), key=names.__getitem__)
    ages = (past.origins[0] - past.origins[1:]) / past.rhythm.spacing
    return Backtest(
        past,
        tuple(names[i] for i in kept),
        np.where(ran[kept, :, None], _made_possible(forecasts[kept], past), np.nan),
        ahead(past.values, past.origins[1:], past.horizon),
        ahead(past.raw, past.origins[1:], past.horizon),
        ages,
        past.rhythm.fading ** (ages - 1),
        absent,
    )


def past_of(cleaned: Cleaned, horizon: int, origins: int) -> Past:
    """Return what the candidates may know: a customer's grid and the origins that it has room for."""
    raw, values = Grid.of(cleaned.raw).values, Grid.of(cleaned.series).values
    # What was cleaned away at the beginning is missing, too.
    values = np.concatenate([np.full(len(raw) - len(values), np.nan), values])
    timeline = cleaned.raw.timeline
    season = timeline.season(int(cleaned.raw.timestamps[0]))
    rhythm = RHYTHMS[timeline.frequency].of_history(len(raw), season, horizon)
    timestamps = _timestamps(timeline, int(cleaned.raw.timestamps[0]), len(raw) + rhythm.horizon)
    return Past(raw, values, timestamps, _origins(values, rhythm, origins), rhythm, cleaned.series)


def _timestamps(timeline: Timeline, first: int, count: int) -> Ints:
    if timeline.frequency == MONTHLY:
        start = Timeline(MONTHLY, timeline.seconds, first, timeline.month_day)
        return np.append(first, start.future(count - 1))
    steps = int(timeline.steps_to(np.array([first], np.int64))[0])
    return np.asarray(timeline.end + (steps + np.arange(count)) * timeline.seconds, np.int64)


def _origins(values: Floats, rhythm: Rhythm, count: int) -> Ints:
    """Return the end and the origins before it, newest first, that know something and that something follows."""
    last = len(values) - 1
    younger = rhythm.spacing * np.arange(1, count + 1)
    older = rhythm.spacing * count + rhythm.older * np.arange(1, count // _OLDER_SHARE + 1)
    candidates = last - np.concatenate([younger, older])
    earliest = min(rhythm.warm_up, max(1, len(values) // 2)) - 1
    candidates = candidates[candidates >= earliest]
    known = np.concatenate([[0], np.cumsum(~np.isnan(values))])
    before = known[candidates + 1] - known[np.maximum(candidates + 1 - rhythm.cycle, 0)]
    after = known[np.minimum(candidates + 1 + rhythm.horizon, last + 1)] - known[candidates + 1]
    return np.append(last, candidates[(before > 0) & (after > 0)])


def _run_families(past: Past, settings: TrainSettings) -> tuple[dict[str, Floats], dict[str, str]]:
    found: dict[str, Floats] = dict(naives(past))
    absent: dict[str, str] = {}
    for name in settings.competing:
        if name == PROPHET and settings.prophet_only:
            found |= prophets(past, uncorrected=True)
        elif name in _BUILT_IN:
            found |= _BUILT_IN[name](past)
        else:
            try:
                found[name] = forecasts_of(load_family(name), past)
            except Unusable as reason:
                absent[name] = str(reason)
    return found, absent


def _hardly_run(names: tuple[str, ...], ran: Flags) -> dict[str, str]:
    """Return the candidates that have nothing to serve, or have not shown often enough what it is worth."""
    origins, times = ran.shape[1] - 1, ran[:, 1:].sum(axis=1)
    seldom = {
        name: f"it had a forecast from {count} of {origins} origins"
        for name, count in zip(names, times.tolist(), strict=True)
        if count < _LEAST_RUN * origins
    }
    nothing = {
        name: "it has no forecast from the end of the history"
        for name, at_the_end in zip(names, ran[:, 0].tolist(), strict=True)
        if not at_the_end
    }
    return seldom | nothing


def _made_possible(forecasts: Floats, past: Past) -> Floats:
    """Return the forecasts within reason of what each origin knew; zero where it knew nothing else for a cycle."""
    possible = np.clip(forecasts, *limits_of(past))
    possible[:, past.silent] = 0.0
    return np.asarray(possible)


def limits_of(past: Past) -> tuple[Floats, Floats]:
    """Return what is within reason of what each origin knew, from and to, shape (1 + origins, 1)."""
    lowest, highest = (known.accumulate(past.values)[past.origins][:, None] for known in (np.fmin, np.fmax))
    beyond = _BEYOND * np.fmax(np.abs(lowest), np.abs(highest))
    return np.where(lowest >= 0, 0.0, lowest - beyond), np.asarray(highest + beyond)
