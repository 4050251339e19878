"""What must not change what is made of a history: its unit, its week, the order and the pieces it comes in."""

from dataclasses import dataclass, replace
from random import Random

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from tests.containers.engine_support import DAY, HOUR, START

from fleetcast_engine import Series
from fleetcast_engine.errors import NoValidRows
from fleetcast_engine.history.cleaning import clean
from fleetcast_engine.history.repairs import Repairs

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class History:
    """A meter's rows with defects of every kind at random places."""

    timestamps: Ints
    values: Floats

    def series(self) -> Series:
        return Series.from_arrays("c", self.timestamps, self.values)


@st.composite
def histories(draw: st.DrawFn) -> History:
    step = draw(st.sampled_from([HOUR, DAY]))
    per_day = DAY // step
    days = draw(st.integers(1, 120 if step == HOUR else 500))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = days * per_day
    place = np.arange(rows)
    daily = 1 + draw(st.sampled_from([0.0, 0.6])) * np.sin(2 * np.pi * place / per_day)
    weekly = np.where(place // per_day % 7 < 5, 1, draw(st.sampled_from([1.0, 0.3])))
    values = 50 * daily * weekly * generator.lognormal(0, draw(st.sampled_from([0.02, 0.3])), rows)
    values = np.round(values, draw(st.sampled_from([-1, 0, 6])))
    for kind in draw(st.lists(st.sampled_from(["zeros", "stuck", "spike", "negative", "nan"]), max_size=6)):
        start = draw(st.integers(0, rows - 1))
        run = slice(start, start + draw(st.integers(1, 40)) * per_day)
        if kind == "zeros":
            values[run] = 0
        elif kind == "stuck":
            values[run] = values[start]
        elif kind == "nan":
            values[run] = np.nan
        else:
            values[start] = 5e5 if kind == "spike" else -20
    values[-1] = 50
    return History(START + step * np.arange(rows), values)


@given(histories(), st.integers(-60, 30))
def test_another_unit_changes_no_repair(history: History, power: int) -> None:
    """Powers of two, since every other factor rounds, and a reading on the edge may fall to either side."""
    factor = 2.0**power

    here, there = clean(history.series()), clean(replace(history, values=factor * history.values).series())

    assert there.repairs == here.repairs
    assert there.series.values.tolist() == (factor * here.series.values).tolist()


@given(histories(), st.floats(1e-6, 1e6))
def test_any_other_unit_changes_the_numbers_only(history: History, factor: float) -> None:
    here, there = clean(history.series()), clean(replace(history, values=factor * history.values).series())

    assert there.repairs.outage == here.repairs.outage
    assert there.series.timestamps.tolist() == here.series.timestamps.tolist()
    np.testing.assert_allclose(there.series.values, factor * here.series.values, rtol=1e-9)


@given(histories(), st.integers(-2000, 2000))
def test_other_weeks_change_nothing(history: History, weeks: int) -> None:
    shift = weeks * 7 * DAY

    here = clean(history.series())
    there = clean(replace(history, timestamps=history.timestamps + shift).series())

    assert there.repairs == here.repairs
    assert there.series.values.tolist() == here.series.values.tolist()
    assert (there.series.timestamps - here.series.timestamps == shift).all()


@given(histories(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(history: History, random: Random) -> None:
    order = list(range(len(history.values)))
    random.shuffle(order)

    shuffled = History(history.timestamps[order], history.values[order])

    assert same(clean(shuffled.series()).series, clean(history.series()).series)
    assert clean(shuffled.series()).repairs == clean(history.series()).repairs


@given(histories(), st.lists(st.integers(0, 3000), max_size=4), st.randoms(use_true_random=False))
def test_the_pieces_of_a_delivery_change_nothing(history: History, cuts: list[int], random: Random) -> None:
    pieces = list(
        zip(np.split(history.timestamps, sorted(cuts)), np.split(history.values, sorted(cuts)), strict=True)
    )
    random.shuffle(pieces)

    joined = History(*(np.concatenate(column) for column in zip(*pieces, strict=True)))

    assert same(joined.series(), history.series())


@given(histories())
def test_delivering_everything_twice_changes_only_a_count(history: History) -> None:
    twice = History(np.tile(history.timestamps, 2), np.tile(history.values, 2))

    once, again = clean(history.series()), clean(twice.series())

    assert same(again.series, once.series)
    assert again.repairs == replace(
        once.repairs, duplicates=len(once.raw), unusable=2 * once.repairs.unusable
    )


@given(histories())
def test_what_is_clean_stays_nearly_as_it_is(history: History) -> None:
    """Readings clipped to the same limit are alike, so that a day of them looks stuck the next time."""
    once = clean(history.series())

    twice = clean(once.series).repairs

    again = twice.outage + twice.stuck + twice.outliers
    assert again <= 1 + 0.05 * len(once.series) + once.repairs.outliers


@given(histories(), st.integers(1, 3000))
def test_a_head_is_the_series_of_the_first_rows(history: History, rows: int) -> None:
    series = history.series()

    head = series.head(rows)

    again = Series.from_arrays("c", series.timestamps[:rows], series.values[:rows])
    assert same(head, again)
    assert head.unusable == head.duplicates == 0
    if again.frequency == series.frequency:
        assert head == replace(again, timestamps=head.timestamps, values=head.values)


@given(histories())
def test_cleaning_loses_no_row_uncounted(history: History) -> None:
    result = clean(history.series())

    lost = result.repairs.unusable + result.repairs.outage + result.repairs.stuck
    assert 0 <= len(history.values) - lost - len(result.series) <= result.repairs.outliers
    assert np.isfinite(result.series.values).all()
    assert np.isin(result.series.timestamps, history.timestamps).all()


@given(
    st.lists(st.floats(allow_nan=False), min_size=1, max_size=60),
    st.sampled_from([1, 900, HOUR, DAY, 7 * DAY]),
)
def test_whatever_the_readings_cleaning_answers(values: list[float], step: int) -> None:
    try:
        series = Series.from_arrays("c", step * np.arange(len(values)), values)
    except NoValidRows:
        return

    result = clean(series)

    assert np.isfinite(result.series.values).all()
    assert isinstance(result.repairs, Repairs)


def same(one: Series, other: Series) -> bool:
    return bool(
        one.timestamps.tolist() == other.timestamps.tolist() and one.values.tolist() == other.values.tolist()
    )
