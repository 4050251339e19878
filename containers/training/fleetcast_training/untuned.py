"""A model without a choice: Prophet's defaults fitted once, for those who want exactly that and nothing tested."""

from fleetcast_engine import FittedModel, Series, TrainSettings, fit
from fleetcast_engine.model import PROPHET, Metrics

# No backtest was made, and the artifact says so by its number of origins.
_UNTESTED = Metrics(0.0, 0.0, 0)


def fit_untuned(series: Series, settings: TrainSettings) -> FittedModel:
    """Return Prophet's default model of a series.

    Raises:
        FitFailed: stock Prophet had to fit and found nothing.
    """
    fitted = fit(series, engine=settings.engine)
    return FittedModel(
        customer_id=series.customer_id,
        run_id=settings.run_id,
        family=PROPHET,
        parameters=fitted.model,
        timeline=series.timeline,
        training_start=int(series.timestamps[0]),
        trained_at=settings.trained_at,
        horizon=settings.horizon,
        metrics=_UNTESTED,
        nonnegative=series.nonnegative,
        engine=fitted.engine,
    )
