"""From raw columns to rows that can be used, with whatever is wrong with each row marked, not yet judged."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fleetcast.domain.names import MAX_CUSTOMER_ID
from fleetcast_processing.timestamps import BAD, Int64, filled, read_timestamps

Int32 = npt.NDArray[np.int32]
Float64 = npt.NDArray[np.float64]

LARGEST_VALUE = 1e15
"""Beyond it a reading is an error of the meter, not consumption."""

_EMPTY, _TOO_LONG, _CONTROL_CHARACTER = 1, 2, 3
STRAY_REASONS = {_EMPTY: "empty", _TOO_LONG: "too_long", _CONTROL_CHARACTER: "control_character"}

_QUOTED_CHARACTERS = 40
_SLICE_ROWS = 4096
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"


@dataclass(frozen=True)
class Rows:
    """Rows in reading order."""

    customers: pa.Array
    """Distinct ids; `codes` points into it."""
    codes: Int32
    instants: Int64
    """Microseconds since 1970 in UTC, or timestamps.BAD."""
    values: Float64
    """NaN where the cell holds no usable number."""
    repeats: Int64 | None = None
    """As in timestamps.Instants."""

    def only(self, kept: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> "Rows":
        """Return some of the rows, by a mask or by their numbers; their customers stay all."""
        repeats = None if self.repeats is None else self.repeats[kept]
        return Rows(self.customers, self.codes[kept], self.instants[kept], self.values[kept], repeats)


@dataclass(frozen=True)
class Taken:
    """What a table of raw columns gave."""

    rows: Rows
    strays: Counter[str]
    """How many rows belong to no customer, by reason."""
    bad_cells: dict[str, str]
    """The first unusable cell of each customer of whom this table has no usable row."""


def to_rows(table: pa.Table, zone: str, latest: int) -> Taken:
    """Read a table of customer, timestamp, value; a timestamp beyond `latest` is bad."""
    encoded = pc.dictionary_encode(table.column("customer")).unify_dictionaries().combine_chunks()
    # Index -1, a missing cell, picks the last element.
    verdicts = np.append(_judge_ids(encoded.dictionary), _EMPTY)
    codes: Int32 = filled(encoded.indices, -1)
    when = read_timestamps(table.column("timestamp").combine_chunks(), zone)
    instants = np.where(when.utc > latest, BAD, when.utc) if when.utc.max(initial=0) > latest else when.utc
    rows = Rows(encoded.dictionary, codes, instants, read_values(table.column("value")), when.repeat)
    bad_cells = _bad_cells(table, rows, verdicts)
    if not verdicts[:-1].any() and codes.min(initial=0) >= 0:
        return Taken(rows, Counter(), bad_cells)
    return Taken(*_without_strays(rows, verdicts), bad_cells)


def _bad_cells(table: pa.Table, rows: Rows, verdicts: npt.NDArray[np.uint8]) -> dict[str, str]:
    usable = ~((rows.instants == BAD) | np.isnan(rows.values))
    if usable.all():
        return {}
    hopeless = verdicts == 0
    hopeless[rows.codes[usable]] = False
    places = np.flatnonzero(hopeless[rows.codes])
    codes, first = np.unique(rows.codes[places], return_index=True)
    customers = rows.customers.take(pa.array(codes)).to_pylist()
    places = places[first]
    names = np.where(rows.instants[places] == BAD, "timestamp", "value").tolist()
    cells = (
        _quoted(name, table.column(name)[place].as_py())
        for name, place in zip(names, places.tolist(), strict=True)
    )
    return dict(zip(customers, cells, strict=True))


def _quoted(name: str, cell: object) -> str:
    text = "" if cell is None else str(cell)
    if not text:
        return f"an empty {name}"
    # Escaped by repr, whatever is in the cell can be shown in an email and on a terminal.
    return f"the {name} {text[:_QUOTED_CHARACTERS]!r}" + ("…" if len(text) > _QUOTED_CHARACTERS else "")


def _judge_ids(ids: pa.Array) -> npt.NDArray[np.uint8]:
    # The same rule as fleetcast.domain.names.check_customer_id, for a whole column.
    verdicts = np.zeros(len(ids), dtype=np.uint8)
    lengths = pc.utf8_length(ids).to_numpy()
    verdicts[pc.match_substring_regex(ids, r"[\x00-\x1f]").to_numpy(zero_copy_only=False)] = (
        _CONTROL_CHARACTER
    )
    verdicts[lengths > MAX_CUSTOMER_ID] = _TOO_LONG
    verdicts[lengths == 0] = _EMPTY
    return verdicts


def _without_strays(rows: Rows, verdicts: npt.NDArray[np.uint8]) -> tuple[Rows, Counter[str]]:
    by_row = verdicts[rows.codes]
    counts = np.bincount(by_row, minlength=len(STRAY_REASONS) + 1)
    strays = Counter({reason: int(counts[verdict]) for verdict, reason in STRAY_REASONS.items()})
    legal, kept = verdicts[:-1] == 0, by_row == 0
    renumbered = (np.cumsum(legal) - 1).astype(np.int32)
    rows = rows.only(kept)
    return replace(
        rows, customers=rows.customers.filter(pa.array(legal)), codes=renumbered[rows.codes]
    ), strays


def read_values(column: pa.ChunkedArray) -> Float64:
    """Return floats; NaN for cells that are empty, not a number, infinite or beyond LARGEST_VALUE."""
    values: Float64 = filled(_as_floats(column), np.nan)
    # NaN is neither; whole copies and masks are only made where there is something to mask.
    if values.min(initial=0) >= -LARGEST_VALUE and values.max(initial=0) <= LARGEST_VALUE:
        return values
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(values) <= LARGEST_VALUE, values, np.nan)


def _as_floats(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_string(column.type):
        return column.cast(pa.float64(), safe=False)
    try:
        return column.cast(pa.float64())
    except pa.ArrowInvalid:
        # One cell that is no number makes Arrow refuse them all: look closely, but only near such cells.
        starts = range(0, len(column), _SLICE_ROWS)
        return pa.chunked_array([_careful_floats(column.slice(start, _SLICE_ROWS)) for start in starts])


def _careful_floats(column: pa.ChunkedArray) -> pa.Array:
    try:
        return column.cast(pa.float64()).combine_chunks()
    except pa.ArrowInvalid:
        trimmed = pc.utf8_trim_whitespace(column)
        numbers = pc.if_else(pc.match_substring_regex(trimmed, _NUMBER), trimmed, None)
        return numbers.cast(pa.float64()).combine_chunks()
