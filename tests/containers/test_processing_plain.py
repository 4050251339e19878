"""The fast lane of reading CSV gives what the careful path gives, whatever is in the file and wherever blocks end."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.containers.processing_support import quality_in, series_in

from fleetcast_processing import csv_rows, plain_csv
from fleetcast_processing.job import Folders, NothingToTrain, run
from fleetcast_processing.settings import ProcessingSettings

IDS = ["7", "ab", "x:y:z", "", " 7", '"7"', "Ünï"]
TIMES = [
    *("2024-01-01", "2024-02-30", "2024-1-1", "20240101", "1704067200"),
    *(
        "2024-01-01T10:00:00",
        "2024-01-01 10:00:00",
        "2024-01-01T100000",
        "2024-01-01T1000",
        "2024-01-01T10:00",
    ),
    *("2024-01-01T10:00:00.5", "2024-01-01T10:00:00Z", " 2024-01-02T10:00:00", "1850-01-01T00:00:00"),
    *("2190-01-01T00:00:00", "2024-01-01T23:59:60", "", "soon"),
]
VALUES = ["1", "2.5", "-3e2", "+4", " 5", "nan", "inf", "1e400", "1e16", "", "1,5", "x", "7\r"]
PLAIN = st.tuples(st.sampled_from(["7", "8"]), st.sampled_from(["2024-01-01", "2024-01-02"]), st.just("1.5"))
TIMED = st.tuples(st.just("7"), st.sampled_from(["2024-01-01T10:00:00", "2024-01-01 11:00:00"]), st.just("2"))
ODD = st.tuples(st.sampled_from(IDS), st.sampled_from(TIMES), st.sampled_from(VALUES))
BLOCK_BYTES = 256


def outcome(folder: Path, text: bytes, *, packed: bool) -> tuple[Any, ...]:
    raw = folder / "processing" / "input" / "raw"
    raw.mkdir(parents=True)
    name, content = ("a.csv.gz", gzip.compress(text)) if packed else ("a.csv", text)
    (raw / name).write_bytes(content)
    try:
        summary = vars(run(ProcessingSettings("r20260131020000-0a1b2c"), Folders.below(folder)))
    except NothingToTrain as error:
        summary = {"error": str(error)}
    return summary, quality_in(folder), series_in(folder)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plain=st.one_of(st.lists(PLAIN, max_size=30), st.lists(TIMED, max_size=30)),
    odd=st.lists(ODD, max_size=4),
    place=st.integers(0, 30),
    packed=st.booleans(),
    end=st.sampled_from(["", "\n", "\n\n"]),
)
def test_both_ways_lead_to_the_same_series(
    tmp_path_factory: pytest.TempPathFactory,
    *,
    plain: list[tuple[str, str, str]],
    odd: list[tuple[str, str, str]],
    place: int,
    packed: bool,
    end: str,
) -> None:
    rows = [*plain[:place], *odd, *plain[place:]]
    text = "\n".join(["customer_id,timestamp,consumption", *map(",".join, rows)]) + end
    folder = tmp_path_factory.mktemp("both")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows, "_BLOCK_BYTES", BLOCK_BYTES)
        patch.setattr(plain_csv, "_BLOCK_BYTES", BLOCK_BYTES)
        fast = outcome(folder / "fast", text.encode(), packed=packed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows.CsvRows, "_plain_form", lambda *_: None)
        careful = outcome(folder / "careful", text.encode(), packed=packed)

    assert fast == careful


def test_a_plain_file_never_takes_the_careful_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows.CsvRows, "_reader", lambda *_: pytest.fail("the careful reader was asked"))
    text = '"customer_id",timestamp,consumption\n' + "7,2024-01-01T10:00:00,2.5\n" * 3

    _, _, series = outcome(tmp_path, text.encode(), packed=False)

    assert [value for _, value in series["7"]] == [2.5]
