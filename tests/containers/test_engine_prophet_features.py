"""Holidays, regressors, custom seasons and logistic growth: evaluated, exported and imported as Prophet does it."""

import json
import warnings
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.containers.engine_support import DAY, START, Floats, Ints, regular
from tests.containers.prophet_features import (
    BEYOND,
    FAIR,
    FEAST,
    FEATURE_CASES,
    FEATURE_IDS,
    FEATURES,
    MONTHLY,
    driven,
    known,
    with_regressors,
)
from tests.containers.test_engine_prophet_json import opened, written

from fleetcast_engine import ProphetOptions, Series, fit, from_prophet_json, to_prophet_json
from fleetcast_engine.errors import ArtifactError, BadParameters, FitFailed, MissingRegressor, NotExportable
from fleetcast_engine.prophet.exact import fit_map
from fleetcast_engine.prophet.fitting import MAP, STOCK
from fleetcast_engine.prophet.model import ProphetModel
from fleetcast_engine.prophet.options import CustomSeasonality, ExtraRegressor, Holidays
from fleetcast_engine.prophet.stock import fit_stock, parameters_of

LOGISTIC = ProphetOptions(growth="logistic", cap=400.0)


def saturating(rows: int = 300) -> Series:
    days = np.arange(rows)
    values = 50 + 300 / (1 + np.exp(-(days - 120) / 40)) + 9 * np.sin(days * 2 * np.pi / 7)
    noise = np.random.default_rng(rows).normal(0, 3, rows)
    return Series.from_arrays("meter-7", START + DAY * days, values + noise)


# What only stock Prophet fits, and we evaluate all the same.
FALLBACKS: list[tuple[str, Series, ProphetOptions]] = [
    ("logistic", saturating(), LOGISTIC),
    ("logistic from a floor", saturating(), replace(LOGISTIC, floor=40.0)),
    (
        "logistic, falling",
        replace(saturating(), values=saturating().values[::-1]),
        replace(LOGISTIC, floor=-10.0),
    ),
    (
        "logistic with everything",
        saturating(),
        with_regressors(
            replace(
                LOGISTIC,
                floor=20.0,
                holidays=(FEAST,),
                holidays_mode="multiplicative",
                seasonalities=(MONTHLY,),
            ),
            saturating(),
            temperature="multiplicative",
        ),
    ),
]
ALL_CASES = [*FEATURE_CASES, *(shape[1:] for shape in FALLBACKS)]
ALL_IDS = [*FEATURE_IDS, *(shape[0] for shape in FALLBACKS)]


def moments_for(series: Series) -> Ints:
    return np.r_[series.timestamps, series.timeline.future(600)]


def stock_answer(prophet: Any, options: ProphetOptions, timestamps: Ints) -> Any:
    """Return `Prophet.predict` with all that is known ahead."""
    from pandas import DataFrame  # noqa: PLC0415 - takes a second

    frame = DataFrame({"ds": timestamps.astype("datetime64[s]"), **known(timestamps)})
    if options.cap is not None:
        frame["cap"], frame["floor"] = options.cap, options.floor or 0.0
    prophet.uncertainty_samples = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Prophet's use of pandas is not ours to mend
        return prophet.predict(frame)


