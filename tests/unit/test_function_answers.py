"""Every function of the run, with the sample of its call, against services that AWS's models check.

What each answers must have the shape that the walk through the state machine relies on (`tests/static/answers.py`).
"""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from tests.static.answers import ANSWERS, PARAMETER_VALUES, RUN_ID
from tests.unit.function_support import invoke, sample
from tests.unit.test_endpoint import CONFIG, ENDPOINT, MODEL
from tests.unit.test_function_forecast_customer import CUSTOMER, conforms
from tests.unit.test_gate import GATE, quality, training
from tests.unit.test_pointer_table import FIRST

from fleetcast.adapters import run_reports
from fleetcast.adapters.clients import client
from fleetcast.adapters.ledger import read_ledger
from fleetcast.adapters.pointer_table import PointerTable
from fleetcast.adapters.run_table import RunTable
from fleetcast.adapters.source_bundle import publish_sources
from fleetcast.adapters.storage import read_bytes, write_bytes, write_rows
from fleetcast.domain.gate import build_ledger
from fleetcast.domain.triggers import Trigger
from fleetcast.errors import RunInProgress, SettingError

SOURCES = b"PK: the containers' sources"
DIGEST = bytes(range(32))
LAYER = "arn:aws:lambda:us-east-1:123456789012:layer:SourceLayer:3"


def shape(document: Any) -> Any:
    return {key: shape(value) for key, value in document.items()} if isinstance(document, dict) else None


def as_known(state: str, answered: Any) -> None:
    """Hold an answer to the shapes that the walk through the machine was made with."""
    json.dumps(answered, allow_nan=False)
    assert {key: None for key in answered} in [{key: None for key in known} for known in ANSWERS[state]]


@pytest.fixture
def sources() -> Iterator[str]:
    """The place from which Lambda lets a layer's content be fetched."""

    class Content(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(SOURCES)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Content) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/layer.zip"
        server.shutdown()
        thread.join()


@pytest.fixture
def layer(buckets: tuple[str, str], sources: str) -> Iterator[Stubber]:
    with Stubber(client("lambda")) as stubber:
        for _ in range(4):
            content = {"Location": sources, "CodeSha256": base64.b64encode(DIGEST).decode(), "CodeSize": 1}
            stubber.add_response("get_layer_version_by_arn", {"Content": content}, {"Arn": LAYER})
        yield stubber


# ---- InitiateRun


