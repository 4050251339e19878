"""The spill: rows in memory and rows in files are the same rows, and a mark stays where it was set."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fleetcast_processing import spill
from fleetcast_processing.rows import Rows
from fleetcast_processing.spill import Spill

PARTITIONS = 3
HELD = pytest.mark.parametrize("held", [0, 200, 10**7])


def rows(*values: float, repeat: int = 0) -> Rows:
    """Return rows of customers 0 to 4 in turn; the instant of each is its value."""
    numbers = np.array(values)
    repeats = np.full(len(values), repeat) if repeat else None
    codes = (np.arange(len(values)) % 5).astype(np.int32)
    return Rows(pa.array(list("01234")), codes, numbers.astype(np.int64), numbers, repeats)


def content(stored: Spill) -> dict[str, list[tuple[float, int]]]:
    """Return the values of each customer in their order, with their repeats."""
    found: dict[str, list[tuple[float, int]]] = {}
    for part in map(stored.read, range(stored.partitions)):
        names, repeats = part.customers.to_pylist(), part.repeats
        for place, (code, value) in enumerate(zip(part.codes, part.values, strict=True)):
            repeat = 0 if repeats is None else int(repeats[place])
            found.setdefault(names[code], []).append((float(value), repeat))
    return found


@HELD
def test_a_customers_rows_stay_in_reading_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(spill, "_HELD_BYTES", held)
    stored = Spill(tmp_path, PARTITIONS)

    for first in (0, 10, 20):
        stored.append(rows(*range(first, first + 10), repeat=first))

    assert stored.on_disk == (held < 10**7)
    assert content(stored)["3"] == [(3, 0), (8, 0), (13, 10), (18, 10), (23, 20), (28, 20)]


@HELD
@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_rewind_forgets_what_came_after_the_mark_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int, before: int, after: int
) -> None:
    monkeypatch.setattr(spill, "_HELD_BYTES", held)
    stored, expected = Spill(tmp_path / "stored", PARTITIONS), Spill(tmp_path / "expected", PARTITIONS)
    for folder in ("stored", "expected"):
        (tmp_path / folder).mkdir()
    for number in range(before):
        stored.append(rows(number, number + 0.5))
        expected.append(rows(number, number + 0.5))

    stored.mark()
    for number in range(after):
        stored.append(rows(-number, -number))
    stored.rewind()
    for one in (stored, expected):
        one.append(rows(99, 100))

    assert content(stored) == content(expected)
