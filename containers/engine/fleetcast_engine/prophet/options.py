"""What a customer may ask of Prophet, by Prophet's names and with its defaults."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from fleetcast_engine.history.timeline import Floats
from fleetcast_engine.prophet.model import CORRECTION, GROWTHS, SUMS, TREND, Growth

Mode = Literal["additive", "multiplicative"]
MODES: Final[tuple[Mode, Mode]] = ("additive", "multiplicative")
# "auto" as Prophet decides, True for its usual order, False for none, a number for that order.
Switch = Literal["auto"] | int

AUTOMATIC: Final = ("yearly", "weekly", "daily")
# Names that Prophet, or we, give to something else.
_RESERVED = frozenset(
    (
        *AUTOMATIC,
        *(TREND, CORRECTION, *SUMS, "holidays", "zeros", "yhat", "ds", "y", "cap", "floor", "y_scaled"),
        *("cap_scaled", "extra_regressors_additive", "extra_regressors_multiplicative"),
    )
)


@dataclass(frozen=True)
class CustomSeasonality:
    """A Fourier series of one's own (`Prophet.add_seasonality`).

    Attributes:
        name: one of the automatic ones' names replaces that one.
        period: in days.
        prior_scale: the options' seasonality_prior_scale, unless given.
        mode: the options' seasonality_mode, unless given.
    """

    name: str
    period: float
    fourier_order: int
    prior_scale: float | None = None
    mode: Mode | None = None

    def __post_init__(self) -> None:
        if not 0 < self.period < np.inf:
            raise ValueError(f"the period of {self.name} must be a number above 0, not {self.period}")
        if self.fourier_order < 1:
            raise ValueError(f"the fourier_order of {self.name} must be at least 1, not {self.fourier_order}")
        _check(self.name, self.prior_scale, self.mode)


@dataclass(frozen=True)
class Holidays:
    """All days of one holiday, and how many days around each are affected (Prophet's table `holidays`).

    Attributes:
        dates: as `2026-12-25`, in any order, also beyond the series. They are days of UTC: rows of local days east
            of Greenwich begin on the one before, unless the series was given wall-clock times.
        lower_window: days before, as a number of at most 0.
        upper_window: days after.
        prior_scale: the options' holidays_prior_scale, unless given.
    """

    name: str
    dates: tuple[str, ...]
    lower_window: int = 0
    upper_window: int = 0
    prior_scale: float | None = None

    def __post_init__(self) -> None:
        if not self.lower_window <= 0 <= self.upper_window:
            raise ValueError(f"the windows of {self.name} must reach from at most 0 to at least 0")
        if not self.dates:
            raise ValueError(f"holiday {self.name} has no dates")
        moments_of(self.dates, f"dates of {self.name}")
        _check(self.name, self.prior_scale, None)


@dataclass(frozen=True, eq=False)
class ExtraRegressor:
    """A column of values beside the series (`Prophet.add_regressor`).

    Attributes:
        values: one finite number for each row of the series.
        prior_scale: the options' holidays_prior_scale, unless given.
        standardize: "auto" for every regressor but those of zeros and ones; a constant never is.
        mode: the options' seasonality_mode, unless given.
    """

    name: str
    values: Floats = field(repr=False)
    prior_scale: float | None = None
    standardize: Literal["auto"] | bool = "auto"
    mode: Mode | None = None

    def __post_init__(self) -> None:
        values = np.ascontiguousarray(self.values, np.float64)
        if values.ndim != 1 or not np.isfinite(values).all():
            raise ValueError(f"the values of {self.name} must be one row of finite numbers")
        object.__setattr__(self, "values", values)
        _check(self.name, self.prior_scale, self.mode)


@dataclass(frozen=True)
class ProphetOptions:
    """Prophet's parameters.

    Attributes:
        changepoints: moments such as `2026-01-31` or `2026-01-31T06:00:00`; None for automatic ones.
        holidays_mode: the seasonality_mode, unless given.
        mcmc_samples: how many to draw of the posterior instead of maximising it; the model is their mean.
        cap: where logistic growth ends; in the customer's unit, as is its floor.
        floor: None is 0 for Prophet, but for the scale of the values.
    """

    growth: Growth = "linear"
    n_changepoints: int = 25
    changepoint_range: float = 0.8
    changepoint_prior_scale: float = 0.05
    yearly_seasonality: Switch = "auto"
    weekly_seasonality: Switch = "auto"
    daily_seasonality: Switch = "auto"
    seasonality_mode: Mode = "additive"
    seasonality_prior_scale: float = 10.0
    changepoints: tuple[str, ...] | None = None
    seasonalities: tuple[CustomSeasonality, ...] = ()
    holidays: tuple[Holidays, ...] = ()
    holidays_prior_scale: float = 10.0
    holidays_mode: Mode | None = None
    regressors: tuple[ExtraRegressor, ...] = ()
    mcmc_samples: int = 0
    cap: float | None = None
    floor: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.changepoint_range <= 1:
            raise ValueError(f"changepoint_range must lie between 0 and 1, not {self.changepoint_range}")
        for name in ("n_changepoints", "mcmc_samples"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, but is {getattr(self, name)}")
        for name in ("changepoint_prior_scale", "seasonality_prior_scale", "holidays_prior_scale"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be a number above 0, not {getattr(self, name)}")
        for name in ("seasonality_mode", "holidays_mode"):
            # The latter may be None: the same as the former.
            if (getattr(self, name) or self.seasonality_mode) not in MODES:
                raise ValueError(f"{name} must be additive or multiplicative, not {getattr(self, name)}")
        moments_of(self.changepoints or (), "changepoints")
        self._check_growth()
        self._check_names()

    def _check_growth(self) -> None:
        if self.growth not in GROWTHS:
            raise ValueError(f"growth must be one of {', '.join(GROWTHS)}, not {self.growth}")
        if self.growth != "logistic":
            if self.cap is not None or self.floor is not None:
                raise ValueError("only logistic growth has a cap and a floor")
        elif self.cap is None or not self.cap > (self.floor or 0.0):
            raise ValueError(f"logistic growth needs a cap greater than its floor, not {self.cap}")

    def _check_names(self) -> None:
        custom = [each.name for each in self.seasonalities]
        others = [each.name for each in self.holidays] + [each.name for each in self.regressors]
        check_names([name for name in custom if name not in AUTOMATIC] + others)
        check_unique(custom + others)


def check_names(names: list[str]) -> None:
    """Refuse names that mean something else (`Prophet.validate_column_name`).

    Raises:
        ValueError: with the name.
    """
    for name in names:
        if "_delim_" in name or not name or name.removesuffix("_lower").removesuffix("_upper") in _RESERVED:
            raise ValueError(f"{name!r} cannot be the name of a seasonality, holiday or regressor")


def check_unique(names: list[str]) -> None:
    """Refuse a name that is given twice.

    Raises:
        ValueError: with the name.
    """
    name, times = Counter(names).most_common(1)[0] if names else ("", 0)
    if times > 1:
        raise ValueError(f"{name!r} is the name of {times} things")


def moments_of(texts: tuple[str, ...], what: str) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Return seconds since 1970 of dates or moments as text.

    Raises:
        ValueError: one is not such a text.
    """
    try:
        moments = np.array(texts, "datetime64[s]")
    except ValueError as error:
        raise ValueError(f"{what} must be such as 2026-01-31, not {texts}") from error
    if np.isnat(moments).any():
        raise ValueError(f"{what} must be such as 2026-01-31, not {texts}")
    return moments.astype(np.int64)


def _check(name: str, prior_scale: float | None, mode: Mode | None) -> None:
    if prior_scale is not None and not 0 < prior_scale < np.inf:
        raise ValueError(f"the prior_scale of {name} must be a number above 0, not {prior_scale}")
    if mode not in {*MODES, None}:
        raise ValueError(f"the mode of {name} must be additive or multiplicative, not {mode}")
