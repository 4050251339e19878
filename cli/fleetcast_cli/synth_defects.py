"""The ways in which real consumption data is broken: each a function that breaks one customer's good readings."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Calendar:
    """The moments at which a good customer has a reading."""

    moments: npt.NDArray[np.datetime64]
    per_day: int


@dataclass(frozen=True)
class Readings:
    customer_id: str
    places: Int64
    """Which moments of the calendar these are readings of."""
    values: Float64
    texts: dict[int, str] = field(default_factory=dict)
    """Rows whose value is this text and not a number."""

    def only(self, kept: Mask | slice) -> "Readings":
        return replace(self, places=self.places[kept], values=self.values[kept])


@dataclass(frozen=True)
class Case:
    """What a defect may use besides the readings."""

    rng: np.random.Generator
    calendar: Calendar
    number: int
    """The customer's number, which keeps ids unique."""
    round: int
    """How often every defect has been used before."""


Defect = Callable[[Readings, Case], Readings]


def _stretch(readings: Readings, case: Case, days: int) -> slice:
    """Choose that many days, at most half of the series, somewhere inside it."""
    size = len(readings.values)
    length = min(days * case.calendar.per_day, size // 2)
    start = int(case.rng.integers((size - length) // 4, max((size - length) * 3 // 4, 0) + 1))
    return slice(start, start + length)


def _some(readings: Readings, case: Case, count: int) -> Int64:
    size = len(readings.values)
    return np.sort(case.rng.choice(size, min(count, size), replace=False))


def _gap(readings: Readings, case: Case, *, days: int) -> Readings:
    kept = np.ones(len(readings.values), dtype=np.bool_)
    kept[_stretch(readings, case, days)] = False
    return readings.only(kept)


def _outage(readings: Readings, case: Case) -> Readings:
    values = readings.values.copy()
    values[_stretch(readings, case, 21)] = 0.0
    return replace(readings, values=values)


def _stuck(readings: Readings, case: Case) -> Readings:
    values = readings.values.copy()
    where = _stretch(readings, case, 21)
    values[where] = values[where][:1]
    return replace(readings, values=values)


def _outliers(readings: Readings, case: Case) -> Readings:
    values = readings.values.copy()
    values[_some(readings, case, 3)] = np.round(np.median(values) * case.rng.uniform(200, 900), 3)
    return replace(readings, values=values)


def _negatives(readings: Readings, case: Case) -> Readings:
    values = readings.values.copy()
    values[_some(readings, case, 3)] *= -1
    return replace(readings, values=values)


def _duplicates(readings: Readings, case: Case) -> Readings:
    again = _some(readings, case, 10)
    corrected = np.round(readings.values[again] * 1.01, 3)
    return replace(
        readings,
        places=np.insert(readings.places, again + 1, readings.places[again]),
        values=np.insert(readings.values, again + 1, corrected),
    )


def _clock_change(readings: Readings, case: Case) -> Readings:
    """Leave out 02:00 of every last Sunday in March: a day of 23 hours."""
    moments = case.calendar.moments[readings.places]
    days = moments.astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    in_march = months.astype(np.int64) % 12 == 2
    is_last_week = (days - months.astype("datetime64[D]")).astype(np.int64) >= 24
    is_sunday = days.astype(np.int64) % 7 == 3  # 1970-01-01 was a Thursday
    is_two = (moments - days).astype("timedelta64[h]").astype(np.int64) == 2
    return readings.only(~(in_march & is_last_week & is_sunday & is_two))


def _late_start(readings: Readings, _: Case) -> Readings:
    return readings.only(slice(len(readings.values) * 3 // 4, None))


def _early_end(readings: Readings, _: Case) -> Readings:
    return readings.only(slice(None, 1 + len(readings.values) * 3 // 5))


def _text_cells(readings: Readings, case: Case, *, cells: tuple[str, ...]) -> Readings:
    rows = _some(readings, case, max(len(cells), len(readings.values) // 50))
    return replace(readings, texts={int(row): cells[n % len(cells)] for n, row in enumerate(rows)})


def _rows(readings: Readings, _: Case, *, count: int) -> Readings:
    return readings.only(slice(None, count))


def _constant(readings: Readings, _: Case) -> Readings:
    return replace(readings, values=np.full(len(readings.values), readings.values[0]))


def _all_zero(readings: Readings, _: Case) -> Readings:
    return replace(readings, values=np.zeros(len(readings.values)))


def _all_empty(readings: Readings, _: Case) -> Readings:
    return replace(readings, texts=dict.fromkeys(range(len(readings.values)), ""))


def _hostile_id(readings: Readings, case: Case, *, customer_id: str) -> Readings:
    return replace(readings, customer_id=f"{customer_id}-{case.round}" if case.round else customer_id)


def _longest_id(readings: Readings, case: Case) -> Readings:
    return replace(readings, customer_id=f"{case.number}-".ljust(128, "x"))


_EVERY_FREQUENCY: dict[str, Defect] = {
    "gap_day": partial(_gap, days=1),
    "gap_month": partial(_gap, days=30),
    "gap_year": partial(_gap, days=365),
    "outage_zeros": _outage,
    "stuck_meter": _stuck,
    "outliers": _outliers,
    "negatives": _negatives,
    "duplicates": _duplicates,
    "late_start": _late_start,
    "early_end": _early_end,
    "empty_cells": partial(_text_cells, cells=("",)),
    "text_cells": partial(_text_cells, cells=("n/a", "error", "--", "12 kWh")),
    "nan_and_infinite": partial(_text_cells, cells=("NaN", "inf", "-inf")),
    "one_row": partial(_rows, count=1),
    "two_rows": partial(_rows, count=2),
    "constant": _constant,
    "all_zero": _all_zero,
    "all_empty": _all_empty,
    "id_with_dots": partial(_hostile_id, customer_id="../../etc"),
    "id_with_slash": partial(_hostile_id, customer_id="a/b"),
    "id_with_unicode": partial(_hostile_id, customer_id="Ünï ¢ode"),
    "id_of_128_characters": _longest_id,
}


def defects_for(per_day: int) -> dict[str, Defect]:
    """Return every defect that makes sense at a frequency, by name, in the order in which they are used."""
    if per_day == 1:
        return _EVERY_FREQUENCY
    return {"clock_change": _clock_change, **_EVERY_FREQUENCY}
