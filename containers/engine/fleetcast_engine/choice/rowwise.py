"""Choosing between Prophet and the naive by rows: where there are no steps to count in, or where fits are dear."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from fleetcast_engine.choice.families import NAIVE, is_of_a_user
from fleetcast_engine.choice.families import PROPHET as PROPHETS
from fleetcast_engine.choice.naive import NaiveModel, fit_naive
from fleetcast_engine.choice.profiles import SEASONAL
from fleetcast_engine.choice.prophets import UNCORRECTED, VARIANTS, corrected
from fleetcast_engine.choice.settings import TrainSettings
from fleetcast_engine.errors import FitFailed
from fleetcast_engine.history.cleaning import Cleaned
from fleetcast_engine.history.series import Series
from fleetcast_engine.history.timeline import Floats, Ints
from fleetcast_engine.model import PROPHET, PROPHET_CORRECTED, SEASONAL_NAIVE, Metrics
from fleetcast_engine.prophet.exact import Declined, fit_map
from fleetcast_engine.prophet.fitting import MAP, STOCK, Engine, fit
from fleetcast_engine.prophet.model import ProphetModel
from fleetcast_engine.prophet.options import ProphetOptions

# Origins that a fit of 30 to 900 ms can be afforded at, and those of a fit of 0.1 ms.
_ORIGINS = {STOCK: 2, MAP: 13}
# Rows fitted on, all origins together: an additive fit of a million takes 0.15 s, a multiplicative one thirty times
# as long.
_MOST_ROWS = 4_000_000
_MOST_ROWS_OF_MULTIPLICATIVE = 50_000
_FEWEST_ORIGINS = 2
_OF_STOCK = {"prophet": ProphetOptions()}


@dataclass(frozen=True)
class Compared:
    """What the rows that were held back say.

    Attributes:
        errors: candidate → mean absolute error over all origins; those that fitted at each of them.
        absent: the others, and why.
        winner: the best candidate, or the naive where it would not have beaten it at origins that did not choose it.
        metrics: of what is served, each origin tested with the candidate that the others choose.
        past, timestamps, naive_residuals: metered minus naive after the youngest origin.
    """

    errors: Mapping[str, float]
    absent: Mapping[str, str]
    winner: str
    metrics: Metrics
    horizon: int
    past: Series
    timestamps: Ints
    naive_residuals: Floats

    @property
    def family(self) -> str:
        """The winner's family."""
        if self.winner == SEASONAL:
            return SEASONAL_NAIVE
        return PROPHET if self.winner.endswith(UNCORRECTED) else PROPHET_CORRECTED

    @property
    def remark(self) -> str | None:
        """Why Prophet or a user's family has no part in it, where that is so."""
        told = [
            f"{name}: {why}" for name, why in self.absent.items() if name in VARIANTS or is_of_a_user(name)
        ]
        return "; ".join(told) or None


