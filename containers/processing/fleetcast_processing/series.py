"""From the rows of some customers to their series: sorted, without duplicates, counted and fingerprinted."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fleetcast_processing.magnitudes import are_absurd
from fleetcast_processing.rows import Float64, Int32, Rows
from fleetcast_processing.timestamps import BAD, Int64

_FINGERPRINT_VERSION = b"fleetcast series 1\n"


@dataclass(frozen=True)
class Series:
    """The kept rows of several customers: whole customers one after the other, each in the order of time."""

    instants: Int64
    values: Float64
    customers: pa.Table
    """One row per customer: its counts, first and last instant, fingerprint, and `start` of its rows."""


def to_series(rows: Rows) -> Series:
    """Drop unusable rows and all but the last of duplicates, sort, and take stock per customer."""
    size = len(rows.customers)
    bad_instant = rows.instants == BAD
    bad_value = np.isnan(rows.values) & ~bad_instant
    codes, instants, values = _sorted(rows, ~(bad_instant | bad_value))
    absurd = are_absurd(codes, values, _is_last_of_duplicates(codes, instants), size)
    bad_values = _count(rows.codes[bad_value], size) + _count(codes[absurd], size)
    if absurd.any():
        codes, instants, values = codes[~absurd], instants[~absurd], values[~absurd]
    usable = _count(codes, size)
    last = _is_last_of_duplicates(codes, instants)
    if not last.all():
        codes, instants, values = codes[last], instants[last], values[last]
    kept = _count(codes, size)
    start = np.cumsum(kept) - kept
    columns = {
        "customer_id": rows.customers,
        "rows_read": _count(rows.codes, size),
        "rows_kept": kept,
        "duplicates": usable - kept,
        "bad_timestamps": _count(rows.codes[bad_instant], size),
        "bad_values": bad_values,
        "negatives": _count(codes[values < 0], size),
        **_first_and_last(instants, start, kept),
        "fingerprint": _fingerprints(instants, values, start, kept),
        "start": start,
    }
    return Series(instants, values, pa.table(columns))


def _sorted(rows: Rows, usable: npt.NDArray[np.bool_]) -> tuple[Int32, Int64, Float64]:
    if not usable.all():
        rows = rows.only(usable)
    codes, instants = rows.codes, rows.instants
    # Adding 0.0 turns -0.0 into 0.0: the same reading must have the same fingerprint.
    values = rows.values + 0.0
    if rows.repeats is not None and rows.repeats.any():
        instants = _second_passings(codes, instants, rows.repeats)
    if _in_order(codes, instants):
        return codes, instants, values
    order = np.lexsort((instants, codes))
    return codes[order], instants[order], values[order]


def _second_passings(codes: Int32, instants: Int64, repeats: Int64) -> Int64:
    """Move all but a customer's first row with an ambiguous wall-clock time to its second passing."""
    ambiguous = np.flatnonzero(repeats)
    ambiguous = ambiguous[np.lexsort((instants[ambiguous], codes[ambiguous]))]
    again = ambiguous[1:][
        (codes[ambiguous[1:]] == codes[ambiguous[:-1]])
        & (instants[ambiguous[1:]] == instants[ambiguous[:-1]])
    ]
    moved = instants.copy()
    moved[again] += repeats[again]
    return moved


def _in_order(codes: Int32, instants: Int64) -> bool:
    back = instants[1:] < instants[:-1]
    return not ((codes[1:] < codes[:-1]) | (back & (codes[1:] == codes[:-1]))).any()


def _is_last_of_duplicates(codes: Int32, instants: Int64) -> npt.NDArray[np.bool_]:
    last = np.ones(len(codes), dtype=np.bool_)
    last[:-1] = (codes[1:] != codes[:-1]) | (instants[1:] != instants[:-1])
    return last


def _count(codes: Int32, size: int) -> Int64:
    return np.bincount(codes, minlength=size)


def _first_and_last(instants: Int64, start: Int64, kept: Int64) -> dict[str, pa.Array]:
    empty = kept == 0
    if not len(instants):
        instants = np.zeros(1, dtype=np.int64)
    ends = {"first": np.where(empty, 0, start), "last": np.where(empty, 0, start + kept - 1)}
    return {name: pa.array(instants[place], mask=empty) for name, place in ends.items()}


def _fingerprints(instants: Int64, values: Float64, start: Int64, kept: Int64) -> pa.Array:
    when, what = instants.astype("<i8", copy=False).data, values.astype("<f8", copy=False).data
    digests = []
    for low, count in zip(start.tolist(), kept.tolist(), strict=True):
        digest = hashlib.sha256(_FINGERPRINT_VERSION)
        digest.update(when[low : low + count])
        digest.update(what[low : low + count])
        digests.append(digest.digest())
    return pa.array(digests, pa.binary(32))
