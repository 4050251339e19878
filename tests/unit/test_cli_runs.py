"""`fleetcast retrain --wait` follows a run to its end, and its exit code is the outcome."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.conftest import RunningCloud
from tests.unit.cli_stage import RUN_ID, Stage, stand_up

from fleetcast_cli.history import Execution, Step, noteworthy
from fleetcast_cli.training_rows import TrainingRows

pytestmark = pytest.mark.timeout(120)
VERDICT = {
    "accepted": True,
    "reasons": [],
    "customers": 4,
    "trained": 3,
    "statuses": {"trained": 3, "too_short": 1},
    "families": {"prophet": 2, "seasonal_naive": 1},
    "failed_share": 0.25,
    "error_ratio": 0.75,
}
FILES = [
    {"key": "raw/good.csv", "status": "read", "rows": 9, "reason": ""},
    {"key": "raw/bad.csv.gz", "status": "rejected", "rows": 0, "reason": "it is no gzip"},
]


@pytest.fixture(scope="module")
def stage(cloud: RunningCloud) -> Stage:
    stage = stand_up(cloud)
    summary = {"run_id": RUN_ID, "ready": 4, "files": FILES}
    stage.put("DataBucketName", f"runs/{RUN_ID}/metrics.json", json.dumps(VERDICT).encode())
    stage.put("DataBucketName", f"prepared/{RUN_ID}/quality/summary.json", json.dumps(summary).encode())
    rows = [{"customer_id": str(n), "status": "trained" if n else "too_short"} for n in range(4)]
    body = "".join(json.dumps(row) + "\n" for row in rows).encode()
    stage.put("ModelBucketName", f"models/{RUN_ID}/_ledger/host-1.jsonl", body)
    return stage


def test_a_run_that_succeeds_ends_with_the_fleets_summary(stage: Stage) -> None:
    done = stage.fleetcast("retrain", "--wait", "--reason", "succeed")

    assert done.exit_code == 0
    words = done.stdout.split()
    for expected in ("trained", "too_short", "prophet", "seasonal_naive", "0.750", "raw/bad.csv.gz", RUN_ID):
        assert expected in words
    assert "raw/good.csv" not in words
    assert "4 of 4 customers" in done.stderr


@pytest.mark.parametrize(
    ("reason", "code", "status", "sentences"),
    [
        (
            "fail",
            1,
            "FAILED",
            ["ended FAILED", "Error: PrepareFailed", "Cause: PrepareData: no file", "Look at raw/."],
        ),
        ("reject", 1, "REJECTED", ["was rejected", "the old models keep serving"]),
        ("refuse", 3, "REFUSED", ["The run was refused: run r1 is in progress"]),
        ("skip", 3, "SKIPPED", ["Nothing was trained by this execution"]),
    ],
)
def test_an_outcome_has_its_exit_code_and_says_why(
    stage: Stage, reason: str, code: int, status: str, sentences: list[str]
) -> None:
    done = stage.fleetcast("retrain", "--wait", "--reason", reason, "--json")
    spoken = stage.fleetcast("retrain", "--wait", "--reason", reason)

    assert done.exit_code == spoken.exit_code == code
    assert json.loads(done.stdout)["status"] == status
    for sentence in sentences:
        assert sentence in spoken.stderr


def test_without_wait_it_names_the_execution(stage: Stage) -> None:
    arn = stage.read("retrain", "--reason", "skip")["execution"]

    described = stage.cloud.client("stepfunctions").describe_execution(executionArn=arn)
    assert json.loads(described["input"]) == {"reason": "skip"}


def test_ctrl_c_stops_the_watching_and_not_the_run(stage: Stage) -> None:
    watching = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from fleetcast_cli.main import main; main()",
            "retrain",
            "--wait",
            "--reason",
            "wait",
        ],
        cwd=stage.cloud.project,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    machine, stepfunctions = stage.outputs["StateMachineArn"], stage.cloud.client("stepfunctions")
    deadline = time.monotonic() + 30
    running: list[dict[str, str]] = []
    while not running and time.monotonic() < deadline:
        time.sleep(0.2)
        running = stepfunctions.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]
    time.sleep(1)  # so that it is watching, and not still starting

    watching.send_signal(signal.SIGINT)
    _, said = watching.communicate(timeout=30)

    assert watching.returncode == 130
    assert "the run goes on" in said
    assert "Traceback" not in said
    (execution,) = stepfunctions.list_executions(stateMachineArn=machine, statusFilter="RUNNING")[
        "executions"
    ]
    stepfunctions.stop_execution(executionArn=execution["executionArn"])


def test_a_history_of_many_pages_is_read_once(stage: Stage) -> None:
    """150 states are more than a page: nothing may be lost or told twice, however often it is asked."""
    states = {f"S{n}": {"Type": "Pass", "Next": f"S{n + 1}"} for n in range(150)}
    definition = {
        "StartAt": "S0",
        "States": states
        | {"S150": {"Type": "Wait", "Seconds": 1, "Next": "End"}, "End": {"Type": "Pass", "End": True}},
    }
    stepfunctions = stage.cloud.client("stepfunctions")
    machine = stepfunctions.create_state_machine(
        name=f"long-{time.time_ns()}",
        definition=json.dumps(definition),
        roleArn="arn:aws:iam::000000000000:role/test",
    )["stateMachineArn"]
    arn = stepfunctions.start_execution(stateMachineArn=machine)["executionArn"]
    execution, seen = Execution(stepfunctions, arn), set()

    deadline = time.monotonic() + 30
    while (
        stepfunctions.describe_execution(executionArn=arn)["status"] == "RUNNING"
        and time.monotonic() < deadline
    ):
        execution.read()
        seen.add(execution.current)
        time.sleep(0.1)
    execution.read()

    assert execution.current == "End"
    assert "S150" in seen
    assert not execution._fresh_events()


def test_only_new_bytes_of_a_hosts_rows_are_counted(stage: Stage) -> None:
    models = f"s3://{stage.outputs['ModelBucketName']}/models/growing/"
    key, line = "models/growing/_ledger/host-1.jsonl", b'{"customer_id":"1","status":"trained"}\n'
    rows = TrainingRows(stage.cloud.client("s3"), models, f"s3://{stage.outputs['DataBucketName']}/nowhere/")

    counts = []
    for body in (
        line,
        line + b'{"customer_id":"2","sta',
        line + b'{"customer_id":"2","status":"crashed"}\n',
        line,
    ):
        stage.put("ModelBucketName", key, body)
        rows.refresh()
        counts.append((rows.done, rows.hosts["host-1"].failed))

    assert counts == [(1, 0), (1, 0), (2, 1), (1, 0)]
    assert rows.total is None


def test_what_is_over_in_a_blink_is_not_told() -> None:
    steps = [
        Step("FindTrainingImage", 0.1),
        Step("DescribeEndpoint", 0.1),
        Step("PromoteRun", 0.1),
        Step("InitiateRun", 2.0),
    ]

    assert [step.state for step in noteworthy(steps)] == ["PromoteRun", "InitiateRun"]


def test_runs_are_listed_newest_first_whatever_else_is_in_the_table(stage: Stage, tmp_path: Path) -> None:
    summary = {"trained": 3, "customers": 4, "reasons": []}
    finished = {"trigger": "manual", "reason": "new tariffs", "started_at": "2026-01-02T10:00:00.123Z"}
    finished |= {"status": "SUCCEEDED", "ended_at": "2026-01-02T10:03:00+00:00", "summary": summary}
    stage.put_item("RunTableName", {"run_id": "r20260102100000-aaaaaa", **finished})
    stage.put_item("RunTableName", {"run_id": "r20260103100000-bbbbbb", "status": "ABORTED"})
    stage.put_item("RunTableName", {"run_id": "lock", "holder": "r20260103100000-bbbbbb"})
    stage.put_item("RunTableName", {"run_id": "event#1", "execution_arn": "x"})

    done, found = stage.fleetcast("runs"), stage.read("runs")

    assert [run["run_id"] for run in found] == ["r20260103100000-bbbbbb", "r20260102100000-aaaaaa"]
    (line,) = [line for line in done.stdout.splitlines() if "r20260102100000-aaaaaa" in line]
    assert line.split()[:3] == ["r20260102100000-aaaaaa", "SUCCEEDED", "manual"]
    assert "3 min 00 s" in line
    assert "new tariffs" in line
    assert stage.read("runs", "--limit", "1") == found[:1]
    assert stage.read("status")["last_run"]["run_id"] == "r20260103100000-bbbbbb"
