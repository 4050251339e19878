"""Everything that Prophet can be asked for beyond its defaults, as series and options."""

from dataclasses import replace
from typing import Any

import numpy as np
from tests.containers.engine_support import DAY, HOUR, START, Floats, Ints, consumption

from fleetcast_engine import Series
from fleetcast_engine.prophet.options import CustomSeasonality, ExtraRegressor, Holidays, ProphetOptions

DEFAULT = ProphetOptions()
FEAST = Holidays("feast", ("2023-01-20", "2023-03-03", "2023-07-14", "2024-07-14"), -1, 2)
FAIR = Holidays("fair", ("2023-02-02", "2023-05-05"), prior_scale=0.5)
BEYOND = Holidays("jubilee", ("1999-12-31", "2055-05-05"), 0, 1)
MONTHLY = CustomSeasonality("monthly", 30.5, 3, prior_scale=2.0)
FORTNIGHT = CustomSeasonality("fortnight", 14, 2, mode="multiplicative")


def temperature(timestamps: Ints) -> Floats:
    """Return degrees that anybody can know ahead."""
    days = (timestamps - START) / DAY
    degrees: Floats = (
        12 - 9 * np.cos(2 * np.pi * days / 365.25) + 3 * np.sin(days * 1.7) + np.cos(days * 0.31)
    )
    return degrees


def discount(timestamps: Ints) -> Floats:
    """Return a regressor of zeros and ones."""
    return ((timestamps - START) // DAY % 11 == 3).astype(np.float64)


def known(timestamps: Ints) -> dict[str, Floats]:
    return {
        "temperature": temperature(timestamps),
        "discount": discount(timestamps),
        "year": 2023 + (timestamps - START) / (365.25 * DAY),
        "constant": np.full(len(timestamps), 7.0),
    }


def driven(rows: int, step: int = DAY, *, multiplied: bool = False) -> Series:
    """Return consumption that follows temperature, discounts and holidays, and a month of its own."""
    timestamps = START + step * np.arange(rows, dtype=np.int64)
    days = (timestamps - START) / DAY
    drives = 1.5 * temperature(timestamps) + 14 * discount(timestamps) + 20 * (timestamps // DAY % 97 == 12)
    month = 4 * np.sin(2 * np.pi * days / 30.5)
    values = consumption(timestamps, rows)
    total = values * (1 + (drives + month) / 150) if multiplied else values + drives + month
    return Series.from_arrays("meter-7", timestamps, total)


def with_regressors(options: ProphetOptions, series: Series, **modes: Any) -> ProphetOptions:
    """Return options with regressors: `name=mode`, or `name=dict(...)` of what else to say about it."""
    values = known(series.timestamps)
    regressors = tuple(
        ExtraRegressor(name, values[name], **(given if isinstance(given, dict) else {"mode": given}))
        for name, given in modes.items()
    )
    return replace(options, regressors=regressors)


def shortened(series: Series, options: ProphetOptions, rows: int) -> tuple[Series, ProphetOptions]:
    """Return the first rows, with what options say about them."""
    regressors = tuple(replace(given, values=given.values[:rows]) for given in options.regressors)
    end = str(series.timestamps[:rows][-1].astype("datetime64[s]"))
    inside = options.changepoints and tuple(moment for moment in options.changepoints if moment <= end)
    return series.head(rows), replace(options, regressors=regressors, changepoints=inside)


def _shapes() -> list[tuple[str, Series, ProphetOptions]]:
    year, half, hours = driven(365), driven(180), driven(500, HOUR)
    factors = driven(400, multiplied=True)
    multiplicative = ProphetOptions(seasonality_mode="multiplicative")
    flat_factors = ProphetOptions(growth="flat", seasonality_mode="multiplicative")
    moments = ("2023-02-01", "2023-04-10T12:00:00", "2023-06-01", "2023-03-05")
    both = ProphetOptions(holidays=(FEAST, FAIR), seasonalities=(MONTHLY,))
    mixed = replace(both, holidays_mode="multiplicative")
    plain = {"standardize": False, "prior_scale": 0.1}
    return [
        ("given changepoints", year, ProphetOptions(changepoints=moments)),
        ("changepoints at both ends", half, ProphetOptions(changepoints=("2023-01-01", "2023-06-29"))),
        ("no changepoints by hand", half, ProphetOptions(changepoints=())),
        ("given changepoints between hours", hours, ProphetOptions(changepoints=("2023-01-05T05:17:09",))),
        ("a month", year, ProphetOptions(seasonalities=(MONTHLY,))),
        (
            "a weekly season of one's own",
            half,
            ProphetOptions(seasonalities=(CustomSeasonality("weekly", 7, 5, 1.0),)),
        ),
        (
            "a weekly season twice",
            half,
            ProphetOptions(seasonalities=(CustomSeasonality("weekly", 7, 5, 1.0),), weekly_seasonality=2),
        ),
        ("holidays", year, ProphetOptions(holidays=(FEAST, FAIR))),
        ("holidays of hours", hours, ProphetOptions(holidays=(FEAST, FAIR))),
        ("holidays never met", half, ProphetOptions(holidays=(FEAST, BEYOND), holidays_prior_scale=1.0)),
        ("a temperature", year, with_regressors(DEFAULT, year, temperature=None)),
        ("raw regressors", year, with_regressors(DEFAULT, year, temperature=plain, discount=plain)),
        ("a year's number", year, with_regressors(DEFAULT, year, year={"standardize": False}, constant=None)),
        ("a standardized discount", half, with_regressors(DEFAULT, half, discount={"standardize": True})),
        ("everything added", year, with_regressors(both, year, temperature=None, discount=None)),
        ("everything flat", year, with_regressors(replace(both, growth="flat"), year, temperature=None)),
        ("flat and multiplied", factors, flat_factors),
        ("a factor among terms", factors, ProphetOptions(seasonalities=(FORTNIGHT,))),
        ("holidays as factors", factors, mixed),
        (
            "terms and factors",
            factors,
            with_regressors(mixed, factors, temperature="multiplicative", discount="additive"),
        ),
        (
            "factors and terms",
            factors,
            with_regressors(
                replace(multiplicative, holidays=(FAIR,), holidays_mode="additive"),
                factors,
                temperature="additive",
            ),
        ),
        (
            "everything flat, mixed",
            factors,
            with_regressors(
                replace(mixed, growth="flat"), factors, temperature="multiplicative", year="additive"
            ),
        ),
    ]


FEATURES = _shapes()
FEATURE_IDS = [shape[0] for shape in FEATURES]
FEATURE_CASES = [shape[1:] for shape in FEATURES]
