"""Answers of a mix: its path as it is, and no jump into the long run, neither of the forecast nor of its bounds."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.containers.engine_models import END, ROWS, fitted, mix, of_each_kind, regressors_for, remixed
from tests.containers.engine_support import DAY, START, Floats, consumption, regular

from fleetcast_engine import FittedModel, Forecast, LoadedModel, fit, forecast, pack, to_prophet_json, unpack
from fleetcast_engine.choice.mix import LEVELS, MixModel
from fleetcast_engine.choice.naive import NaiveModel
from fleetcast_engine.errors import NotExportable
from fleetcast_engine.history.timeline import Timeline
from fleetcast_engine.prophet.model import ProphetModel
from fleetcast_engine.score import score

KINDS = of_each_kind()
DAYS = Timeline("daily", DAY, END)


def loaded(model: FittedModel) -> LoadedModel:
    return unpack(pack(model))


def ask(model: FittedModel, steps: int, **arguments: Any) -> Forecast:
    return forecast(loaded(model), steps, regressors=regressors_for(model, steps), **arguments)


def real_mix(steps: int = 28) -> MixModel:
    """Return a mix whose tail was fitted, and whose path is what the customer really did, noise included."""
    series = regular(ROWS)
    future = series.timeline.future(steps)
    tail = fit(series).model
    path = 1.08 * consumption(np.r_[series.timestamps, future], 7)[-steps:]
    return remixed(mix(steps), path=path, long_run=tail)


def differences(model: MixModel, steps: int = 120) -> Floats:
    return np.abs(np.diff(model.predict(DAYS.future(steps), DAYS)))


@pytest.mark.parametrize("model", [real_mix(), mix(), mix(28, NaiveModel(np.arange(7.0), 1.0)), mix(5)])
def test_nothing_jumps_where_the_path_ends(model: MixModel) -> None:
    end, steps = len(model.path), differences(model)

    assert steps[end - 1 : end + 7].max() <= 1.5 * steps[: end - 1].max() + 1e-9


def test_the_path_is_answered_as_it_is() -> None:
    model = mix()

    answer = ask(replace(fitted("mix", model), nonnegative=False), 28)

    assert answer.yhat.tolist() == model.path.tolist()


@pytest.mark.parametrize(
    ("base", "scale"), [(1e9, 20.0), (-1e12, 1e-2), (0.0, 1e-100), (0.0, 1e25), (7.0, 0.0)]
)
def test_neither_a_large_base_nor_a_tiny_unit_costs_what_is_small_beside_it(
    base: float, scale: float
) -> None:
    """A register that counts on for years still has to show what a day adds; its distances are what is stored."""
    wave = np.sin(np.arange(336.0))
    path, quantiles = base + scale * wave[:28], scale * mix().quantiles
    last = 1e-6 * scale + 4e-16 * abs(base)

    mixed = replace(fitted("mix", remixed(mix(), path=path, quantiles=quantiles)), nonnegative=False)
    naive = replace(KINDS["naive of a week of half hours"], parameters=NaiveModel(base + scale * wave, scale))

    assert np.abs(ask(mixed, 28).yhat - path).max() <= last
    np.testing.assert_allclose(loaded(mixed).model.parameters.quantiles, quantiles, rtol=1e-6)
    again = ask(replace(naive, nonnegative=False), 336)
    assert np.abs(again.yhat - (base + scale * wave)).max() <= last


def test_what_the_path_adds_fades_out() -> None:
    model = mix()
    future = DAYS.future(28 + 100 * 7)

    away = np.abs(model.predict(future, DAYS) - model.tail.predict(future, DAYS))

    assert away[28:35].max() > 5
    assert away[28 + 28 : 28 + 35].max() == pytest.approx(away[28:35].max() / 2, rel=0.2)
    assert away[-7:].max() < 1e-5


def test_before_the_training_end_a_mix_is_its_tail() -> None:
    model = mix()
    past = START + DAY * np.arange(700, 740, dtype=np.int64)

    values = model.predict(past, DAYS)

    inside = past > END
    np.testing.assert_allclose(values[~inside], model.tail.predict(past[~inside], DAYS), rtol=1e-12)
    assert values[inside].tolist() == model.path[: inside.sum()].tolist()


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95, 0.98])
def test_bounds_are_the_quantiles_of_the_backtest(level: float) -> None:
    model = mix()

    answer = ask(replace(fitted("mix", model), nonnegative=False), 28, interval=level)

    low, high = (LEVELS.index(pytest.approx((1 + side * level) / 2)) for side in (-1, 1))
    block = np.repeat(np.arange(4), 7)
    np.testing.assert_allclose(answer.lower - answer.yhat, model.quantiles[block, low], rtol=1e-5)
    np.testing.assert_allclose(answer.upper - answer.yhat, model.quantiles[block, high], rtol=1e-5)


def test_a_forecast_lies_within_bounds_that_a_biased_backtest_left_on_one_side() -> None:
    model = remixed(mix(), quantiles=mix().quantiles + 100)

    answer = ask(replace(fitted("mix", model), nonnegative=False), 28)

    assert answer.lower.tolist() == answer.yhat.tolist()
    assert (answer.upper > answer.yhat + 50).all()


def test_bounds_widen_beyond_the_path_as_the_tails_do() -> None:
    model = mix()

    answer = ask(replace(fitted("mix", model), nonnegative=False), 400)
    width = answer.upper - answer.yhat

    assert width[28] == pytest.approx(width[27], rel=0.1)
    assert (np.diff(width[27:]) >= 0).all()
    variance = model.tail.deviation(DAYS.future(400), DAYS) ** 2
    gained = score(0.8) ** 2 * (variance - variance[27])
    np.testing.assert_allclose(width[28:] ** 2, width[27] ** 2 + gained[28:], rtol=1e-6)


def test_a_backtest_without_any_error_does_not_make_the_long_run_certain() -> None:
    """A mix that met zeros exactly goes over into a trend that nobody has tested."""
    model = remixed(mix(), quantiles=np.zeros((4, len(LEVELS))))

    answer = ask(replace(fitted("mix", model), nonnegative=False), 400)
    below, above = answer.yhat - answer.lower, answer.upper - answer.yhat

    assert above[27] == 0
    assert above[28] < 0.2 * above[399]
    assert (np.diff(above[27:]) > 0).all()
    np.testing.assert_allclose(below, above, atol=1e-9)


def test_a_tail_without_any_error_leaves_the_bounds_as_they_are() -> None:
    model = mix(28, NaiveModel(np.full(7, 5.0), 0.0))

    width = np.subtract(*[getattr(ask(fitted("mix", model), 60), name) for name in ("upper", "yhat")])

    assert width[28:].tolist() == pytest.approx([width[27]] * 32)


def test_bounds_of_tiny_values_widen_too() -> None:
    tail = NaiveModel(1e-200 * np.arange(7.0), 1e-200)
    model = remixed(mix(), path=1e-200 * np.arange(28), quantiles=1e-200 * mix().quantiles, long_run=tail)

    answer = ask(fitted("mix", model), 60)
    width = answer.upper - answer.yhat

    assert width[59] > width[35] > width[27] > 0


def test_a_mix_opens_in_prophet_as_its_long_run_only() -> None:
    model = fitted("mix", mix())

    with pytest.raises(NotExportable, match="long run"):
        to_prophet_json(model)

    assert isinstance(model.parameters, MixModel)
    assert isinstance(model.parameters.tail, ProphetModel)
    assert to_prophet_json(model, long_run=True) == to_prophet_json(model.parameters.tail)
    with pytest.raises(NotExportable, match="naive"):
        to_prophet_json(KINDS["mix over a naive"], long_run=True)
