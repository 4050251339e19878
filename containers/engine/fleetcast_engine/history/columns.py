"""What people hand over as times and values, read as whole seconds and floats.

Times are whole seconds: fractions are cut off, towards the past, and rows that then share a second are duplicates.
"""

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from fleetcast_engine.errors import NotASeries
from fleetcast_engine.history.timeline import Floats, Ints, Mask

_TIMES = "a time is seconds since 1970, a datetime, or ISO 8601 text"
_VALUES = "a value is a number, or NaN or None where there is none"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
# Far outside every calendar, and far inside 64 bits.
_BEYOND = 10**17
# pandas' own ways of saying that there is none; importing pandas to compare with them takes a second.
_NOTHING = {"NAType", "NaTType"}


@dataclass(frozen=True)
class Stamps:
    """Times as whole seconds since 1970, and which of them are wall-clock time of an unnamed zone."""

    seconds: Ints
    wall_clock: Mask


def read_timestamps(stamps: npt.ArrayLike) -> Stamps:
    """Read times of any common kind, shape (rows,).

    Raises:
        NotASeries: they are not times, or one of them is missing.
    """
    array = _column(stamps, "timestamps")
    if array.dtype.kind in {"O", "U"}:
        return _from_objects(array)
    if array.dtype.kind == "M":
        _refuse(np.isnat(array), array, "timestamps", _TIMES)
        seconds = array.astype("datetime64[s]").astype(np.int64)
        return Stamps(seconds, np.ones(len(array), np.bool_))
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
        raise NotASeries(f"timestamps are of type {array.dtype}; {_TIMES}")
    if array.dtype.kind == "f":
        _refuse(np.isnan(array), array, "timestamps", _TIMES)
        array = np.floor(np.clip(array, -_BEYOND, _BEYOND))
    elif array.dtype.kind == "u":
        array = np.minimum(array, _BEYOND)
    return Stamps(array.astype(np.int64), np.zeros(len(array), np.bool_))


def read_values(values: npt.ArrayLike) -> Floats:
    """Read numbers, shape (rows,); what is missing is NaN.

    Raises:
        NotASeries: they are not numbers.
    """
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.float64), np.nan)
    array = _column(values, "values")
    if array.dtype.kind in "iuf":
        with np.errstate(over="ignore"):
            return array.astype(np.float64)
    if array.dtype.kind not in "OU":
        raise NotASeries(f"values are of type {array.dtype}; {_VALUES}")
    return np.array([_number(value, row) for row, value in enumerate(array.tolist())], np.float64)


def _column(data: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    try:
        array = np.asarray(data)
    except (ValueError, TypeError) as error:
        raise NotASeries(f"{name} are not one column: {error}") from error
    if array.ndim != 1:
        raise NotASeries(f"{name} have shape {array.shape}; they must be one column")
    if isinstance(data, np.ma.MaskedArray):
        _refuse(np.ma.getmaskarray(data), array, name, _TIMES)
    return array


def _refuse(wrong: Mask, array: npt.NDArray[Any], name: str, allowed: str) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        raise NotASeries(f"{name}[{row}] is {array[row]}; {allowed}")


def _from_objects(array: npt.NDArray[Any]) -> Stamps:
    moments = [_moment(stamp, row) for row, stamp in enumerate(array.tolist())]
    seconds = np.array([moment for moment, _ in moments], np.int64)
    return Stamps(seconds, np.array([wall_clock for _, wall_clock in moments], np.bool_))


def _moment(stamp: Any, row: int) -> tuple[int, bool]:
    """Return the seconds of a time, and whether they are wall-clock time."""
    try:
        if isinstance(stamp, Integral | float) and not isinstance(stamp, bool):
            seconds: Any = math.floor(stamp)
            return min(max(seconds, -_BEYOND), _BEYOND), False
        moment = _datetime(stamp)
        return (moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) // _SECOND, moment.tzinfo is None
    except (ValueError, TypeError, OverflowError) as error:
        raise NotASeries(f"timestamps[{row}] is {stamp!r}; {_TIMES}") from error


def _datetime(stamp: Any) -> datetime:
    if isinstance(stamp, str):
        return datetime.fromisoformat(stamp.strip())
    if isinstance(stamp, datetime):
        return stamp
    if isinstance(stamp, date):
        return datetime.combine(stamp, time.min)
    raise TypeError


def _number(value: Any, row: int) -> float:
    if value is None or type(value).__name__ in _NOTHING:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise NotASeries(f"values[{row}] is {value!r}; {_VALUES}")
    try:
        return float(value)
    except OverflowError:
        return math.inf
