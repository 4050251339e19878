"""What a customer is served: the one decision that a model and the table behind it are made from."""

from dataclasses import dataclass

import numpy as np

from fleetcast_engine.choice.backtest import Backtest, run_backtest
from fleetcast_engine.choice.profiles import SEASONAL
from fleetcast_engine.choice.prophets import UNCORRECTED, VARIANTS
from fleetcast_engine.choice.rowwise import Compared, compare_rows
from fleetcast_engine.choice.selection import Mix, seasonal, select, select_one, weighted_error
from fleetcast_engine.choice.settings import TrainSettings
from fleetcast_engine.errors import TooShort
from fleetcast_engine.history.cleaning import Cleaned, clean
from fleetcast_engine.history.series import Series
from fleetcast_engine.history.timeline import IRREGULAR
from fleetcast_engine.model import MIX, PROPHET, PROPHET_CORRECTED, SEASONAL_NAIVE, Metrics
from fleetcast_engine.prophet.fitting import MAP

# Two rows to fit on and one to test on.
MINIMUM_ROWS = 3


@dataclass(frozen=True)
class Decision:
    """A backtest, the best mix of it, and the family that is served."""

    backtest: Backtest
    mix: Mix
    family: str
    metrics: Metrics

    @property
    def horizon(self) -> int:
        """Return the steps that the forecast is tuned for."""
        return self.backtest.past.horizon


def decide(series: Series, settings: TrainSettings) -> tuple[Cleaned, Decision | Compared]:
    """Clean a series and compare the candidates: by steps, or by rows where there are none or fits are dear.

    Raises:
        TooShort: there are not enough rows to fit a model and to test it.
        UnknownFamily: a user's family cannot be loaded.
    """
    if len(series) < MINIMUM_ROWS:
        raise TooShort(f"{len(series)} valid rows; a model needs at least {MINIMUM_ROWS}")
    cleaned = clean(series)
    by_rows = series.frequency == IRREGULAR or settings.engine != MAP
    return cleaned, compare_rows(cleaned, settings) if by_rows else _by_steps(cleaned, settings)


def _by_steps(cleaned: Cleaned, settings: TrainSettings) -> Decision:
    """Run the backtest of a regular series and say what is served: never what lost to the seasonal naive."""
    backtest = run_backtest(cleaned, settings)
    if settings.prophet_only:
        ran = [name for name in backtest.names if name.removesuffix(UNCORRECTED) in VARIANTS]
        # A model has one set of parameters, whatever the block.
        mix = select_one(backtest, ran or [SEASONAL])
        plain = mix.members[0][0].endswith(UNCORRECTED)
        family = PROPHET if plain else PROPHET_CORRECTED
    else:
        mix, family = select(backtest), MIX
    tested = ~np.isnan(mix.tested)
    error = weighted_error(backtest, mix.tested)
    naive_error = weighted_error(backtest, np.where(tested, seasonal(backtest), np.nan))
    # A tie goes to the naive; and one set of Prophet's parameters cannot stand still after it has moved.
    if not error < naive_error or (settings.prophet_only and backtest.past.silent[0]):
        family, error = SEASONAL_NAIVE, naive_error
    return Decision(backtest, mix, family, Metrics(error, naive_error, int(tested.any(axis=1).sum())))
