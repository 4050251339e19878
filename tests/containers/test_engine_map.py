"""The direct solver, held against Prophet's own posterior, its optimiser and its Stan program."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.containers.engine_support import DAY, HOUR, START, consumption, regular
from tests.containers.posterior import log_posterior, stan_data, stan_parameters
from tests.containers.prophet_features import FEATURES, known, shortened

from fleetcast_engine import (
    ProphetOptions,
    Series,
    TrainSettings,
    fit,
    train,
)
from fleetcast_engine.errors import FitFailed
from fleetcast_engine.history.timeline import find_timeline
from fleetcast_engine.prophet.exact import fit_map
from fleetcast_engine.prophet.fitting import MAP, STOCK
from fleetcast_engine.prophet.kernel import solver
from fleetcast_engine.prophet.kernel.compiled import LOOPS, maximum

DEFAULT = ProphetOptions()
MULTIPLICATIVE = ProphetOptions(seasonality_mode="multiplicative")
# What Prophet may be ahead by before it counts: neither side has more digits.
ALLOWANCE = 1e-6


def of_values(values: Any, step: int = DAY) -> Series:
    return Series.from_arrays("meter-7", START + step * np.arange(len(values)), values)


def irregular(rows: int, days: float, seed: int = 0) -> Series:
    rng = np.random.default_rng(seed)
    timestamps = START + np.sort(rng.choice(int(days * 1440), rows, replace=False)) * 60
    return Series.from_arrays("meter-7", timestamps, consumption(timestamps, seed))


def walk(rows: int, seed: int) -> Series:
    return of_values(500 + np.random.default_rng(seed).normal(0, 5, rows).cumsum())


def noise(rows: int, seed: int) -> Series:
    return of_values(np.random.default_rng(seed).lognormal(3, 1, rows))


SHAPES: list[tuple[str, Series, ProphetOptions]] = [
    *((f"{rows} days", regular(rows), DEFAULT) for rows in (4, 9, 20, 32, 99, 100, 365, 1100)),
    *((f"a walk of {rows} days", walk(rows, rows), DEFAULT) for rows in (14, 31, 60, 200, 800)),
    *((f"noise of {rows} days", noise(rows, rows), DEFAULT) for rows in (3, 5, 6, 15, 40, 90, 150, 400)),
    ("a month of hours", regular(720, HOUR), DEFAULT),
    ("irregular rows", irregular(300, 200), DEFAULT),
    ("irregular rows over two years", irregular(400, 740), DEFAULT),
    ("weeks", regular(120, 7 * DAY), DEFAULT),
    ("all negative", of_values(-consumption(START + DAY * np.arange(200))), DEFAULT),
    ("a level far above the noise", of_values(1e6 + consumption(START + DAY * np.arange(200))), DEFAULT),
    ("tiny values", of_values(1e-12 * consumption(START + DAY * np.arange(200))), DEFAULT),
    ("before 1970", Series.from_arrays("m", DAY * np.arange(-900, -700), regular(200).values), DEFAULT),
    ("no changepoints", regular(200), ProphetOptions(n_changepoints=0)),
    ("many changepoints", regular(200), ProphetOptions(n_changepoints=60)),
    ("changepoints to the end", regular(200), ProphetOptions(changepoint_range=1.0)),
    ("changepoints early", regular(200), ProphetOptions(changepoint_range=0.3)),
    ("a stiff trend", regular(200), ProphetOptions(changepoint_prior_scale=0.001)),
    ("a loose trend", regular(200), ProphetOptions(changepoint_prior_scale=0.5)),
    ("damped seasons", regular(200), ProphetOptions(seasonality_prior_scale=0.02)),
    ("a flat trend", regular(200), ProphetOptions(growth="flat")),
    ("a chosen yearly order", regular(400), ProphetOptions(yearly_seasonality=4, weekly_seasonality=False)),
    ("multiplicative days", regular(200), MULTIPLICATIVE),
    ("multiplicative irregular rows", irregular(400, 740), MULTIPLICATIVE),
    ("multiplicative hours", regular(720, HOUR), MULTIPLICATIVE),
    ("every season", regular(400, HOUR), ProphetOptions(yearly_seasonality=True, daily_seasonality=True)),
]
IDS = [shape[0] for shape in (*SHAPES, *FEATURES)]
CASES = [shape[1:] for shape in (*SHAPES, *FEATURES)]


@pytest.mark.parametrize(("series", "options"), CASES, ids=IDS)
def test_the_posterior_is_never_below_prophets(series: Series, options: ProphetOptions) -> None:
    data = stan_data(series, options)
    stock = fit(series, options, engine=STOCK).model

    ours = fit(series, options)

    assert (ours.engine, ours.declined) == (MAP, None)
    assert log_posterior(ours.model, data) >= log_posterior(stock, data) - ALLOWANCE


@pytest.mark.parametrize(("series", "options"), CASES, ids=IDS)
def test_no_small_step_leads_higher(series: Series, options: ProphetOptions) -> None:
    """At the top the posterior falls in every direction, also where a changepoint rests at zero."""
    data, model = stan_data(series, options), fit_map(series, options)
    top, rng = log_posterior(model, data), np.random.default_rng(1)

    for size in (1e-2, 1e-4):
        for _ in range(20):
            moved = replace(
                model,
                k=model.k + rng.normal(0, size) * (options.growth == "linear"),
                m=model.m + rng.normal(0, size),
                delta=model.delta + rng.normal(0, size, len(model.delta)) * rng.integers(0, 2),
                beta=model.beta + rng.normal(0, size, len(model.beta)),
                sigma=model.sigma * np.exp(rng.normal(0, size)),
            )
            assert log_posterior(moved, data) <= top + 1e-9 * abs(top)


@pytest.mark.parametrize(("series", "options"), CASES, ids=IDS)
def test_stans_own_density_agrees(series: Series, options: ProphetOptions) -> None:
    """Differences of differences, because both leave out constants."""
    data, best = stan_data(series, options), fit_map(series, options)
    models = [best, fit(series, options, engine=STOCK).model, replace(best, sigma=0.3, k=0.1)]

    ours = np.array([log_posterior(model, data) for model in models])
    stan = np.array([stan_density(model, data) for model in models])

    np.testing.assert_allclose(stan[1:] - stan[0], ours[1:] - ours[0], rtol=1e-9, atol=1e-3)


def stan_density(model: Any, data: Any) -> float:
    """Return the log density that the Stan program bundled with Prophet computes."""
    from dataclasses import asdict  # noqa: PLC0415

    from prophet.models import CmdStanPyBackend  # noqa: PLC0415

    backend = CmdStanPyBackend()
    parameters = stan_parameters(model, data)
    _, given = backend.prepare_data({**parameters, "delta": np.zeros(0), "beta": np.zeros(0)}, asdict(data))
    answer = backend.model.log_prob(parameters, given, jacobian=False, sig_figs=18)
    return float(answer["lp__"].iloc[0])


@pytest.mark.parametrize(("series", "options"), CASES, ids=IDS)
def test_seasons_and_changepoints_are_prophets(series: Series, options: ProphetOptions) -> None:
    ours, stock = fit_map(series, options), fit(series, options, engine=STOCK).model

    assert ours.seasonalities == stock.seasonalities
    assert ours.changepoints.tolist() == stock.changepoints.tolist()
    assert (ours.start, ours.span, ours.rows) == (stock.start, stock.span, stock.rows)
    assert ours.scale == stock.scale
    assert (len(ours.beta), len(ours.delta)) == (len(stock.beta), len(stock.delta))


@pytest.mark.parametrize(
    ("values", "growth"),
    [([5.0] * 60, "linear"), ([0.0] * 60, "linear"), ([-3.0] * 20, "flat"), ([7.0] * 3, "linear")],
)
def test_a_constant_gets_the_parameters_that_prophet_gives_it(values: list[float], growth: Any) -> None:
    series, options = of_values(values), ProphetOptions(growth=growth)
    ours, stock = fit(series, options), fit(series, options, engine=STOCK).model

    assert ours.engine == MAP
    for name in ("k", "m", "sigma", "scale"):
        assert getattr(ours.model, name) == getattr(stock, name)
    assert ours.model.beta.tolist() == stock.beta.tolist()
    future = series.timeline.future(30)
    assert (
        ours.model.predict(future, series.timeline).tolist()
        == stock.predict(future, series.timeline).tolist()
    )


@pytest.mark.parametrize(
    ("series", "options", "reason"),
    [
        (of_values([1.0, 2.0]), DEFAULT, "2 rows are fewer than 3"),
        (of_values(np.arange(50.0)), DEFAULT, "fits it perfectly"),
        (of_values([4.0, 3.0, 2.0]), DEFAULT, "fits it perfectly"),
        (regular(60), MULTIPLICATIVE, "60 rows are few for 33 parameters"),
        (of_values(np.random.default_rng(3).normal(0, 1, 100)), MULTIPLICATIVE, "upside down"),
    ],
    ids=[
        "two rows",
        "a line",
        "three rows on a line",
        "multiplicative and short",
        "noise around zero, multiplied",
    ],
)
def test_what_the_solver_declines_stock_prophet_fits(
    series: Series, options: ProphetOptions, reason: str
) -> None:
    ours, stock = fit(series, options), fit(series, options, engine=STOCK)

    assert ours.engine == STOCK
    assert ours.declined is not None
    assert reason in ours.declined
    assert stock.declined is None
    assert (ours.model.k, ours.model.m, ours.model.sigma) == (stock.model.k, stock.model.m, stock.model.sigma)


def test_one_row_cannot_be_fitted_by_anyone() -> None:
    with pytest.raises(FitFailed, match="less than 2"):
        fit(of_values([1.0]))


def test_multiplicative_without_any_season_is_additive() -> None:
    series = regular(9)

    ours = fit(series, MULTIPLICATIVE)

    assert ours.engine == MAP
    assert ours.model.k == fit_map(series).k


@pytest.mark.parametrize(
    "options", [{"changepoint_range": 1.5}, {"n_changepoints": -1}, {"changepoint_prior_scale": 0}]
)
def test_options_that_prophet_would_refuse_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        ProphetOptions(**options)


@pytest.mark.parametrize(("series", "options"), CASES, ids=IDS)
def test_both_kinds_of_linear_algebra_give_the_same_numbers(
    series: Series, options: ProphetOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interpreted, the loops are slow; what the compiler makes of them is checked where it is installed."""
    series, options = shortened(series, options, 200 if options.holidays or options.regressors else 130)
    by_numpy = fit_map(series, options, solver.maximum)
    for name, loop in LOOPS.items():
        monkeypatch.setattr(solver, name, loop)

    by_loops = fit_map(series, options, solver.maximum)

    same_model(by_numpy, by_loops)


