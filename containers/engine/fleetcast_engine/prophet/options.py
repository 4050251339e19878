"""What a customer may ask of Prophet, and Prophet's own rules for what nobody asked for."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import numpy as np

from fleetcast_engine.history.timeline import DAY, Floats, Ints
from fleetcast_engine.prophet.model import Seasonality

Mode = Literal["additive", "multiplicative"]
Growth = Literal["linear", "flat"]
# "auto" as Prophet decides, True for its usual order, False for none, a number for that order.
Switch = Literal["auto"] | int

_WEEK = 7 * DAY
_TWO_YEARS = 730 * DAY


@dataclass(frozen=True)
class ProphetOptions:
    """Prophet's parameters, by Prophet's names and with its defaults."""

    growth: Growth = "linear"
    n_changepoints: int = 25
    changepoint_range: float = 0.8
    changepoint_prior_scale: float = 0.05
    yearly_seasonality: Switch = "auto"
    weekly_seasonality: Switch = "auto"
    daily_seasonality: Switch = "auto"
    seasonality_mode: Mode = "additive"
    seasonality_prior_scale: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.changepoint_range <= 1:
            raise ValueError(f"changepoint_range must lie between 0 and 1, not {self.changepoint_range}")
        if self.n_changepoints < 0:
            raise ValueError(f"n_changepoints must not be negative, but is {self.n_changepoints}")
        for name in ("changepoint_prior_scale", "seasonality_prior_scale"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be a number above 0, not {getattr(self, name)}")

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `prophet.Prophet`."""
        return dict(vars(self))


@dataclass(frozen=True)
class Design:
    """The seasonal columns of a model and their priors.

    Attributes:
        precisions: one over the prior variance of k, m and each beta.
    """

    seasonalities: tuple[Seasonality, ...]
    periods: Floats = field(repr=False)
    orders: Ints = field(repr=False)
    precisions: Floats = field(repr=False)


def design_for(timestamps: Ints, options: ProphetOptions) -> Design:
    """Return the seasonalities that Prophet would choose (`set_auto_seasonalities`)."""
    span, step = int(timestamps[-1] - timestamps[0]), int((timestamps[1:] - timestamps[:-1]).min())
    return _design(
        _order(options.yearly_seasonality, 10, automatic=span >= _TWO_YEARS),
        _order(options.weekly_seasonality, 3, automatic=span >= 2 * _WEEK and step < _WEEK),
        _order(options.daily_seasonality, 4, automatic=span >= 2 * DAY and step < DAY),
        options.seasonality_mode,
        options.seasonality_prior_scale,
    )


def _order(switch: Switch, usual: int, *, automatic: bool) -> int:
    if switch == "auto":
        return usual if automatic else 0
    return usual if switch is True else int(switch)


@cache
def _design(yearly: int, weekly: int, daily: int, mode: Mode, prior_scale: float) -> Design:
    named = (("yearly", 365.25, yearly), ("weekly", 7.0, weekly), ("daily", 1.0, daily))
    chosen = tuple(
        Seasonality(name, period, order, mode == "multiplicative") for name, period, order in named if order
    )
    columns = 2 * sum(seasonality.order for seasonality in chosen)
    return Design(
        chosen,
        np.array([seasonality.period for seasonality in chosen], np.float64),
        np.array([seasonality.order for seasonality in chosen], np.int64),
        # prophet.stan: k and m are normal(0, 5).
        np.concatenate([np.full(2, 1 / 5**2), np.full(columns, 1 / prior_scale**2)]),
    )
