"""The processing container keeps its contract: what it writes, how it ends, what it says."""

import gzip
import json
import os
import signal
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.containers.processing_support import HEADER, RUN_ID, ProcessingRoot

from fleetcast_processing.objects import plan_objects

SCHEMA = {"customer_id": pa.string(), "timestamp": pa.timestamp("us", "UTC"), "consumption": pa.float64()}


def days(customer: str, count: int, value: float = 1.0) -> list[str]:
    first = np.datetime64("2020-01-01")
    return [f"{customer},{first + day},{value + day}" for day in range(count)]


def test_each_customer_gets_one_sorted_series_in_an_object_of_its_own(root: ProcessingRoot) -> None:
    root.put_rows("a.csv", "7,2024-01-02,2.5", "007,2024-01-01,9", "7,2024-01-01,1.5")

    outcome = root.run()

    assert outcome.code == 0
    assert list(outcome.objects) == ["part-00001.parquet", "part-00002.parquet"]
    for table in outcome.objects.values():
        assert {field.name: field.type for field in table.schema} == SCHEMA
    assert outcome.series == {
        "7": [(datetime(2024, 1, 1, tzinfo=UTC), 1.5), (datetime(2024, 1, 2, tzinfo=UTC), 2.5)],
        "007": [(datetime(2024, 1, 1, tzinfo=UTC), 9.0)],
    }
    quality = outcome.quality["7"]
    assert outcome.objects[quality["object"]].column("customer_id").to_pylist() == ["7", "7"]
    assert quality.pop("fingerprint").startswith("sha256:")
    assert quality == {
        "customer_id": "7",
        "status": "ready",
        "reason": None,
        "rows_read": 2,
        "rows_kept": 2,
        "duplicates": 0,
        "bad_timestamps": 0,
        "bad_values": 0,
        "negatives": 0,
        "first": "2024-01-01T00:00:00Z",
        "last": "2024-01-02T00:00:00Z",
        "object": quality["object"],
    }


def test_summary_message_and_log_agree(root: ProcessingRoot) -> None:
    root.put_rows("deep/er/a.csv.gz", *days("1", 3), "2,2024-01-01,", ",2024-01-01,5")
    root.put("b.csv", "nonsense")

    outcome = root.run()

    reasons = {"empty": 1, "too_long": 0, "control_character": 0, "malformed": 0}
    assert outcome.summary == {
        "run_id": RUN_ID,
        "customers": 2,
        "ready": 1,
        "unusable": 1,
        "rows_read": 5,
        "rows_kept": 3,
        "objects": 1,
        "rows_without_customer": 1,
        "rows_without_customer_by_reason": reasons,
        "files": [outcome.file("raw/b.csv"), outcome.file("raw/deep/er/a.csv.gz")],
    }
    assert outcome.file("raw/b.csv")["status"] == "rejected"
    assert outcome.file("raw/deep/er/a.csv.gz") == {
        "key": "raw/deep/er/a.csv.gz",
        "status": "read",
        "rows": 5,
        "reason": None,
    }
    assert json.loads(outcome.message) == {
        "customers": 2,
        "ready": 1,
        "unusable": 1,
        "rows_read": 5,
        "rows_kept": 3,
        "objects": 1,
        "files": 2,
        "files_rejected": 1,
    }
    for stage in ("reject", "read", "group", "write", "done"):
        assert f"stage={stage} " in outcome.log


def test_mapped_columns_are_found_among_others(root: ProcessingRoot) -> None:
    root.put("a.csv", "note,kwh, meter ,when\nx,5,m1,2024-01-01\ny,6,m1,2024-01-02\n")

    outcome = root.run(
        FLEETCAST_CUSTOMER_COLUMN="meter", FLEETCAST_TIMESTAMP_COLUMN="when", FLEETCAST_VALUE_COLUMN="kwh"
    )

    assert [value for _, value in outcome.series["m1"]] == [5.0, 6.0]


def test_customers_per_object_is_a_limit_and_rows_are_balanced(root: ProcessingRoot) -> None:
    for number, count in enumerate((9, 1, 8, 2, 7, 3)):
        root.put_rows(f"{number}.csv", *days(f"c{number}", count))

    outcome = root.run(FLEETCAST_CUSTOMERS_PER_OBJECT="2")

    assert [table.num_rows for table in outcome.objects.values()] == [10, 10, 10]
    for table in outcome.objects.values():
        ids = table.column("customer_id").to_pylist()
        assert len(set(ids)) == 2
        assert sum(a != b for a, b in pairwise(ids)) == 1, "a customer's rows are contiguous"


