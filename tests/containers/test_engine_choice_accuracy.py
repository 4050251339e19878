"""The protocol by which forecasts are judged, and the bars that real data sets."""

import os
from pathlib import Path

import numpy as np
import pytest
from benchmarks.engine.shapes import real
from tests.containers.engine_support import DAY, HOUR, START, Series, regular

from fleetcast_engine import TrainSettings
from fleetcast_engine.choice import protocol
from fleetcast_engine.choice.protocol import (
    LAST_CYCLE,
    MEAN_OF_FOUR,
    METHODS,
    OUR_PROPHET,
    OURS,
    PROPHET_DEFAULTS,
    Outcome,
    Prediction,
    evaluate,
    summary,
)
from fleetcast_engine.errors import FitFailed

SETTINGS = TrainSettings("r20260131020000-0a1b2c", trained_at=1_769_824_800)


def test_a_naives_error_is_what_it_is_by_hand() -> None:
    """Ten more each week, so the last week is ten behind in the next and twenty in the one after."""
    weeks = 100 + 10 * np.repeat(np.arange(20.0), 7)
    series = Series.from_arrays("c", START + DAY * np.arange(140), weeks)

    found = evaluate(series, SETTINGS, origins=(14,), horizons=(7, 14), methods=(LAST_CYCLE, MEAN_OF_FOUR))

    by_hand = {(row.method, row.horizon): (row.mae, row.naive_mae, row.mase) for row in found}
    assert by_hand == {
        (LAST_CYCLE, 7): (10, 10, 1),
        (LAST_CYCLE, 14): (15, 15, 1.5),
        (MEAN_OF_FOUR, 7): (25, 10, 2.5),
        (MEAN_OF_FOUR, 14): (30, 15, 3),
    }
    assert found[0].smape == pytest.approx(200 * 10 / 550)


def test_an_origin_in_a_gap_is_judged_by_what_came_after_it() -> None:
    days = np.r_[np.arange(100), np.arange(104, 140)]
    series = Series.from_arrays("c", START + DAY * days, np.tile(np.arange(7.0), 20)[days])

    found = evaluate(series, SETTINGS, origins=(37,), horizons=(7,))

    assert {row.method: row.mae for row in found} == {OURS: 0, LAST_CYCLE: 0, MEAN_OF_FOUR: 0}


def test_every_method_of_the_protocol_has_its_outcome_and_those_with_intervals_their_score() -> None:
    found = evaluate(regular(400), SETTINGS, origins=(28,), methods=tuple(METHODS))

    assert {(row.method, row.horizon) for row in found} == {(m, h) for m in METHODS for h in (7, 28)}
    scored = {row.method for row in found if np.isfinite([row.coverage, row.interval_score]).all()}
    assert scored == {OURS, OUR_PROPHET, PROPHET_DEFAULTS}


def test_too_little_history_or_future_is_left_out() -> None:
    assert evaluate(regular(80), SETTINGS, origins=(28,)) == []
    assert evaluate(regular(200), SETTINGS, origins=(3,), horizons=(28,)) == []


def test_an_origin_that_one_method_does_not_survive_counts_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise its average would be over easier origins than theirs."""

    def fails_at_first(past: Series, settings: TrainSettings, steps: int) -> Prediction:
        if len(past) < 180:
            raise FitFailed("of course")
        return METHODS[LAST_CYCLE](past, settings, steps)

    monkeypatch.setattr(protocol, "METHODS", {**METHODS, "fails": fails_at_first})

    found = evaluate(regular(200), SETTINGS, origins=(14, 28), horizons=(7,), methods=(LAST_CYCLE, "fails"))

    assert [(row.method, row.origin) for row in found] == [(LAST_CYCLE, 14), ("fails", 14)]


def test_the_usual_plan_counts_in_days_whatever_the_step_is() -> None:
    rows = evaluate(regular(24 * 120, HOUR), SETTINGS, methods=(LAST_CYCLE,))

    assert {(row.origin, row.horizon) for row in rows} == {(28 * 24, 24), (28 * 24, 168)}


def test_the_fleets_figure_is_the_geometric_mean_over_customers() -> None:
    def outcome(customer: str, origin: int, mae: float) -> Outcome:
        return Outcome(customer, OURS, origin, 7, mae, 1.0, 10.0, mae, 0.8, 2.0)

    rows = [outcome("a", 1, 0.5), outcome("a", 2, 0.5), outcome("b", 1, 2.0), outcome("c", 1, 0.0)]

    figures = summary(rows)[OURS, 7]

    assert figures["customers"] == 2
    assert figures["relMAE"] == pytest.approx(1)
    assert figures["beats last week, %"] == 50


def one_in(every: int, pattern: str) -> list[Series]:
    folder = Path(os.environ["FLEETCAST_REALDATA"])
    return list(real(folder, pattern))[::every]


@pytest.mark.realdata
def test_daily_forecasts_are_as_good_as_the_bars_demand() -> None:
    rows = [
        row for series in one_in(3, "daily_*.csv.gz") for row in evaluate(series, SETTINGS, methods=(OURS,))
    ]

    week, month = (summary(rows)[OURS, horizon] for horizon in (7, 28))
    assert week["relMAE"] <= 0.84
    assert month["relMAE"] <= 0.85
    assert min(week["beats last week, %"], month["beats last week, %"]) >= 80
    # Over all customers 0.83 and 0.79; a third of them vary by one more percent.
    assert all(0.75 <= figures["coverage of 80 %"] <= 0.85 for figures in (week, month))


@pytest.mark.realdata
def test_hourly_forecasts_beat_the_best_simple_one_by_eight_percent() -> None:
    methods = (OURS, LAST_CYCLE, MEAN_OF_FOUR, PROPHET_DEFAULTS)

    rows = [
        row for series in one_in(1, "hourly_*.csv.gz") for row in evaluate(series, SETTINGS, methods=methods)
    ]

    figures = summary(rows)
    for horizon in (24, 168):
        simple = min(figures[method, horizon]["relMAE"] for method in methods[1:])
        assert figures[OURS, horizon]["relMAE"] <= 0.92 * simple
