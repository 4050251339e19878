"""The steps of a run, from EvaluateRun to CloseRun, each with the sample of its call.

Their answers must have the shapes that the walk through the state machine relies on (`tests/static/answers.py`).
"""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from botocore.stub import Stubber
from tests.static.answers import RUN_ID
from tests.unit.endpoint_support import absent, serving
from tests.unit.function_support import as_known, invoke, sample
from tests.unit.test_gate import GATE, quality, training

from fleetcast.adapters import run_reports
from fleetcast.adapters.ledger import read_ledger
from fleetcast.adapters.pointer_table import PointerTable
from fleetcast.adapters.run_table import RunTable
from fleetcast.adapters.storage import write_bytes, write_rows
from fleetcast.domain.gate import build_ledger
from fleetcast.domain.triggers import Trigger


@pytest.fixture
def prepared(buckets: tuple[str, str], run_table: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A run of three customers, two of them trained; returns EvaluateRun's sample for it."""
    monkeypatch.setenv("STACK_NAME", "fleetcast")
    monkeypatch.setenv("DATA_BUCKET", "data-bucket")
    monkeypatch.setenv("RUN_TABLE", run_table)
    event = sample("evaluate_run")
    write_rows(f"{event['uris']['quality']}quality.jsonl.gz", [quality(c) for c in ("a/b", "2", "3")])
    summary = {"files": [{"key": "raw/a.csv", "status": "read", "rows": 90, "reason": ""}]}
    write_bytes(f"{event['uris']['quality']}summary.json", json.dumps(summary).encode())
    rows = [training("a/b"), training("2"), training("3", "too_short")]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    write_bytes(f"{event['uris']['checkpoints']}_ledger/algo-1.jsonl", text.encode())
    return event


def test_a_run_is_judged_and_its_ledger_written(prepared: dict[str, Any]) -> None:
    answered = invoke("evaluate_run", prepared)

    as_known("EvaluateRun", answered)
    assert answered["accepted"]
    assert answered["summary"]["statuses"] == {"trained": 2, "too_short": 1}
    assert "succeeded, 2 of 3 customers" in answered["alert"]["subject"]
    assert len(read_ledger(f"s3://data-bucket/ledger/run_id={RUN_ID}/part-0.parquet")) == 3


def test_customers_that_the_last_successful_run_saw_and_this_one_does_not_are_absent(
    prepared: dict[str, Any], execution: Callable[[], str]
) -> None:
    """A fleet that disappears from the data must not look like a success."""
    former = "r20260101000000-abcdef"
    seen = build_ledger(former, [quality(c) for c in ("2", "gone")], [training(c) for c in ("2", "gone")])
    run_reports.write_report("data-bucket", former, seen, GATE.judge(seen))
    table, mine = RunTable("runs"), execution()
    table.acquire(former, mine, Trigger("manual", "by hand"))
    table.close(mine, "SUCCEEDED", {})

    answered = invoke("evaluate_run", prepared)

    assert answered["summary"]["statuses"] == {"trained": 2, "too_short": 1, "absent": 1}
    assert not answered["accepted"]
    assert "25.0% of the customers failed" in answered["alert"]["message"]


def test_a_rejected_run_answers_in_the_same_shape(prepared: dict[str, Any]) -> None:
    prepared["gate"]["minimum_customers"] = 3

    answered = invoke("evaluate_run", prepared)

    as_known("EvaluateRun", answered)
    assert not answered["accepted"]
    assert "rejected" in answered["alert"]["subject"]


def test_the_answer_does_not_grow_with_the_fleet(prepared: dict[str, Any]) -> None:
    """Step Functions ends an execution whose state is larger than 256 KB."""
    customers = [f"customer-{number}" for number in range(5_000)]
    write_rows(f"{prepared['uris']['quality']}quality.jsonl.gz", [quality(c) for c in customers])
    text = "".join(json.dumps(training(c)) + "\n" for c in customers)
    write_bytes(f"{prepared['uris']['checkpoints']}_ledger/algo-1.jsonl", text.encode())

    assert len(json.dumps(invoke("evaluate_run", prepared))) < 4_096


def test_pointers_move_a_batch_at_a_time(
    buckets: tuple[str, str], pointer_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers = [str(number) for number in range(5)]
    ledger = build_ledger(RUN_ID, [quality(c) for c in customers], [training(c) for c in customers])
    run_reports.write_report("data-bucket", RUN_ID, ledger, GATE.judge(ledger))
    for name, value in {
        "DATA_BUCKET": "data-bucket",
        "POINTER_TABLE": pointer_table,
        "BATCH_SIZE": "2",
    }.items():
        monkeypatch.setenv(name, value)

    answered, cursors = sample("promote_run"), []
    for _ in range(10):
        answered = invoke("promote_run", {**sample("promote_run"), "cursor": answered["cursor"]})
        as_known("PromoteRun", answered)
        cursors.append(answered["cursor"])
        if answered["done"]:
            break

    assert cursors == [2, 4, 5]
    assert all(PointerTable(pointer_table).get(customer).run_id == RUN_ID for customer in customers)


def as_planned() -> dict[str, Any]:
    event = sample("plan_endpoint")
    budget = {"FLEETCAST_MODEL_BUDGET_BYTES": str(2_048 * 1024 * 1024)}
    return {"Image": event["image"], "ModelDataUrl": event["models"], "Environment": budget}


@pytest.mark.parametrize(
    ("found", "action"),
    [
        (absent, "create"),
        (serving, "update"),
        (lambda stubber: serving(stubber, **as_planned()), "leave"),
        (partial(serving, status="Updating"), "wait"),
        (partial(serving, status="Failed"), "replace"),
    ],
    ids=["absent", "another image", "the same", "busy", "failed"],
)
def test_the_endpoint_is_planned(sagemaker: Stubber, found: Callable[[Stubber], None], action: str) -> None:
    found(sagemaker)

    answered = invoke("plan_endpoint", sample("plan_endpoint"))

    as_known("PlanEndpoint", answered)
    assert answered == {"action": action, "environment": as_planned()["Environment"]}


@pytest.mark.parametrize("name", ["close_run", "close_run_failed", "close_run_status_change"])
def test_a_run_is_closed_whoever_says_that_it_ended(
    run_table: str, execution: Callable[[], str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("RUN_TABLE", run_table)
    arn, event = execution(), sample(name)
    RunTable(run_table).acquire(RUN_ID, arn, Trigger("manual", "by hand"))
    if "detail" in event:
        event["detail"]["executionArn"] = arn
    else:
        event["execution"] = arn

    answered = invoke("close_run", event)

    as_known("CloseRun", answered)
    assert answered == {"run_id": RUN_ID, "again": False}
    assert RunTable(run_table).holder() is None
    assert invoke("close_run", event) == {"run_id": event.get("run_id"), "again": False}


def test_a_failure_is_explained(credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACK_NAME", "fleetcast")

    answered = invoke("explain_failure", sample("explain_failure"))

    as_known("ExplainFailure", answered)
    assert "the channel series holds no objects" in answered["message"]
    assert answered["subject"] == f"Fleetcast fleetcast: run {RUN_ID} FAILED in TrainModels"


@pytest.mark.parametrize(
    "state", [{}, {"failed": None}, {"failed": {"InitiateRun": {"Error": "E", "Cause": "c"}}}]
)
def test_a_failure_without_a_run_is_explained(
    credentials: None, monkeypatch: pytest.MonkeyPatch, state: dict[str, Any]
) -> None:
    monkeypatch.setenv("STACK_NAME", "fleetcast")

    assert (
        "run not begun FAILED" in invoke("explain_failure", {"state": state, "execution": "arn"})["subject"]
    )