@pytest.mark.parametrize(("series", "options"), CASES, ids=IDS)
def test_compiled_the_solver_gives_the_same_numbers(series: Series, options: ProphetOptions) -> None:
    """Without numba both are interpreted, and this holds as well."""
    same_model(fit_map(series, options, solver.maximum), fit_map(series, options, maximum()))


def same_model(left: Any, right: Any) -> None:
    assert left.changepoints.tolist() == right.changepoints.tolist()
    moments = np.arange(left.start, left.start + 2 * left.span, max(left.span // 100, 1))
    timeline = find_timeline(moments)
    one, other = (model.predict(moments, timeline, known(moments)) for model in (left, right))
    np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8 * left.scale)
    assert left.sigma == pytest.approx(right.sigma, rel=1e-8)


@settings(max_examples=25, deadline=None)
@given(st.integers(20, 200), st.integers(0, 10**6), st.sampled_from([1e-9, 0.25, 8.0, 1e9]))
def test_scaling_the_values_scales_the_forecast(rows: int, seed: int, factor: float) -> None:
    series = noise(rows, seed)
    scaled = Series.from_arrays("meter-7", series.timestamps, series.values * factor)
    future = series.timeline.future(10)

    one, other = (fit_map(each).predict(future, each.timeline) for each in (series, scaled))

    np.testing.assert_allclose(one * factor, other, rtol=1e-6)


def test_the_same_series_gives_the_same_bytes() -> None:
    one, other = (fit_map(regular(365)) for _ in range(2))

    assert (one.k, one.m, one.sigma) == (other.k, other.m, other.sigma)
    assert one.beta.tobytes() == other.beta.tobytes()


def test_threads_that_fit_at_once_do_not_disturb_each_other() -> None:
    """Compiled, the solver lets go of the interpreter's lock."""
    alone = [fit_map(*case) for case in CASES]

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda case: fit_map(*case), CASES * 3))

    assert [model.beta.tobytes() for model in together] == [model.beta.tobytes() for model in alone] * 3


