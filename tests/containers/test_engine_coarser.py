"""A coarser frequency shows steps of the series' own: nothing is summed up, and nothing is made up between them."""

from dataclasses import replace

import numpy as np
import pytest
from tests.containers.engine_models import END, of_each_kind, regressors_for
from tests.containers.engine_support import DAY

from fleetcast_engine import COARSER, LoadedModel, components, forecast
from fleetcast_engine.errors import ForecastError
from fleetcast_engine.history.timeline import MONTHLY, SPACINGS, Timeline

KINDS = {name: model for name, model in of_each_kind().items() if not regressors_for(model, 1)}
NAIVE = KINDS["naive"]
HOUR = 3600


def ending(moment: str, frequency: str = "daily") -> LoadedModel:
    month_day = 1 if frequency == MONTHLY else 0
    timeline = Timeline(frequency, SPACINGS[frequency].seconds, seconds(moment), month_day)
    return LoadedModel(replace(NAIVE, timeline=timeline), 0)


def seconds(moment: str) -> int:
    return int(np.datetime64(moment, "s").astype(np.int64))


def days_of(loaded: LoadedModel, *arguments: int, frequency: str) -> list[str]:
    timestamps = forecast(loaded, *arguments, frequency=frequency).timestamps
    return np.datetime_as_string(timestamps.astype("datetime64[s]"), "m").tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_coarser_answer_is_every_so_many_th_row_of_the_finer_one(kind: str) -> None:
    model = LoadedModel(replace(KINDS[kind], timeline=Timeline("hourly", HOUR, END)), 0)

    fine, coarse = forecast(model, 240, interval=0.9), forecast(model, 10, interval=0.9, frequency="daily")
    parts = components(model, 240), components(model, 10, frequency="daily")

    assert coarse.timestamps.tolist() == fine.timestamps[23::24].tolist()
    for name in ("yhat", "lower", "upper"):
        np.testing.assert_allclose(getattr(coarse, name), getattr(fine, name)[23::24], rtol=1e-9)
    for name, values in parts[0].items():
        np.testing.assert_allclose(parts[1][name], values[23::24], rtol=1e-9, atol=1e-9, err_msg=name)


def test_the_series_own_frequency_may_be_named() -> None:
    loaded = LoadedModel(NAIVE, 0)

    named = forecast(loaded, 7, frequency=NAIVE.timeline.frequency)

    assert named.timestamps.tolist() == forecast(loaded, 7).timestamps.tolist()


def test_coarser_steps_are_counted_from_the_start_that_is_asked_for() -> None:
    loaded = ending("2026-01-31T05:00", "hourly")

    assert days_of(loaded, 2, frequency="daily") == ["2026-02-01T05:00", "2026-02-02T05:00"]
    assert days_of(loaded, 2, seconds("2026-02-02T00:00"), frequency="daily") == [
        "2026-02-02T00:00",
        "2026-02-03T00:00",
    ]
    assert days_of(loaded, 1, seconds("2026-02-02T00:30"), frequency="daily") == ["2026-02-02T01:00"]


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("2026-01-31", ["2026-02-28T00:00", "2026-03-31T00:00", "2026-04-30T00:00"]),
        ("2026-01-15", ["2026-02-15T00:00", "2026-03-15T00:00", "2026-04-15T00:00"]),
        ("2027-12-29", ["2028-01-29T00:00", "2028-02-29T00:00", "2028-03-29T00:00"]),
        ("2026-02-28T23:00", ["2026-03-31T23:00", "2026-04-30T23:00", "2026-05-31T23:00"]),
        ("2026-04-30T22:00", ["2026-05-31T22:00", "2026-06-30T22:00", "2026-07-31T22:00"]),
        ("2026-01-30T23:00", ["2026-02-27T23:00", "2026-03-30T23:00", "2026-04-29T23:00"]),
        ("2026-02-28T05:00", ["2026-03-28T05:00", "2026-04-28T05:00", "2026-05-28T05:00"]),
    ],
)
def test_months_keep_their_day_as_far_as_they_have_it(end: str, expected: list[str]) -> None:
    assert days_of(ending(end), 3, frequency="monthly") == expected


