"""Prophet's own rules for what a model consists of: which columns, with which priors, and where changepoints lie."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from fleetcast_engine.history.timeline import DAY, Floats, Ints
from fleetcast_engine.prophet.model import Holiday, Regressor, Seasonality, known_values
from fleetcast_engine.prophet.options import (
    AUTOMATIC,
    CustomSeasonality,
    ExtraRegressor,
    Holidays,
    Mode,
    ProphetOptions,
    Switch,
    moments_of,
)

_WEEK = 7 * DAY
_TWO_YEARS = 730 * DAY
_PERIODS = dict(zip(AUTOMATIC, (365.25, 7.0, 1.0), strict=True))
# prophet.stan: k and m are normal(0, 5).
_TREND_PRECISIONS = np.full(2, 1 / 5**2)


@dataclass(frozen=True)
class Design:
    """The columns of a model beside its trend, and their priors.

    Attributes:
        periods: of the seasonalities, in days.
        orders: of the seasonalities.
        extras: the columns beyond harmonics, one per row of this matrix; none is larger than 1.
        sizes: what those columns were divided by.
        precisions: one over the prior variance of k, m and each coefficient.
        multiplied: for each coefficient 1 where its column multiplies the trend, else 0.
    """

    seasonalities: tuple[Seasonality, ...]
    holidays: tuple[Holiday, ...]
    regressors: tuple[Regressor, ...]
    periods: Floats = field(repr=False)
    orders: Ints = field(repr=False)
    extras: Floats = field(repr=False)
    sizes: Floats = field(repr=False)
    precisions: Floats = field(repr=False)
    multiplied: Floats = field(repr=False)
    multiplicative: bool


def design_for(timestamps: Ints, options: ProphetOptions) -> Design:
    """Return the columns that Prophet would make (`make_all_seasonality_features`).

    Raises:
        MissingRegressor: a regressor does not have one value for each row.
    """
    defaults = (options.seasonality_mode, options.seasonality_prior_scale)
    seasonal = _seasonal(_orders(timestamps, options), defaults, options.seasonalities)
    if not options.holidays and not options.regressors:
        return seasonal
    holidays = _holidays(options)
    regressors = tuple(_regressor(timestamps, given, options) for given in options.regressors)
    with np.errstate(invalid="ignore"):  # of values whose mean overflows
        standard = [
            (given.values - regressor.mean) / regressor.deviation
            for given, regressor in zip(options.regressors, regressors, strict=True)
        ]
    extras = np.array([*(holiday.column(timestamps) for holiday in holidays), *standard])
    sizes = np.abs(extras).max(axis=1)
    sizes[sizes == 0] = 1.0
    given_scales = {each.name: each.prior_scale for each in options.holidays}
    given_scales |= {each.name: each.prior_scale for each in options.regressors}
    columns: tuple[Holiday | Regressor, ...] = (*holidays, *regressors)
    scales = [given_scales[column.name] or options.holidays_prior_scale for column in columns]
    multiplied = np.array([float(column.multiplicative) for column in columns])
    return Design(
        seasonal.seasonalities,
        holidays,
        regressors,
        seasonal.periods,
        seasonal.orders,
        extras / sizes[:, None],
        sizes,
        np.concatenate([seasonal.precisions, 1 / (np.array(scales) * sizes) ** 2]),
        np.concatenate([seasonal.multiplied, multiplied]),
        seasonal.multiplicative or bool(multiplied.any()),
    )


def changepoints_for(timestamps: Ints, options: ProphetOptions) -> Ints:
    """Return the moments at which Prophet lets the slope change (`set_changepoints`); none within the rows is needed.

    Automatic ones are spread by row, not by time.
    """
    if options.changepoints is not None:
        return np.sort(moments_of(options.changepoints, "changepoints"))
    return timestamps[changepoint_rows(len(timestamps), options.n_changepoints, options.changepoint_range)]


@cache
def changepoint_rows(rows: int, changepoints: int, changepoint_range: float) -> Ints:
    """Return the rows at which automatic changepoints lie; fewer where there are few rows."""
    eligible = int(np.floor(rows * changepoint_range))
    count = max(min(changepoints, eligible - 1), 0)
    rows_of: Ints = np.linspace(0, eligible - 1, count + 1).round().astype(np.int64)[1:]
    return rows_of


def _orders(timestamps: Ints, options: ProphetOptions) -> tuple[int, int, int]:
    """Return the orders of the automatic seasonalities (`set_auto_seasonalities`)."""
    span, step = int(timestamps[-1] - timestamps[0]), int((timestamps[1:] - timestamps[:-1]).min())
    return (
        _order(options.yearly_seasonality, 10, automatic=span >= _TWO_YEARS),
        _order(options.weekly_seasonality, 3, automatic=span >= 2 * _WEEK and step < _WEEK),
        _order(options.daily_seasonality, 4, automatic=span >= 2 * DAY and step < DAY),
    )


def _order(switch: Switch, usual: int, *, automatic: bool) -> int:
    # Below zero: on where no custom seasonality has its name.
    if switch == "auto":
        return -usual if automatic else 0
    return usual if switch is True else max(int(switch), 0)


@cache
def _seasonal(
    automatic: tuple[int, int, int], defaults: tuple[Mode, float], custom: tuple[CustomSeasonality, ...]
) -> Design:
    mode, prior_scale = defaults
    chosen = {each.name: each for each in custom}
    for name, order in zip(AUTOMATIC, automatic, strict=True):
        if order > 0 or (order < 0 and name not in chosen):
            chosen[name] = CustomSeasonality(name, _PERIODS[name], abs(order))
    given = chosen.values()
    seasonalities = tuple(
        Seasonality(
            each.name, float(each.period), each.fourier_order, (each.mode or mode) == "multiplicative"
        )
        for each in given
    )
    orders = np.array([each.order for each in seasonalities], np.int64)
    scales = np.repeat([each.prior_scale or prior_scale for each in given], 2 * orders)
    multiplied = np.repeat([float(each.multiplicative) for each in seasonalities], 2 * orders)
    return Design(
        seasonalities,
        (),
        (),
        np.array([each.period for each in seasonalities], np.float64),
        orders,
        np.empty((0, 0)),
        np.empty(0),
        np.concatenate([_TREND_PRECISIONS, 1 / scales**2]),
        multiplied,
        bool(multiplied.any()),
    )


def holiday_columns(
    table: Iterable[tuple[str, int, int, int]], *, multiplicative: bool
) -> tuple[Holiday, ...]:
    """Return the columns of holidays, in Prophet's order (`make_holiday_features`).

    Args:
        table: name, day since 1970, lower and upper window of each holiday.
        multiplicative: whether they multiply the trend.
    """
    days: dict[tuple[str, int], set[int]] = {}
    for name, day, lower, upper in table:
        for offset in range(lower, upper + 1):
            days.setdefault((name, offset), set()).add(day + offset)
    return tuple(
        Holiday(name, offset, tuple(sorted(days[name, offset])), multiplicative)
        for name, offset in sorted(days, key=_label)
    )


def _label(column: tuple[str, int]) -> str:
    name, offset = column
    return f"{name}_delim_{'-' if offset < 0 else '+'}{abs(offset)}"


def _holidays(options: ProphetOptions) -> tuple[Holiday, ...]:
    mode = options.holidays_mode or options.seasonality_mode
    return holiday_columns(holiday_table(options.holidays), multiplicative=mode == "multiplicative")


def holiday_table(holidays: Iterable[Holidays]) -> Iterator[tuple[str, int, int, int]]:
    """Yield name, day since 1970, lower and upper window of each holiday."""
    for given in holidays:
        for day in (moments_of(given.dates, given.name) // DAY).tolist():
            yield given.name, day, given.lower_window, given.upper_window


def _regressor(timestamps: Ints, given: ExtraRegressor, options: ProphetOptions) -> Regressor:
    """Return how a regressor's values become a column (`initialize_scales`)."""
    values = known_values(given.name, timestamps, {given.name: given.values})
    different = set(np.unique(values).tolist())
    standardize = len(different) > 1 and (
        different != {0.0, 1.0} if given.standardize == "auto" else given.standardize
    )
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = (float(values.mean()), float(values.std(ddof=1))) if standardize else (0.0, 1.0)
    multiplicative = (given.mode or options.seasonality_mode) == "multiplicative"
    return Regressor(given.name, mean, deviation, multiplicative)
