"""`fleetcast retrain --wait` follows a run to its end, and its exit code is the outcome."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conftest import RunningCloud
from tests.unit.cli_stage import RUN_ID, Stage, stand_up

from fleetcast_cli.history import Execution, Step, noteworthy
from fleetcast_cli.intake import Intake, print_intake
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
    {"key": "raw/old.csv", "status": "read", "rows": 7, "reason": "read as Windows-1252"},
]
STRAYS = {"empty": 1200, "too_long": 0, "control_character": 0, "malformed": 34}


@pytest.fixture(scope="module")
def stage(cloud: RunningCloud) -> Stage:
    stage = stand_up(cloud)
    summary = {"run_id": RUN_ID, "ready": 4, "files": FILES}
    summary |= {"rows_without_customer": 1234, "rows_without_customer_by_reason": STRAYS}
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


def test_files_with_a_remark_and_rows_that_belong_to_nobody_are_told(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    done = stage.fleetcast("retrain", "--wait", "--reason", "succeed")

    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["raw/bad.csv.gz", "rejected", "it", "is", "no", "gzip"] in lines
    assert ["raw/old.csv", "read", "read", "as", "Windows-1252"] in lines
    strays = "1,234 rows belong to nobody and were left out: 1,200 without a customer id, 34 that do not fit"
    assert strays in done.stdout
    assert "control character" not in done.stdout
    print_intake(Intake(rows_without_customer=1, rows_without_customer_by_reason={"new": 1}))
    assert capsys.readouterr().out == "1 row belongs to nobody and was left out: 1 new.\n"


def test_a_run_that_failed_tells_of_its_raw_data_too(stage: Stage) -> None:
    spoken = stage.fleetcast("retrain", "--wait", "--reason", "fail")
    document = json.loads(stage.fleetcast("retrain", "--wait", "--reason", "fail", "--json").stdout)

    assert "raw/bad.csv.gz" in spoken.stdout
    assert [file["key"] for file in document["rejected_files"]] == ["raw/bad.csv.gz"]
    assert [file["key"] for file in document["noted_files"]] == ["raw/old.csv"]
    assert document["rows_without_customer"] == 1234
    assert document["rows_without_customer_by_reason"] == STRAYS


@pytest.fixture
def lock(stage: Stage) -> Iterator[Stage]:
    yield stage
    stage.release_lock()


@pytest.mark.parametrize(("work", "code"), [("linger", 0), ("linger and fail", 1)])
def test_a_run_at_work_is_followed_and_its_outcome_is_the_exit_code(
    lock: Stage, work: str, code: int
) -> None:
    execution = lock.work_at(work)
    before = executions(lock)

    done = lock.fleetcast("retrain", "--wait", "--json")

    assert done.exit_code == code
    assert f"Run {RUN_ID} is at work already; following it." in done.stderr
    assert json.loads(done.stdout)["execution"] == execution
    assert executions(lock) == before


@pytest.mark.parametrize("ending", ["refuse", "skip"])
def test_a_run_that_loses_against_another_follows_that_one(lock: Stage, ending: str) -> None:
    """While data is collected a run by hand takes over, unless the collecting ends in that very moment."""
    execution = lock.work_at("linger", phase="collecting")

    done = lock.fleetcast("retrain", "--wait", "--reason", ending, "--json")

    assert done.exit_code == 0
    assert f"Run {RUN_ID} is at work already; following it." in done.stderr
    assert json.loads(done.stdout)["execution"] == execution


def test_without_wait_a_run_at_work_is_left_alone_and_named(lock: Stage) -> None:
    execution = lock.work_at("wait")
    before = executions(lock)

    done = lock.fleetcast("retrain")

    lock.cloud.client("stepfunctions").stop_execution(executionArn=execution)
    assert done.exit_code == 3
    assert f"run {RUN_ID} is in progress" in done.stderr
    assert "follow it: fleetcast retrain --wait" in done.stderr
    assert executions(lock) == before


@pytest.mark.parametrize("left", ["ended", "never was"])
def test_a_lock_of_an_execution_that_runs_no_more_is_in_nobodys_way(lock: Stage, left: str) -> None:
    execution = lock.work_at("skip")
    deadline = time.monotonic() + 30
    while executions(lock, "RUNNING") and time.monotonic() < deadline:
        time.sleep(0.1)
    if left == "never was":
        item = {"run_id": "lock", "holder": RUN_ID, "execution_arn": f"{execution}-x"}
        lock.put_item("RunTableName", item | {"phase": "running", "since": "2026-01-01T00:00:00+00:00"})

    assert lock.fleetcast("retrain", "--wait", "--reason", "succeed").exit_code == 0


def test_runs_tell_of_one_that_collects_and_is_not_in_the_table_yet(lock: Stage) -> None:
    execution = lock.work_at("wait", phase="collecting")

    done = lock.fleetcast("runs")

    lock.cloud.client("stepfunctions").stop_execution(executionArn=execution)
    assert f"Run {RUN_ID} is collecting: it was asked for" in done.stdout
    assert "No run yet" not in done.stdout
    assert "collecting" not in lock.fleetcast("runs").stdout


def executions(stage: Stage, status: str | None = None) -> int:
    machine, only = stage.outputs["StateMachineArn"], {"statusFilter": status} if status else {}
    listed = stage.cloud.client("stepfunctions").list_executions(stateMachineArn=machine, **only)
    return len(listed["executions"])


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


# A test run in the background ignores SIGINT, and so would whatever it starts.
_INTERRUPTIBLE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from fleetcast_cli.main import main
main()
"""


def test_ctrl_c_stops_the_watching_and_not_the_run(stage: Stage) -> None:
    watching = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _INTERRUPTIBLE,
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


def test_runs_are_listed_newest_first_whatever_else_is_in_the_table(lock: Stage) -> None:
    stage, summary = lock, {"trained": 3, "customers": 4, "reasons": []}
    finished: dict[str, Any] = {
        "trigger": "manual",
        "reason": "new tariffs",
        "started_at": "2026-01-02T10:00:00.123Z",
    }
    finished |= {"status": "SUCCEEDED", "ended_at": "2026-01-02T10:03:00+00:00", "summary": summary}
    stage.put_item("RunTableName", {"run_id": "r20260102100000-aaaaaa", **finished})
    stage.put_item("RunTableName", {"run_id": "r20260103100000-bbbbbb", "status": "ABORTED"})
    stage.work_at("skip")
    stage.put_item("RunTableName", {"run_id": "event#1", "execution_arn": "x"})

    done, found = stage.fleetcast("runs"), stage.read("runs")

    assert [run["run_id"] for run in found] == ["r20260103100000-bbbbbb", "r20260102100000-aaaaaa"]
    (line,) = [line for line in done.stdout.splitlines() if "r20260102100000-aaaaaa" in line]
    assert line.split()[:3] == ["r20260102100000-aaaaaa", "SUCCEEDED", "manual"]
    assert "3 min 00 s" in line
    assert "new tariffs" in line
    assert stage.read("runs", "--limit", "1") == found[:1]
    assert stage.read("status")["last_run"]["run_id"] == "r20260103100000-bbbbbb"
