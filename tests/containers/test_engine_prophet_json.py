"""Our models open in stock Prophet, and stock Prophet's open here."""

import json
import tracemalloc
import warnings
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.containers.engine_support import DAY, HOUR, START, consumption, opened, regular, stock_forecast
from tests.containers.serving_support import naive_model

from fleetcast_engine import (
    ProphetOptions,
    Series,
    TrainSettings,
    fit,
    from_prophet_json,
    to_prophet_json,
    train,
)
from fleetcast_engine.errors import ArtifactError, BadParameters, NotAModel, NotExportable
from fleetcast_engine.prophet.stock import fit_stock, import_prophet, parameters_of

MULTIPLICATIVE = ProphetOptions(seasonality_mode="multiplicative")
SHAPES: list[tuple[str, Series, ProphetOptions]] = [
    ("three years of days", regular(1100), ProphetOptions()),
    ("a month of hours", regular(720, HOUR), ProphetOptions()),
    ("fewer rows than changepoints", regular(20), ProphetOptions()),
    ("no season", regular(9), ProphetOptions()),
    ("two rows", regular(2), ProphetOptions()),
    ("no changepoints", regular(60), ProphetOptions(n_changepoints=0)),
    ("a flat trend", regular(60), ProphetOptions(growth="flat")),
    ("multiplicative", regular(200), MULTIPLICATIVE),
    ("constant", Series.from_arrays("c", START + DAY * np.arange(60), np.full(60, 5.0)), ProphetOptions()),
    ("before 1970", Series.from_arrays("c", DAY * np.arange(-99, -39), regular(60).values), ProphetOptions()),
]
IDS = [shape[0] for shape in SHAPES]
CASES = [shape[1:] for shape in SHAPES]


def written(prophet: Any) -> str:
    from prophet.serialize import model_to_json  # noqa: PLC0415 - takes a second

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Prophet's use of pandas is not ours to mend
        return str(model_to_json(prophet))


@pytest.mark.parametrize(("series", "options"), CASES, ids=IDS)
def test_prophet_forecasts_from_our_model_what_we_do(series: Series, options: ProphetOptions) -> None:
    model = fit(series, options).model
    timestamps = np.r_[series.timestamps, series.timeline.future(400)]

    prophet = opened(to_prophet_json(model))

    prophet.uncertainty_samples = 0
    stock = stock_forecast(prophet, timestamps).yhat.to_numpy()
    np.testing.assert_allclose(stock, model.predict(timestamps, series.timeline), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("series", "options"), CASES, ids=IDS)
def test_a_model_survives_the_way_there_and_back(series: Series, options: ProphetOptions) -> None:
    model = fit(series, options).model

    again = from_prophet_json(to_prophet_json(model))

    same(again, model)


@pytest.mark.parametrize(("series", "options"), CASES, ids=IDS)
def test_what_stock_prophet_wrote_forecasts_the_same_here(series: Series, options: ProphetOptions) -> None:
    prophet = fit_stock(series, options=options)
    timestamps = np.r_[series.timestamps, series.timeline.future(400)]

    model = from_prophet_json(written(prophet))

    same(model, parameters_of(prophet, len(series)))
    stock = stock_forecast(prophet, timestamps).yhat.to_numpy()
    np.testing.assert_allclose(model.predict(timestamps, series.timeline), stock, rtol=1e-9, atol=1e-12)


def same(left: Any, right: Any) -> None:
    for name in ("start", "span", "rows", "scale", "seasonalities"):
        assert getattr(left, name) == getattr(right, name), name
    for name in ("k", "m", "sigma", "changepoints", "delta", "beta"):
        np.testing.assert_allclose(
            getattr(left, name), getattr(right, name), rtol=1e-14, atol=0, err_msg=name
        )


@pytest.mark.parametrize("steps", [1, 28])
def test_prophets_interval_from_our_model_is_as_wide_as_ours(steps: int) -> None:
    """The width of a single step comes from the spacing of a history that the export does not have."""
    series = regular(400)
    model = fit(series).model
    future = series.timeline.future(steps)
    prophet = opened(to_prophet_json(model))
    prophet.uncertainty_samples = 20_000
    np.random.seed(0)  # noqa: NPY002 - Prophet draws from the global generator

    stock = stock_forecast(prophet, future)

    widths = (stock.yhat_upper - stock.yhat_lower).to_numpy()
    np.testing.assert_allclose(
        2 * 1.2815515655446004 * model.deviation(future, series.timeline), widths, rtol=0.05
    )


def test_the_future_of_an_exported_model_begins_after_its_training() -> None:
    series = regular(100)
    prophet = opened(to_prophet_json(fit(series).model))

    future = prophet.make_future_dataframe(periods=3, include_history=False)

    assert future.ds.astype("datetime64[s]").astype(np.int64).tolist() == series.timeline.future(3).tolist()


def test_a_correction_goes_with_the_model() -> None:
    series = regular(100)
    model = replace(fit(series).model, correction=-7.5)
    prophet = opened(to_prophet_json(model))
    prophet.uncertainty_samples = 0
    future = series.timeline.future(30)

    stock = stock_forecast(prophet, future).yhat.to_numpy()

    np.testing.assert_allclose(stock, model.predict(future, series.timeline), rtol=1e-12)


def test_a_trained_model_can_be_exported_as_it_is() -> None:
    series = regular(372)
    trained = replace(train(series, TrainSettings()), parameters=fit(series).model)

    assert from_prophet_json(to_prophet_json(trained)).rows == 372


def test_what_prophet_cannot_be_is_not_exported() -> None:
    with pytest.raises(NotExportable, match="naive"):
        to_prophet_json(naive_model("meter-7"))
    with pytest.raises(NotExportable, match="correction"):
        to_prophet_json(replace(fit(regular(100), MULTIPLICATIVE).model, correction=1.0))