def close(ours: Floats, stock: Any) -> None:
    np.testing.assert_allclose(ours, stock.to_numpy(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("series", "options"), ALL_CASES, ids=ALL_IDS)
def test_prophet_forecasts_from_our_model_what_we_do(series: Series, options: ProphetOptions) -> None:
    model, timestamps = fit(series, options).model, moments_for(series)

    stock = stock_answer(opened(to_prophet_json(model)), options, timestamps)

    close(model.predict(timestamps, series.timeline, known(timestamps)), stock.yhat)


@pytest.mark.parametrize(("series", "options"), ALL_CASES, ids=ALL_IDS)
def test_what_stock_prophet_wrote_forecasts_the_same_here(series: Series, options: ProphetOptions) -> None:
    prophet, timestamps = fit_stock(series, options=options), moments_for(series)

    model = from_prophet_json(written(prophet))

    stock = stock_answer(prophet, options, timestamps)
    close(model.predict(timestamps, series.timeline, known(timestamps)), stock.yhat)
    assert model.holidays == parameters_of(prophet, len(series)).holidays


@pytest.mark.parametrize(("series", "options"), ALL_CASES, ids=ALL_IDS)
def test_the_components_are_prophets(series: Series, options: ProphetOptions) -> None:
    prophet, timestamps = fit_stock(series, options=options), moments_for(series)
    model = replace(parameters_of(prophet, len(series)), correction=2.5)
    stock = stock_answer(prophet, options, timestamps)

    parts = model.components(timestamps, series.timeline, known(timestamps))

    names = {term.name for term in model.terms} | {"trend", "additive_terms", "multiplicative_terms"}
    assert set(parts) == names | {"correction"}
    for name in names:
        close(parts[name], stock[name])
    whole = (
        parts["trend"] * (1 + parts["multiplicative_terms"]) + parts["additive_terms"] + parts["correction"]
    )
    np.testing.assert_allclose(
        whole, model.predict(timestamps, series.timeline, known(timestamps)), rtol=1e-12
    )


@pytest.mark.parametrize(("series", "options"), ALL_CASES, ids=ALL_IDS)
def test_a_model_survives_the_way_there_and_back(series: Series, options: ProphetOptions) -> None:
    model = fit(series, options).model

    again = from_prophet_json(to_prophet_json(model))

    for name in (
        "start",
        "span",
        "scale",
        "growth",
        "cap",
        "floor",
        "seasonalities",
        "holidays",
        "regressors",
    ):
        assert getattr(again, name) == getattr(model, name), name
    assert again.beta.tolist() == model.beta.tolist()
    assert again.changepoints.tolist() == model.changepoints.tolist()


@pytest.mark.parametrize(("series", "options"), FEATURE_CASES, ids=FEATURE_IDS)
def test_the_columns_are_prophets(series: Series, options: ProphetOptions) -> None:
    ours, stock = fit_map(series, options), parameters_of(fit_stock(series, options=options), len(series))

    assert ours.holidays == stock.holidays
    for mine, theirs in zip(ours.regressors, stock.regressors, strict=True):
        assert (mine.name, mine.multiplicative) == (theirs.name, theirs.multiplicative)
        assert (mine.mean, mine.deviation) == pytest.approx((theirs.mean, theirs.deviation), rel=1e-12)


@pytest.mark.parametrize(
    ("series", "options"), [shape[1:] for shape in FALLBACKS], ids=[s[0] for s in FALLBACKS]
)
def test_logistic_growth_goes_to_stock_prophet(series: Series, options: ProphetOptions) -> None:
    fitted = fit(series, options)

    assert fitted.engine == STOCK
    assert fitted.declined == "logistic growth is not linear in its parameters"


def test_a_logistic_interval_is_about_as_wide_as_prophets() -> None:
    series = saturating(200)
    prophet = fit_stock(series, options=LOGISTIC)
    future = series.timeline.future(28)
    model = parameters_of(prophet, len(series))
    prophet.uncertainty_samples = 3000
    np.random.seed(0)  # noqa: NPY002 - Prophet draws from the global generator
    from pandas import DataFrame  # noqa: PLC0415 - takes a second

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Prophet's use of pandas is not ours to mend
        stock = prophet.predict(DataFrame({"ds": future.astype("datetime64[s]"), "cap": 400.0}))

    widths = (stock.yhat_upper - stock.yhat_lower).to_numpy()
    np.testing.assert_allclose(
        2 * 1.2815515655446004 * model.deviation(future, series.timeline), widths, rtol=0.12
    )


def test_samples_of_the_posterior_become_their_mean() -> None:
    """Prophet's own forecast is made of the means too; only its interval knows the samples."""
    series, options = regular(40), ProphetOptions(mcmc_samples=40, n_changepoints=3)
    prophet = fit_stock(series, options=options)

    fitted = fit(series, options)

    assert (fitted.engine, fitted.declined) == (
        STOCK,
        "it asks for samples of the posterior, not for its maximum",
    )
    timestamps = moments_for(series)
    ours = parameters_of(prophet, len(series)).predict(timestamps, series.timeline)
    close(ours, stock_answer(prophet, options, timestamps).yhat)
    np.testing.assert_allclose(fitted.model.predict(timestamps, series.timeline), ours, rtol=1e-9)


def test_a_regressor_that_is_missing_is_named_with_the_time() -> None:
    series = driven(120)
    model = fit(series, with_regressors(ProphetOptions(), series, temperature=None)).model
    future = series.timeline.future(5)
    partly = known(future)["temperature"]
    partly[[1, 3]] = np.nan

    with pytest.raises(MissingRegressor, match=r"'temperature' has no values from 2023-05-01T00:00:00Z"):
        model.predict(future, series.timeline)
    with pytest.raises(MissingRegressor, match=r"2 timestamps: 2023-05-02T00:00:00Z, 2023-05-04T00:00:00Z"):
        model.predict(future, series.timeline, {"temperature": partly})
    with pytest.raises(MissingRegressor, match="4 values for 5 timestamps"):
        model.components(future, series.timeline, {"temperature": partly[:4]})


@pytest.mark.parametrize("engine", [MAP, STOCK])
def test_a_regressor_has_a_value_for_each_row(engine: Any) -> None:
    options = with_regressors(ProphetOptions(), driven(120), temperature=None)

    with pytest.raises(MissingRegressor, match="'temperature' has 120 values for 119 timestamps"):
        fit(driven(119), options, engine)


def test_changepoints_outside_the_rows_are_prophets_to_refuse() -> None:
    with pytest.raises(FitFailed, match="Changepoints must fall within training data"):
        fit(regular(60), ProphetOptions(changepoints=("2020-01-01",)))


def test_a_regressor_that_is_a_season_already_is_no_obstacle() -> None:
    """Two columns of the same values share what one would have had: the prior makes them distinct."""
    series = regular(120)
    twin = np.sin(2 * np.pi * series.timestamps / (7 * DAY))
    options = ProphetOptions(regressors=(ExtraRegressor("twin", twin), ExtraRegressor("triplet", twin)))

    fitted = fit(series, options)

    assert fitted.engine == MAP
    assert fitted.model.beta[-1] == pytest.approx(fitted.model.beta[-2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CustomSeasonality("m", 0, 3), "period of m"),
        (lambda: CustomSeasonality("m", 30, 0), "fourier_order of m"),
        (lambda: CustomSeasonality("m", 30, 3, prior_scale=0), "prior_scale of m"),
        (lambda: CustomSeasonality("m", 30, 3, mode="loud"), "mode of m"),
        (lambda: Holidays("h", ()), "h has no dates"),
        (lambda: Holidays("h", ("Christmas",)), "dates of h must be such as"),
        (lambda: Holidays("h", ("2026-12-25",), 1, 2), "windows of h"),
        (lambda: ExtraRegressor("r", np.array([1.0, np.nan])), "values of r"),
        (lambda: ProphetOptions(holidays=(FEAST, FEAST)), "'feast' is the name of 2 things"),
        (
            lambda: ProphetOptions(holidays=(Holidays("trend", ("2026-12-25",)),)),
            "'trend' cannot be the name",
        ),
        (lambda: ProphetOptions(seasonalities=(CustomSeasonality("a_delim_b", 3, 1),)), "'a_delim_b' cannot"),
        (lambda: ProphetOptions(changepoints=("soon",)), "changepoints must be such as"),
        (lambda: ProphetOptions(growth="logistic"), "needs a cap"),
        (lambda: ProphetOptions(growth="logistic", cap=1.0, floor=2.0), "greater than its floor"),
        (lambda: ProphetOptions(floor=2.0), "only logistic growth"),
        (lambda: ProphetOptions(mcmc_samples=-1), "mcmc_samples"),
        (lambda: ProphetOptions(seasonality_mode="loud"), "seasonality_mode must be"),
        (lambda: ProphetOptions(holidays_mode="loud"), "holidays_mode must be"),
        (lambda: ProphetOptions(growth="steep"), "growth must be one of"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_holiday_is_met_outside_of_the_history_too() -> None:
    series = driven(365)
    model = fit(series, ProphetOptions(holidays=(FEAST, BEYOND))).model
    future = series.timeline.future(365)  # 2024, with the feast on its 196th day

    parts = model.components(future, series.timeline)

    assert np.flatnonzero(parts["feast"]).tolist() == [194, 195, 196, 197]
    assert not parts["jubilee"].any()


def exported(model: ProphetModel) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(to_prophet_json(model))
    return document


RICH = exported(
    fit(
        driven(120), with_regressors(ProphetOptions(holidays=(FEAST, FAIR)), driven(120), temperature=None)
    ).model
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"holidays": "{}"}, "holidays is not a table"),
        ({"holidays": '{"data": [{"holiday": "feast", "ds": "soon"}]}'}, "holidays.ds is not a date"),
        ({"holidays": '{"data": [{"holiday": "trend", "ds": "2023-01-20"}]}'}, "'trend' cannot be"),
        (
            {"holidays": '{"data": [{"holiday": "f", "ds": "2023-01-20", "lower_window": -1e9}]}'},
            "window of more than",
        ),
        ({"holidays": None}, "do not belong to its changepoints and columns"),
        ({"holidays_mode": "loud"}, "holidays_mode"),
        ({"extra_regressors": [["t"], {"t": {}}]}, "extra_regressors.t"),
        ({"extra_regressors": [["t"], {"t": {"mu": 0.0, "std": 0.0, "mode": "additive"}}]}, "std"),
        ({"extra_regressors": [["t"], {"t": {"predictor_spec": {}}}]}, "predictor_spec"),
        ({"extra_regressors": [[["t"]], {}]}, "cannot be the name"),
        ({"extra_regressors": "t"}, "extra_regressors are not"),
        ({"growth": "logistic"}, "cap"),
    ],
    ids=str,
)
def test_a_broken_model_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadParameters, match=message):
        from_prophet_json(json.dumps({**RICH, **change}))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_field_may_be_anything(data: st.DataObject) -> None:
    """What opens is a file from outside; it may be refused, but in our words."""
    document = dict(RICH)
    name = data.draw(st.sampled_from(["holidays", "extra_regressors", "growth", "history", "holidays_mode"]))
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    )
    rows = st.lists(st.dictionaries(st.sampled_from(["ds", "holiday", "t", "lower_window"]), anything))
    document[name] = data.draw(anything | rows.map(lambda found: json.dumps({"data": found})))
    with suppress(ArtifactError):
        from_prophet_json(json.dumps(document))