@pytest.fixture
def initiate(
    layer: Stubber, run_table: str, execution: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    for name, value in PARAMETER_VALUES.items():
        client("ssm").put_parameter(Name=f"/fleetcast/fleetcast/{name}", Value=str(value), Type="String")
    for variable, text in {
        "STACK_NAME": "fleetcast",
        "DATA_BUCKET": "data-bucket",
        "MODEL_BUCKET": "model-bucket",
        "RUN_TABLE": run_table,
        "PARAMETER_PATH": "/fleetcast/fleetcast/",
        "SOURCE_LAYER_ARN": LAYER,
    }.items():
        monkeypatch.setenv(variable, text)

    def ask(event: Any, arn: str = "") -> dict[str, Any]:
        asked = {**sample("initiate_run"), "input": event, "execution": arn or execution()}
        answered: dict[str, Any] = invoke("initiate_run", asked)
        return answered

    return ask


@pytest.mark.parametrize("name", ["new_data", "changed_parameter", "schedule", "queued", "manual"])
def test_every_trigger_gets_the_plan_of_a_run(initiate: Callable[..., dict[str, Any]], name: str) -> None:
    plan = initiate(sample(f"execution_{name}"))

    as_known("InitiateRun", plan)
    assert shape(plan) == shape(ANSWERS["InitiateRun"][0])
    assert plan["source"]["digest"] == DIGEST.hex()[:16]
    assert read_bytes(f"s3://{plan['source']['location']}") == SOURCES


def test_a_second_delivery_gets_no_plan(initiate: Callable[..., dict[str, Any]]) -> None:
    event = sample("execution_new_data")
    initiate(event)

    again = initiate(event)

    as_known("InitiateRun", again)
    assert (again["started"], again["outcome"]) == (False, "duplicate")


def test_a_person_is_refused_while_a_run_reads_data(initiate: Callable[..., dict[str, Any]]) -> None:
    """The class is what the state machine's Catch waits for."""
    first = initiate({})
    client("dynamodb").update_item(
        TableName="runs",
        Key={"run_id": {"S": "lock"}},
        UpdateExpression="SET phase = :r",
        ExpressionAttributeValues={":r": {"S": "running"}},
    )

    with pytest.raises(RunInProgress, match=first["run_id"]):
        initiate({"reason": "once more"})


def test_a_parameter_out_of_bounds_ends_the_run_before_it_takes_the_lock(
    initiate: Callable[..., dict[str, Any]],
) -> None:
    client("ssm").put_parameter(
        Name="/fleetcast/fleetcast/training/horizon", Value="0", Type="String", Overwrite=True
    )

    with pytest.raises(SettingError, match="parameter training/horizon is '0'"):
        initiate({})
    assert RunTable("runs").latest() is None


def test_sources_that_are_there_are_not_copied_again(layer: Stubber) -> None:
    first = publish_sources(LAYER, "data-bucket")
    write_bytes(f"s3://data-bucket/source/{first}.zip", b"untouched")

    assert publish_sources(LAYER, "data-bucket") == first
    assert read_bytes(f"s3://data-bucket/source/{first}.zip") == b"untouched"


# ---- EvaluateRun, PromoteRun


@pytest.fixture
def prepared(buckets: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A run of three customers, two of them trained; returns EvaluateRun's sample for it."""
    monkeypatch.setenv("STACK_NAME", "fleetcast")
    monkeypatch.setenv("DATA_BUCKET", "data-bucket")
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


# ---- PlanEndpoint, CheckHealth


@pytest.fixture
def sagemaker(credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    monkeypatch.setenv("ENDPOINT_NAME", "fleetcast")
    with Stubber(client("sagemaker")) as stubber:
        yield stubber


def serving(stubber: Stubber, status: str = "InService", **container: Any) -> None:
    stubber.add_response("describe_endpoint", {**ENDPOINT, "EndpointStatus": status})
    if status == "InService":
        stubber.add_response("describe_endpoint_config", CONFIG)
        stubber.add_response(
            "describe_model", {**MODEL, "PrimaryContainer": container or MODEL["PrimaryContainer"]}
        )


def absent(stubber: Stubber) -> None:
    stubber.add_client_error("describe_endpoint", "ValidationException", "Could not find endpoint", 400)


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


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (serving, 200),
        (partial(serving, status="Updating"), 200),
        (partial(serving, status="Failed"), 503),
        (absent, 503),
    ],
    ids=["serving", "updating", "failed", "absent"],
)
def test_health_is_whether_forecasts_can_be_answered(
    sagemaker: Stubber,
    run_table: str,
    monkeypatch: pytest.MonkeyPatch,
    found: Callable[[Stubber], None],
    status: int,
) -> None:
    monkeypatch.setenv("RUN_TABLE", run_table)
    found(sagemaker)

    answered = invoke("check_health", sample("check_health"))

    assert answered["statusCode"] == status
    if status == 200:
        assert json.loads(answered["body"])["run_in_progress"] is None


def test_health_says_which_run_is_at_work(
    sagemaker: Stubber, run_table: str, execution: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUN_TABLE", run_table)
    RunTable(run_table).acquire(RUN_ID, execution(), Trigger("manual", "by hand"))
    serving(sagemaker)

    body = json.loads(invoke("check_health", sample("check_health"))["body"])

    assert body == {"status": "ok", "endpoint": "InService", "run_in_progress": RUN_ID}


# ---- CloseRun, ExplainFailure


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
    assert RunTable(run_table).latest() is None
    assert invoke("close_run", event) == {"run_id": None, "again": False}


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


# ---- ApplySchedule, DescribeCustomer


@pytest.fixture
def schedule(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    values = {
        **PARAMETER_VALUES,
        "schedule/expression": "rate(1 day)",
        "schedule/time_zone": "Europe/Berlin",
        "schedule/state": "DISABLED",
    }
    for name, value in values.items():
        client("ssm").put_parameter(Name=f"/fleetcast/fleetcast/{name}", Value=str(value), Type="String")
    client("scheduler").create_schedule(
        Name="fleetcast-retrain",
        Description="kept",
        ScheduleExpression="cron(0 3 ? * MON *)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": "arn:aws:states:us-east-1:123456789012:stateMachine:fleetcast-retrain",
            "RoleArn": "arn:aws:iam::123456789012:role/start",
            "Input": '{"source": "fleetcast.schedule"}',
            "DeadLetterConfig": {"Arn": "arn:aws:sqs:us-east-1:123456789012:dead"},
        },
    )
    monkeypatch.setenv("PARAMETER_PATH", "/fleetcast/fleetcast/")
    monkeypatch.setenv("SCHEDULE_NAME", "fleetcast-retrain")
    yield client("scheduler")


def test_a_changed_parameter_changes_the_schedule_and_nothing_else(schedule: Any) -> None:
    """UpdateSchedule replaces the whole of it: what is not sent again is lost."""
    before = schedule.get_schedule(Name="fleetcast-retrain")

    invoke("apply_schedule", sample("apply_schedule"))

    after = schedule.get_schedule(Name="fleetcast-retrain")
    assert (after["ScheduleExpression"], after["ScheduleExpressionTimezone"], after["State"]) == (
        "rate(1 day)",
        "Europe/Berlin",
        "DISABLED",
    )
    assert after["Target"] == before["Target"]
    assert (after["Description"], after["FlexibleTimeWindow"]) == ("kept", {"Mode": "OFF"})


def test_a_schedule_that_the_service_refuses_fails_for_its_dead_letter_queue(schedule: Any) -> None:
    schedule.delete_schedule(Name="fleetcast-retrain")

    with pytest.raises(ClientError, match="does not exist"):
        invoke("apply_schedule", sample("apply_schedule"))


def test_a_customer_is_told_which_model_it_is_served(
    pointer_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTER_TABLE", pointer_table)
    unknown = invoke("describe_customer", sample("describe_customer"))
    PointerTable(pointer_table).promote([(CUSTOMER, FIRST)], by=FIRST.run_id)

    answered = invoke("describe_customer", sample("describe_customer"))

    document = json.loads(answered["body"])
    assert unknown["statusCode"] == 404
    assert document == {"customer_id": CUSTOMER, **FIRST.to_document()}
    conforms(document, "Model")