def test_read_only_arrays_are_as_good_as_others() -> None:
    series = regular(60)
    series.values.flags.writeable = series.timestamps.flags.writeable = False

    assert fit_map(series).k == fit_map(regular(60)).k


def test_training_says_who_fitted() -> None:
    trained = {engine: train(regular(200), TrainSettings(engine=engine)) for engine in (MAP, STOCK)}

    assert {engine: model.engine for engine, model in trained.items()} == {MAP: MAP, STOCK: STOCK}


def test_a_direct_fit_imports_neither_prophet_nor_pandas() -> None:
    code = (
        "import sys, numpy as np; from fleetcast_engine import Series, fit;"
        "fit(Series.from_arrays('m', 86400 * np.arange(50), np.sin(np.arange(50.0))));"
        "print(sorted({'prophet', 'pandas', 'scipy'} & set(sys.modules)))"
    )

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout == "[]\n"


@settings(max_examples=25, deadline=None)
@given(st.integers(20, 200), st.integers(0, 10**6), st.integers(-1000, 1000))
def test_moving_the_history_by_whole_weeks_moves_the_forecast(rows: int, seed: int, weeks: int) -> None:
    series = noise(rows, seed)
    moved = Series.from_arrays("meter-7", series.timestamps + weeks * 7 * DAY, series.values)

    one, other = (fit_map(each).predict(each.timeline.future(10), each.timeline) for each in (series, moved))

    np.testing.assert_allclose(one, other, rtol=1e-6)