def test_a_capacity_that_changes_is_refused() -> None:
    document = exported(fit(saturating(), LOGISTIC).model)
    document["history"] = document["history"].replace('"cap": 400.0', '"cap": 500.0', 1)

    with pytest.raises(BadParameters, match="change with time"):
        from_prophet_json(json.dumps(document))


def test_a_correction_of_a_logistic_trend_is_not_exported() -> None:
    with pytest.raises(NotExportable, match="logistic"):
        to_prophet_json(replace(fit(saturating(), LOGISTIC).model, correction=1.0))


def test_windows_that_differ_from_date_to_date_are_imported() -> None:
    from pandas import DataFrame  # noqa: PLC0415 - takes a second
    from prophet import Prophet  # noqa: PLC0415

    series = driven(200)
    table = DataFrame(
        {
            "holiday": ["feast", "fair", "feast"],
            "ds": ["2023-01-20", "2023-03-01", "2023-05-20"],
            "lower_window": [-2, 0, 0],
            "upper_window": [0, 1, 1],
        }
    )
    prophet = Prophet(holidays=table, uncertainty_samples=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Prophet's use of pandas is not ours to mend
        prophet.fit(DataFrame({"ds": series.timestamps.astype("datetime64[s]"), "y": list(series.values)}))
    timestamps = moments_for(series)

    model = from_prophet_json(written(prophet))

    close(
        model.predict(timestamps, series.timeline), stock_answer(prophet, ProphetOptions(), timestamps).yhat
    )
    again = opened(to_prophet_json(model))
    close(model.predict(timestamps, series.timeline), stock_answer(again, ProphetOptions(), timestamps).yhat)


def test_every_feature_is_fitted_directly() -> None:
    declined = {name: fit(series, options).declined for name, series, options in FEATURES}

    assert {name for name, reason in declined.items() if reason} == set()