def test_a_fleet_above_the_object_limit_is_grouped(root: ProcessingRoot) -> None:
    root.put_rows("a.csv", *(row for number in range(50) for row in days(f"c{number}", 4)))

    outcome = root.run(FLEETCAST_MAX_OBJECTS="7")

    sizes = [table.num_rows for table in outcome.objects.values()]
    assert len(sizes) == 7
    assert max(sizes) - min(sizes) <= 4
    assert outcome.summary["objects"] == 7


def test_the_plan_gives_the_longest_series_an_object_before_the_short_ones() -> None:
    rows = np.array([5, 100, 5, 5, 80, 5])

    plan = plan_objects(rows, customers_per_object=1, max_objects=2)

    assert np.bincount(plan, rows).tolist() == [100.0, 100.0]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no object under raw/"),
        ({"a.csv": "x,y\n1,2\n"}, "none of the 1 raw files can be used. raw/a.csv: it needs the columns"),
        ({"a.csv": HEADER + "1,2024-01-01,\n"}, "no customer has a usable row"),
        ({"a.csv": HEADER}, "no customer has a usable row"),
    ],
    ids=["empty bucket", "every file rejected", "no usable row", "only a header"],
)
def test_nothing_to_train_fails_with_a_sentence(
    root: ProcessingRoot, files: dict[str, str], said: str
) -> None:
    for name, content in files.items():
        root.put(name, content)

    outcome = root.run()

    assert outcome.code == 1
    assert outcome.message.startswith("Nothing to train")
    assert said in outcome.message
    if files:
        assert outcome.summary["ready"] == 0


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"FLEETCAST_RUN_ID": ""}, "FLEETCAST_RUN_ID is not set"),
        ({"FLEETCAST_CUSTOMERS_PER_OBJECT": "0"}, "FLEETCAST_CUSTOMERS_PER_OBJECT must be a whole number"),
        ({"FLEETCAST_MAX_OBJECTS": "many"}, "'many'"),
        ({"FLEETCAST_TIME_ZONE": "Mars/Olympus"}, "'Mars/Olympus'"),
        ({"FLEETCAST_VALUE_COLUMN": "timestamp"}, "three different columns"),
    ],
)
def test_a_wrong_setting_is_named(root: ProcessingRoot, environment: dict[str, str], said: str) -> None:
    outcome = root.run(**environment)

    assert outcome.code == 1
    assert said in outcome.message


def repeated_rows(customers: int, rows: int, times: int) -> bytes:
    """Return gzip of the same rows again and again: large for a reader, quick to make."""
    text = "".join(f"{row}\n" for number in range(customers) for row in days(str(number), rows))
    return gzip.compress(HEADER.encode()) + gzip.compress(text.encode(), 1) * times


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_job_ends_at_once_and_says_so(root: ProcessingRoot, number: signal.Signals) -> None:
    root.put("a.csv.gz", repeated_rows(1000, 1000, 40))
    process = root.start()
    deadline = time.monotonic() + 60
    while not list((root.path / "processing").glob(".spill*")) and time.monotonic() < deadline:
        time.sleep(0.01)

    process.send_signal(number)
    sent = time.monotonic()
    outcome = root.outcome(process)

    assert time.monotonic() - sent < 20
    assert outcome.code == 1
    assert f"stopped by {number.name}" in outcome.message
    assert not list((root.path / "processing").glob(".spill*"))


def test_ten_million_rows_stay_under_one_gibibyte(root: ProcessingRoot) -> None:
    root.put("a.csv.gz", repeated_rows(1000, 1000, 10))

    outcome, kibibytes = root.run_measured()

    assert outcome.code == 0, outcome.log
    assert "rows_read=10000000 rows_kept=1000000" in outcome.log
    assert 50 * 1024 < kibibytes < 1024 * 1024


@pytest.mark.realdata
def test_every_real_customer_is_ready(root: ProcessingRoot) -> None:
    for path in Path(os.environ["FLEETCAST_REALDATA"]).glob("daily_*.csv.gz"):
        root.put(path.name, path.read_bytes())

    outcome = root.run()

    assert outcome.code == 0
    assert outcome.summary["customers"] == outcome.summary["ready"] == 326
    assert outcome.summary["rows_read"] == 364_434
    assert sum(row["rows_kept"] + row["bad_values"] for row in outcome.quality.values()) == 364_434
