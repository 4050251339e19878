"""Rows and files in S3, and the reports of a run that are made of them."""

import gzip
import json
from typing import Any

import pytest
from tests.unit.test_gate import GATE, RUN, quality, training

from fleetcast.adapters import run_reports
from fleetcast.adapters.clients import client
from fleetcast.adapters.ledger import read_ledger
from fleetcast.adapters.storage import (
    exists,
    list_uris,
    read_json,
    read_rows,
    split_uri,
    write_bytes,
    write_rows,
)
from fleetcast.domain.gate import build_ledger

Buckets = tuple[str, str]
HOSTILE = 'Ünï ¢ode\u2028\n"quoted" 🔌'


def test_a_uri_has_a_bucket_and_a_key() -> None:
    assert split_uri("s3://bucket/a/b c=d/") == ("bucket", "a/b c=d/")


def test_rows_come_back_as_they_went(buckets: Buckets) -> None:
    rows: list[dict[str, Any]] = [{"customer_id": HOSTILE, "mae": 0.1, "none": None}, {"customer_id": "2"}]
    write_rows("s3://data-bucket/rows.jsonl.gz", rows)

    assert list(read_rows("s3://data-bucket/rows.jsonl.gz")) == rows


def test_the_same_rows_make_the_same_bytes(buckets: Buckets) -> None:
    for key in ("a", "b"):
        write_rows(f"s3://data-bucket/{key}", [{"customer_id": "1"}])

    assert _body("a") == _body("b")


def _body(key: str) -> bytes:
    return bytes(client("s3").get_object(Bucket="data-bucket", Key=key)["Body"].read())


@pytest.mark.parametrize("compress", [gzip.compress, bytes], ids=["gzip", "plain"])
def test_a_line_that_a_killed_host_did_not_finish_is_no_row(buckets: Buckets, compress: Any) -> None:
    write_bytes("s3://data-bucket/rows", compress(b'{"a": 1}\n\n{"a": 2}\n{"a": 3'))

    assert list(read_rows("s3://data-bucket/rows")) == [{"a": 1}, {"a": 2}]


def test_an_empty_file_has_no_rows(buckets: Buckets) -> None:
    write_bytes("s3://data-bucket/rows", b"")

    assert list(read_rows("s3://data-bucket/rows")) == []


def test_all_pages_of_a_listing_are_read(buckets: Buckets) -> None:
    for number in range(1_001):
        client("s3").put_object(Bucket="data-bucket", Key=f"many/{number:04}", Body=b"")

    assert len(list_uris("s3://data-bucket/many/")) == 1_001


def test_a_key_that_only_begins_alike_does_not_exist(buckets: Buckets) -> None:
    write_bytes("s3://data-bucket/source/0123.zip.part", b"")

    assert not exists("s3://data-bucket/source/0123.zip")


def put_run(quality_rows: list[dict[str, Any]], training_rows: dict[str, list[dict[str, Any]]]) -> None:
    write_rows("s3://data-bucket/prepared/q/quality.jsonl.gz", quality_rows)
    write_bytes("s3://data-bucket/prepared/q/summary.json", json.dumps({"files": []}).encode())
    for host, rows in training_rows.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        write_bytes(f"s3://model-bucket/models/{RUN}/_ledger/{host}.jsonl", text.encode())


def test_rows_of_all_hosts_are_read(buckets: Buckets) -> None:
    put_run([], {"algo-1": [training("1")], "algo-2": [training("2")]})

    rows = run_reports.read_training(f"s3://model-bucket/models/{RUN}/")

    assert {row["customer_id"] for row in rows} == {"1", "2"}


def test_a_report_holds_ledger_promotions_and_metrics(buckets: Buckets) -> None:
    ledger = build_ledger(
        RUN, [quality(HOSTILE), quality("2"), quality("3")], [training(HOSTILE), training("2", "fit_failed")]
    )
    verdict = GATE.judge(ledger)

    run_reports.write_report("data-bucket", RUN, ledger, verdict)

    stored = read_ledger(f"s3://data-bucket/ledger/run_id={RUN}/part-0.parquet")
    assert stored == [row.to_document() for row in ledger]
    ((customer, release),) = run_reports.read_promotions("data-bucket", RUN)
    assert customer == HOSTILE
    assert (release.run_id, release.family, release.mae) == (RUN, "prophet", 1.0)
    assert read_json(f"s3://data-bucket/runs/{RUN}/metrics.json")["trained"] == 1


def test_a_ledger_without_customers_can_be_read(buckets: Buckets) -> None:
    run_reports.write_report("data-bucket", RUN, [], GATE.judge([]))

    assert read_ledger(f"s3://data-bucket/ledger/run_id={RUN}/part-0.parquet") == []
    assert run_reports.read_promotions("data-bucket", RUN) == []


def test_a_file_that_is_missing_is_an_error_and_not_an_empty_fleet(buckets: Buckets) -> None:
    with pytest.raises(client("s3").exceptions.NoSuchKey):
        run_reports.read_quality("s3://data-bucket/prepared/q/")
