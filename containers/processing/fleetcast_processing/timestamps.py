"""Reading timestamps: text, numbers and Parquet's own types, all to microseconds since 1970 in UTC.

Understood: ISO 8601 (date; date and time after `T` or a space; minutes, seconds or fractions; `Z`, `+hh:mm`,
`+hhmm`, `+hh` or nothing), 10-digit epoch seconds and 13-digit epoch milliseconds, mixed at will. Outside the
years 1900 to 2199 a timestamp is a sentinel or an accident, not a reading: it counts as bad. So does, in
`rows.to_rows`, one that is later than a reading can be when the job starts.

A naive timestamp is wall-clock time of the configured zone. Two hours a year need a rule:

- A time that the clock shows twice: a customer's first usable row with it (in reading order: files by key, then
  lines) is the first passing, every further row the second, as a meter that logs through it writes them.
- A time that the clock skips never was: the row counts as bad, as its neighbours hold the real readings. Only
  midnight is moved to the moment the clock jumped to, since it labels a day, and that day exists.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Int64 = npt.NDArray[np.int64]

BAD = np.iinfo(np.int64).min
"""Stands for an unreadable timestamp; no reading has it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000_000
_EARLIEST = int(datetime(1900, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
_LATEST = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000

_WALL_CLOCK = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}(:\d{2}(:\d{2}([.,]\d+)?)?)?)?$"
_WITH_OFFSET = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}(:\d{2}(:\d{2}([.,]\d+)?)?)?(Z|[+-]\d{2}(:?\d{2})?)$"
_EPOCH_SECONDS = r"^\d{10}$"
_EPOCH_MILLISECONDS = r"^\d{13}$"


@dataclass(frozen=True)
class Instants:
    utc: Int64
    """Microseconds since 1970, or BAD."""
    repeat: Int64 | None = None
    """Microseconds to the second passing of a wall-clock time that occurs twice; 0 for all other rows.

    None where the zone has no such times."""


def read_timestamps(column: pa.Array, zone: str) -> Instants:
    """Return the instants of a column of text, integers, floats, dates or timestamps."""
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _from_parquet_type(column, zone)
    if pa.types.is_floating(kind):
        column = _whole_numbers(column)
    encoded = pc.dictionary_encode(column)
    distinct = _from_text(encoded.dictionary.cast(pa.string()), zone)
    # Index -1, a missing cell, picks the element appended here.
    indices = filled(encoded.indices, -1)
    repeat = None if distinct.repeat is None else np.append(distinct.repeat, 0)[indices]
    return Instants(np.append(distinct.utc, BAD)[indices], repeat)


def filled(column: pa.Array | pa.ChunkedArray, instead: float) -> npt.NDArray[Any]:
    """Return a column's numbers, a missing cell as another number; without one, nothing is copied."""
    numbers: npt.NDArray[Any] = (column.fill_null(instead) if column.null_count else column).to_numpy()
    return numbers


def _whole_numbers(column: pa.Array) -> pa.Array:
    whole = pc.and_(pc.is_finite(column), pc.equal(column, pc.floor(column)))
    readable = pc.and_(whole, pc.less(pc.abs(column), 1e15))
    return pc.if_else(readable, column, None).cast(pa.int64())


def _from_parquet_type(column: pa.Array, zone: str) -> Instants:
    aware = pa.types.is_timestamp(column.type) and column.type.tz is not None
    micros = column.cast(pa.timestamp("us", "UTC") if aware else pa.timestamp("us"), safe=False)
    raw: Int64 = filled(micros.cast(pa.int64()), BAD)
    return Instants(_within_bounds(raw)) if aware else _localise(raw, zone)


def _from_text(texts: pa.Array, zone: str) -> Instants:
    texts = pc.utf8_trim_whitespace(texts)
    wall_clock = np.full(len(texts), BAD)
    unread = len(texts) - _fill(wall_clock, texts, _WALL_CLOCK, _wall_clock)
    result = _localise(wall_clock, zone)
    for pattern, reader in _ABSOLUTE_FORMS:
        if unread:
            unread -= _fill(result.utc, texts, pattern, reader)
    return Instants(_within_bounds(result.utc), result.repeat)


def _fill(target: Int64, texts: pa.Array, pattern: str, reader: Callable[[pa.Array], Int64]) -> int:
    """Read the texts that match into their places in target; return how many they are."""
    matches = pc.match_substring_regex(texts, pattern)
    found = int(pc.sum(matches).as_py() or 0)
    if found:
        target[matches.to_numpy(zero_copy_only=False)] = reader(texts.filter(matches))
    return found


def _wall_clock(texts: pa.Array) -> Int64:
    return _iso(texts, pa.timestamp("us"))


def _with_offset(texts: pa.Array) -> Int64:
    return _iso(texts, pa.timestamp("us", "UTC"))


def _iso(texts: pa.Array, kind: pa.DataType) -> Int64:
    try:
        micros: Int64 = texts.cast(kind).cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        # A 30 February, more than six decimals, or a decimal comma among them: Arrow refuses the whole batch.
        return np.array([_one(text) for text in texts.to_pylist()], dtype=np.int64)
    return micros


def _one(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        return (moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return BAD


def _epoch_seconds(texts: pa.Array) -> Int64:
    seconds: Int64 = texts.cast(pa.int64()).to_numpy()
    return seconds * 1_000_000


def _epoch_milliseconds(texts: pa.Array) -> Int64:
    milliseconds: Int64 = texts.cast(pa.int64()).to_numpy()
    return milliseconds * 1000


_ABSOLUTE_FORMS = (
    (_WITH_OFFSET, _with_offset),
    (_EPOCH_SECONDS, _epoch_seconds),
    (_EPOCH_MILLISECONDS, _epoch_milliseconds),
)


def _within_bounds(micros: Int64) -> Int64:
    if micros.min(initial=0) >= _EARLIEST and micros.max(initial=0) < _LATEST:
        return micros
    return np.where((micros >= _EARLIEST) & (micros < _LATEST), micros, BAD)


def _localise(wall_clock: Int64, zone: str) -> Instants:
    wall_clock = _within_bounds(wall_clock)
    if zone == "UTC":
        return Instants(wall_clock)
    first = _in_zone(wall_clock, zone, ambiguous="earliest", nonexistent="latest")
    second = _in_zone(wall_clock, zone, ambiguous="latest", nonexistent="latest")
    skipped = first != _in_zone(wall_clock, zone, ambiguous="earliest", nonexistent="earliest")
    return Instants(np.where(skipped & (wall_clock % _DAY != 0), BAD, first), second - first)


def _in_zone(wall_clock: Int64, zone: str, *, ambiguous: str, nonexistent: str) -> Int64:
    naive = pa.array(wall_clock, mask=wall_clock == BAD).cast(pa.timestamp("us"))
    aware = pc.assume_timezone(naive, zone, ambiguous=ambiguous, nonexistent=nonexistent)
    instants: Int64 = aware.cast(pa.int64()).fill_null(BAD).to_numpy()
    return instants