@pytest.mark.parametrize(("scale", "correction"), [(0.0, 1.0), (0.0, 0.0), (1e-310, 0.0), (1e-299, 1e30)])
def test_a_scale_that_nothing_can_be_divided_by_is_not_exported(scale: float, correction: float) -> None:
    with pytest.raises(NotExportable, match="is too small"):
        to_prophet_json(replace(fit(regular(100)).model, scale=scale, correction=correction))


def test_minimum_and_maximum_scaling_is_understood() -> None:
    prophet_class, data_frame = import_prophet()
    series = regular(100)
    prophet = prophet_class(uncertainty_samples=0, scaling="minmax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Prophet's use of pandas is not ours to mend
        prophet.fit(data_frame({"ds": series.timestamps.astype("datetime64[s]"), "y": series.values}))
    future = series.timeline.future(30)

    model = from_prophet_json(written(prophet))

    stock = stock_forecast(prophet, future).yhat.to_numpy()
    np.testing.assert_allclose(model.predict(future, series.timeline), stock, rtol=1e-9)


def test_a_custom_season_is_imported() -> None:
    prophet_class, data_frame = import_prophet()
    timestamps = START + DAY * np.arange(200, dtype=np.int64)
    prophet = prophet_class(uncertainty_samples=0)
    prophet.add_seasonality("fortnightly", 14, 2, mode="multiplicative")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Prophet's use of pandas is not ours to mend
        prophet.fit(data_frame({"ds": timestamps.astype("datetime64[s]"), "y": consumption(timestamps)}))

    model = from_prophet_json(written(prophet))

    stock = stock_forecast(prophet, timestamps).yhat.to_numpy()
    np.testing.assert_allclose(model.predict(timestamps, regular(200).timeline), stock, rtol=1e-9)
    exported = opened(to_prophet_json(model))
    exported.uncertainty_samples = 0
    np.testing.assert_allclose(stock_forecast(exported, timestamps).yhat.to_numpy(), stock, rtol=1e-9)


def exported() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(to_prophet_json(fit(regular(60)).model))
    return document


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"growth": "exponential"}, "growth"),
        ({"country_holidays": "DE"}, "country_holidays"),
        ({"y_scale": 0}, "y_scale"),
        ({"y_scale": float("nan")}, "y_scale"),
        ({"start": 0.5}, "start"),
        ({"t_scale": -1.0}, "t_scale"),
        ({"params": {}}, "params.delta"),
        ({"params": {"k": [[1.0], [2.0]]}}, "delta"),
        ({"changepoints_t": [0.5]}, "changepoints"),
        ({"history": "[]"}, "not the JSON"),
        ({"history": '{"data": [{"t": 0}, {"t": 0}]}'}, "history.t"),
        ({"history": '{"data": [1, 2]}'}, "not a table"),
        ({"history": '{"data": [{"t": 0}]}'}, "two rows"),
        ({"seasonalities": None}, "seasonalities"),
        ({"seasonalities": [["weekly"], {}]}, "seasonalities.weekly"),
    ],
    ids=str,
)
def test_a_foreign_or_broken_model_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        from_prophet_json(json.dumps({**exported(), **change}))


def test_a_season_that_applies_now_and_then_is_refused() -> None:
    document = exported()
    document["seasonalities"][1]["weekly"]["condition_name"] = "open"

    with pytest.raises(BadParameters, match="condition_name"):
        from_prophet_json(json.dumps(document))


def test_samples_of_a_simulation_are_refused() -> None:
    document = exported()
    document["params"]["k"] = [[0.1], [0.2]]

    with pytest.raises(BadParameters, match=r"params\.k are samples"):
        from_prophet_json(json.dumps(document))


@pytest.mark.parametrize("moment", [1e30, -1e9])
def test_a_changepoint_outside_every_calendar_is_refused(moment: float) -> None:
    document = exported()
    document["changepoints_t"][0] = moment

    with pytest.raises(BadParameters, match="changepoints_t lie outside every calendar"):
        from_prophet_json(json.dumps(document))


def test_noise_below_zero_is_refused() -> None:
    document = exported()
    document["params"]["sigma_obs"] = [[-1.0]]

    with pytest.raises(BadParameters, match=r"params\.sigma_obs is below zero"):
        from_prophet_json(json.dumps(document))


@pytest.mark.parametrize(
    ("names", "size"),
    [(2500, "1832500 days in 1832500 columns"), (1, "1832500 days in 733 columns")],
    ids=["columns", "days"],
)
def test_a_short_text_does_not_become_gigabytes_of_holidays(names: int, size: str) -> None:
    window = {"lower_window": -366, "upper_window": 366}
    rows = [
        {"holiday": f"h{row % names}", "ds": str(np.datetime64("1990-01-01") + row), **window}
        for row in range(2500)
    ]
    text = json.dumps({**exported(), "holidays": json.dumps({"data": rows})})

    tracemalloc.start()
    with pytest.raises(BadParameters, match=f"holidays are {size}"):
        from_prophet_json(text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 20e6


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=50))
def test_any_text_is_a_model_or_an_error_of_ours(text: str) -> None:
    with pytest.raises(NotAModel):
        from_prophet_json(text)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_field_may_be_anything(data: st.DataObject) -> None:
    """What opens is a file from outside; it may be refused, but in our words."""
    document = EXPORTED | {}
    name = data.draw(st.sampled_from(sorted(document)))
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    )
    document[name] = data.draw(anything)
    with suppress(ArtifactError):
        from_prophet_json(json.dumps(document))


EXPORTED = exported()
