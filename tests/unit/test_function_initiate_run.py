"""InitiateRun: from whatever started the execution to the plan of a run."""

import base64
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.stub import Stubber
from tests.static.answers import ANSWERS, PARAMETER_VALUES
from tests.unit.function_support import as_known, invoke, sample

from fleetcast.adapters.clients import client
from fleetcast.adapters.run_table import RunTable
from fleetcast.adapters.source_bundle import publish_sources
from fleetcast.adapters.storage import read_bytes, write_bytes
from fleetcast.errors import RunInProgress, SettingError

SOURCES = b"PK: the containers' sources"
DIGEST = bytes(range(32))
LAYER = "arn:aws:lambda:us-east-1:123456789012:layer:SourceLayer:3"


def shape(document: Any) -> Any:
    return {key: shape(value) for key, value in document.items()} if isinstance(document, dict) else None


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


def test_a_parameter_out_of_bounds_ends_the_run_which_then_releases_its_lock(
    initiate: Callable[..., dict[str, Any]],
) -> None:
    client("ssm").put_parameter(
        Name="/fleetcast/fleetcast/training/horizon", Value="0", Type="String", Overwrite=True
    )

    with pytest.raises(SettingError, match="parameter training/horizon is '0'"):
        initiate({})

    # What CloseFailedRun does next.
    table = RunTable("runs")
    lock = table.holder()
    assert lock is not None
    table.close(lock["execution_arn"], "FAILED", {})
    assert table.holder() is None


def test_sources_that_are_there_are_not_copied_again(layer: Stubber) -> None:
    first = publish_sources(LAYER, "data-bucket")
    write_bytes(f"s3://data-bucket/source/{first}.zip", b"untouched")

    assert publish_sources(LAYER, "data-bucket") == first
    assert read_bytes(f"s3://data-bucket/source/{first}.zip") == b"untouched"