def compare_rows(cleaned: Cleaned, settings: TrainSettings) -> Compared:
    """Hold back the last rows once or several times, and compare what Prophet and the naive make of the rest.

    Errors are those against cleaned values, as everywhere.
    """
    raw, actual = cleaned.raw, _actual(cleaned)
    season = raw.timeline.season(int(raw.timestamps[0]))
    horizon = max(1, min(settings.horizon, len(raw) - season, len(raw) // 2))
    missed: dict[str, list[float]] = defaultdict(list)
    absent = _elsewhere(settings) | _too_dear(len(raw), settings)
    seen: list[int] = []
    for cut in _cuts(len(raw), max(season, 2), horizon, _origins(len(raw), settings)):
        past, held_back = raw.head(cut), slice(cut, cut + horizon)
        variants = {name: each for name, each in _variants(settings).items() if name not in absent}
        models, declined = _fitted(cleaned, past, season, variants, settings.engine)
        absent |= declined
        for name, model in models.items():
            predicted = model.predict(raw.timestamps[held_back], past.timeline)
            possible = np.maximum(predicted, 0) if raw.nonnegative else predicted
            missed[name].append(float(np.nansum(np.abs(actual[held_back] - possible))))
        seen.append(int(np.count_nonzero(~np.isnan(actual[held_back]))))
    whole = {name: np.array(sums) for name, sums in missed.items() if name not in absent}
    winner, metrics = _judge(whole, sum(seen))
    errors = {name: float(sums.sum()) / max(1, sum(seen)) for name, sums in whole.items()}
    naive = fit_naive(past, season).predict(raw.timestamps[held_back], past.timeline)
    residuals = raw.values[held_back] - naive
    return Compared(errors, absent, winner, metrics, horizon, past, raw.timestamps[held_back], residuals)


def _actual(cleaned: Cleaned) -> Floats:
    """Return the cleaned value of each metered row, NaN where it was taken out."""
    actual = np.full(len(cleaned.raw), np.nan)
    actual[np.searchsorted(cleaned.raw.timestamps, cleaned.series.timestamps)] = cleaned.series.values
    return actual


def _elsewhere(settings: TrainSettings) -> dict[str, str]:
    """Return the families that compete where there are steps and fits are cheap, and nowhere else."""
    why = "it needs regular steps" if settings.engine == MAP else "engine prophet fits Prophet alone"
    return {name: why for name in settings.competing if name not in (NAIVE, PROPHETS)}


def _too_dear(rows: int, settings: TrainSettings) -> dict[str, str]:
    if rows <= _MOST_ROWS_OF_MULTIPLICATIVE:
        return {}
    why = (
        f"a multiplicative fit takes too long with more than {_MOST_ROWS_OF_MULTIPLICATIVE:,} irregular rows"
    )
    return {
        each: why
        for name, options in _variants(settings).items()
        if options.seasonality_mode == "multiplicative"
        for each in (name, name + UNCORRECTED)
    }


def _origins(rows: int, settings: TrainSettings) -> int:
    affordable = max(_FEWEST_ORIGINS, _MOST_ROWS // rows)
    return max(1, min(settings.origins, _ORIGINS[settings.engine], affordable))


def _judge(missed: Mapping[str, Floats], seen: int) -> tuple[str, Metrics]:
    """Return who is served, and its error where the other origins choose; a tie goes to the naive."""
    naive = float(missed[SEASONAL].sum())
    origins = len(missed[SEASONAL])
    if not seen:
        return SEASONAL, Metrics(0.0, 0.0, 0)
    if origins == 1:
        tested = float(missed[_best(missed)].sum())
    else:
        others = ({name: np.delete(sums, i) for name, sums in missed.items()} for i in range(origins))
        tested = sum(float(missed[_best(each)][i]) for i, each in enumerate(others))
    winner = _best(missed)
    if winner == SEASONAL or not tested < naive:
        return SEASONAL, Metrics(naive / seen, naive / seen, origins)
    return winner, Metrics(tested / seen, naive / seen, origins)


def _best(missed: Mapping[str, Floats]) -> str:
    totals = {name: float(sums.sum()) for name, sums in missed.items()}
    return min(totals, key=lambda name: (totals[name], name != SEASONAL, name))


def _fitted(
    cleaned: Cleaned, past: Series, season: int, variants: Mapping[str, ProphetOptions], engine: Engine
) -> tuple[dict[str, ProphetModel | NaiveModel], dict[str, str]]:
    """Return the candidates fitted on what was known at the end of `past`, and why others could not be."""
    learned = cleaned.series
    # One row is never fitted on, but has a place in time, which none has not.
    rows = max(1, int(np.searchsorted(learned.timestamps, past.timeline.end, side="right")))
    models: dict[str, ProphetModel | NaiveModel] = {SEASONAL: fit_naive(past, season)}
    declined: dict[str, str] = {}
    for name, options in variants.items():
        try:
            prophet = fit_variant(learned.head(rows), options, engine)
        except (Declined, FitFailed) as error:
            declined |= dict.fromkeys((name, name + UNCORRECTED), str(error))
        else:
            models |= {name: corrected(prophet, learned.head(rows)), name + UNCORRECTED: prophet}
    return models, declined


def _variants(settings: TrainSettings) -> Mapping[str, ProphetOptions]:
    if PROPHETS not in settings.competing:
        return {}
    return VARIANTS if settings.engine == MAP else _OF_STOCK


def fit_variant(series: Series, options: ProphetOptions, engine: Engine) -> ProphetModel:
    """Fit by one engine and no other: a fallback of a hundred times the price is no candidate.

    Raises:
        Declined: the direct solver does not answer for this series.
        FitFailed: stock Prophet found nothing.
    """
    return fit_map(series, options) if engine == MAP else fit(series, options, engine).model


def _cuts(rows: int, minimum: int, horizon: int, origins: int) -> Iterator[int]:
    """Yield the rows before each origin; the last origin always fits, older ones where history allows."""
    for origin in range(origins, 0, -1):
        cut = rows - origin * horizon
        if cut >= minimum or origin == 1:
            yield cut
