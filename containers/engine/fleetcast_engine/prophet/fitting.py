"""Who fits: the direct solver, or stock Prophet where the solver declines or is not wanted."""

from dataclasses import dataclass
from typing import Final, Literal

from fleetcast_engine.history.series import Series
from fleetcast_engine.prophet.exact import Declined, fit_map
from fleetcast_engine.prophet.kernel.compiled import maximum
from fleetcast_engine.prophet.model import ProphetModel
from fleetcast_engine.prophet.options import ProphetOptions
from fleetcast_engine.prophet.stock import fit_prophet, import_prophet

Engine = Literal["map", "prophet"]
MAP: Final = "map"
STOCK: Final = "prophet"
ENGINES: Final[tuple[Engine, ...]] = (MAP, STOCK)


@dataclass(frozen=True)
class Fit:
    """A fitted model, and who fitted it.

    Attributes:
        engine: "map" for the direct solver, "prophet" for stock Prophet.
        declined: why the direct solver was asked and did not fit.
    """

    model: ProphetModel
    engine: Engine
    declined: str | None = None


def fit(
    series: Series,
    options: ProphetOptions = ProphetOptions(),  # noqa: B008 - frozen
    engine: Engine = MAP,
) -> Fit:
    """Fit Prophet's model.

    Args:
        series: at least two rows.
        options: as one would give them to Prophet.
        engine: "map" for the exact maximum of the posterior, "prophet" for the point where Prophet's own
            optimiser stops.

    Raises:
        FitFailed: stock Prophet had to fit and found nothing.
        MissingRegressor: a regressor does not have one value for each row.
    """
    declined = None
    if engine == MAP:
        try:
            return Fit(fit_map(series, options), MAP)
        except Declined as reason:
            declined = str(reason)
    return Fit(fit_prophet(series, options=options), STOCK, declined)


def warm_up(engine: Engine = MAP) -> None:
    """Load or compile ahead of the first fit what takes long, once per process."""
    if engine == MAP:
        maximum()
    else:
        import_prophet()