def test_months_from_a_start_are_months_of_its_day() -> None:
    first = seconds("2026-03-01T00:00")

    assert days_of(ending("2026-01-31"), 3, first, frequency="monthly") == [
        "2026-03-01T00:00",
        "2026-04-01T00:00",
        "2026-05-01T00:00",
    ]


@pytest.mark.parametrize(
    ("end", "start"),
    [
        ("2026-02-15T23:00", "2026-03-01T00:00"),
        ("2026-02-15T23:00", "2026-02-28T23:00"),
        ("2025-10-14T22:00", "2026-02-28T23:00"),
        ("2026-02-28T23:00", "2026-04-30T22:00"),
        ("2026-02-15T23:00", "2026-02-28T00:01"),
    ],
    ids=["a date", "winter", "winter from summer", "summer from winter", "a minute later"],
)
def test_months_of_local_midnights_begin_on_one_day_of_the_month(end: str, start: str) -> None:
    """In UTC they are 28, 30 or 31 as the month before has days."""
    loaded = ending(end)

    found = [np.datetime64(day) for day in days_of(loaded, 14, seconds(start), frequency="monthly")]

    local_days = {str(moment + np.timedelta64(2, "h"))[8:10] for moment in found}
    assert local_days == {"01"}
    assert (np.diff(np.array([moment.astype("datetime64[M]") for moment in found])).astype(int) == 1).all()


@pytest.mark.parametrize(
    ("frequency", "coarser"), [(own, other) for own in COARSER for other in COARSER[own]]
)
@pytest.mark.parametrize("end", ["2026-01-31T00:00", "2026-02-28T23:00", "2026-01-30T04:00"])
def test_every_coarser_step_is_a_step_of_the_series(frequency: str, coarser: str, end: str) -> None:
    """Else a forecast would be asked for where the model knows nothing."""
    loaded = ending(end, frequency)
    own = set(forecast(loaded, 40_000).timestamps.tolist())

    for start in (None, "2026-03-01T00:00", "2026-03-01T23:00", "2026-03-31T01:07"):
        first = None if start is None else seconds(start)
        answer = forecast(loaded, 5, first, frequency=coarser)
        assert own.issuperset(answer.timestamps.tolist()), start
        assert (np.diff(answer.timestamps) > 0).all()


def test_what_has_no_coarser_frequency_is_known() -> None:
    """The test above would pass with nothing in the table."""
    assert {own: len(others) for own, others in COARSER.items()} == {
        "15min": 5,
        "30min": 4,
        "hourly": 3,
        "daily": 2,
        "weekly": 0,
        "monthly": 0,
    }


@pytest.mark.parametrize(
    ("frequency", "asked", "message"),
    [
        ("daily", "hourly", "must be daily, the series' own, or weekly or monthly, not hourly"),
        ("weekly", "monthly", "must be weekly, the series' own, not monthly"),
        ("monthly", "daily", "must be monthly, the series' own, not daily"),
        ("hourly", "irregular", "not irregular"),
        ("daily", "D", "not D"),
    ],
)
def test_steps_that_the_series_does_not_have_are_refused(frequency: str, asked: str, message: str) -> None:
    with pytest.raises(ForecastError, match=message) as raised:
        forecast(ending("2026-01-31", frequency), 3, frequency=asked)

    assert raised.value.argument == "frequency"


def test_an_irregular_series_has_no_coarser_frequency() -> None:
    loaded = LoadedModel(replace(NAIVE, timeline=Timeline("irregular", DAY, END)), 0)

    assert len(forecast(loaded, 3, frequency="irregular").yhat) == 3
    with pytest.raises(ForecastError, match="must be irregular, the series' own, not weekly"):
        forecast(loaded, 3, frequency="weekly")


def test_a_coarser_answer_may_reach_no_further_than_any_other() -> None:
    assert len(forecast(ending("2026-01-31", "15min"), 34, frequency="monthly").yhat) == 34
    with pytest.raises(ForecastError, match="may end 1 to 100000 steps after the training data") as raised:
        forecast(ending("2026-01-31", "15min"), 36, frequency="monthly")

    assert raised.value.argument == "period"
