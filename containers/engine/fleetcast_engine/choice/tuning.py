"""From a customer's rows to the model that is served."""

from dataclasses import replace

import numpy as np

from fleetcast_engine.choice.backtest import Backtest, limits_of
from fleetcast_engine.choice.deciding import Decision, decide
from fleetcast_engine.choice.families import is_of_a_user
from fleetcast_engine.choice.mix import MixModel
from fleetcast_engine.choice.naive import NaiveModel, fit_naive
from fleetcast_engine.choice.prophets import UNCORRECTED, VARIANTS, corrected
from fleetcast_engine.choice.rowwise import Compared, fit_variant
from fleetcast_engine.choice.selection import quantiles, seasonal
from fleetcast_engine.choice.settings import TrainSettings
from fleetcast_engine.errors import FitFailed
from fleetcast_engine.history.cleaning import Cleaned
from fleetcast_engine.history.series import Series
from fleetcast_engine.model import MIX, SEASONAL_NAIVE, FittedModel, Metrics, Parameters
from fleetcast_engine.prophet.exact import Declined
from fleetcast_engine.prophet.fitting import MAP, Engine
from fleetcast_engine.prophet.model import ProphetModel


def train(series: Series, settings: TrainSettings) -> FittedModel:
    """Return the best model for a customer; never one that lost to the seasonal naive.

    Raises:
        TooShort: there are not enough rows to fit a model and to test it.
        UnknownFamily: a user's family cannot be loaded.
    """
    cleaned, decision = decide(series, settings)
    if isinstance(decision, Compared):
        parameters, engine, remark = _served_by_rows(cleaned, decision, settings.engine)
    else:
        parameters, engine, remark = _served(cleaned, decision)
    family, metrics = decision.family, decision.metrics
    if isinstance(parameters, NaiveModel):
        family, metrics = SEASONAL_NAIVE, Metrics(metrics.naive_mae, metrics.naive_mae, metrics.origins)
    return FittedModel(
        customer_id=series.customer_id,
        run_id=settings.run_id,
        family=family,
        parameters=parameters,
        timeline=series.timeline,
        training_start=int(series.timestamps[0]),
        trained_at=settings.trained_at,
        horizon=decision.horizon,
        metrics=metrics,
        nonnegative=series.nonnegative,
        remark=remark,
        engine=engine,
        repairs=cleaned.repairs,
    )


def _served(cleaned: Cleaned, decision: Decision) -> tuple[Parameters, Engine | None, str | None]:
    backtest, naive = decision.backtest, _naive(cleaned.raw, decision.backtest)
    remark = _remark(backtest)
    if decision.family == SEASONAL_NAIVE:
        return naive, None, remark
    if decision.family == MIX:
        # What stands still goes on standing still in the long run, too.
        tail = naive if backtest.past.silent[0] else _long_run(cleaned.series, decision) or naive
        return _mix(decision, tail), MAP if isinstance(tail, ProphetModel) else None, remark
    variant = decision.mix.members[0][0]
    try:
        model = fit_variant(cleaned.series, VARIANTS[variant.removesuffix(UNCORRECTED)], MAP)
    except Declined as reason:
        return naive, None, str(reason)
    return model if variant.endswith(UNCORRECTED) else corrected(model, cleaned.series), MAP, remark


def _remark(backtest: Backtest) -> str | None:
    own = [f"{name}: {why}" for name, why in sorted(backtest.absent.items()) if is_of_a_user(name)]
    untested = (
        [] if backtest.origins else ["nothing could be tested: no part of the history lies before another"]
    )
    return "; ".join([*own, *untested]) or None


def _mix(decision: Decision, tail: ProphetModel | NaiveModel) -> MixModel:
    rhythm = decision.backtest.past.rhythm
    return MixModel.of(
        path=decision.mix.path,
        blocks=np.array(rhythm.parts, np.int64),
        quantiles=quantiles(decision.backtest, decision.mix.tested),
        season=rhythm.unit if rhythm.within_a_day else rhythm.cycle,
        long_run=tail,
        members=decision.mix.members,
    )


def _long_run(series: Series, decision: Decision) -> ProphetModel | None:
    """Return the variant of Prophet that was best in the last block; the usual one where none ran."""
    names, errors = decision.backtest.names, decision.mix.errors[:, -1]
    ran = [name for name in names if name in VARIANTS]
    for variant in (*sorted(ran, key=lambda name: (float(errors[names.index(name)]), name)), "prophet"):
        try:
            return fit_variant(series, VARIANTS[variant], MAP)
        except Declined:
            continue
    return None


def _naive(raw: Series, backtest: Backtest) -> NaiveModel:
    """Return the seasonal naive with the spread that it had in the backtest; in the history where there is none."""
    naive = fit_naive(raw, backtest.past.rhythm.cycle)
    # As in the backtest, a slip of the meter's is not repeated.
    least, most = limits_of(backtest.past)
    season = np.clip(naive.season, least[0], most[0])
    missed = backtest.actual - seasonal(backtest)
    steps = np.arange(missed.shape[1]) // backtest.past.rhythm.cycle
    missed /= np.sqrt(steps + 1.0)
    known = missed[~np.isnan(missed)]
    sigma = float(np.sqrt(np.mean(known**2))) if len(known) else _usual_change(backtest)
    return NaiveModel(season, sigma)


def _usual_change(backtest: Backtest) -> float:
    """Return the root mean square of what a season changes; the values' own spread where no two are a season apart."""
    raw, cycle = backtest.past.raw, backtest.past.rhythm.cycle
    changes = raw[cycle:] - raw[:-cycle]
    known = changes[~np.isnan(changes)]
    return float(np.sqrt(np.mean(known**2))) if len(known) else float(np.nanstd(raw))


def _served_by_rows(
    cleaned: Cleaned, compared: Compared, engine: Engine
) -> tuple[Parameters, Engine | None, str | None]:
    raw, series, remark = cleaned.raw, cleaned.series, compared.remark
    if compared.family != SEASONAL_NAIVE:
        try:
            model = fit_variant(series, VARIANTS[compared.winner.removesuffix(UNCORRECTED)], engine)
        except (Declined, FitFailed) as error:
            remark = str(error)
        else:
            plain = compared.winner.endswith(UNCORRECTED)
            return model if plain else corrected(model, series), engine, remark
    season = raw.timeline.season(int(raw.timestamps[0]))
    past_naive = fit_naive(compared.past, season)
    spread = past_naive.with_spread_of(compared.timestamps, compared.naive_residuals, compared.past.timeline)
    return replace(fit_naive(raw, season), sigma=spread.sigma), None, remark
