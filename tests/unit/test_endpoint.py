"""One invocation of the endpoint, and every way in which it can fail; answers are held to botocore's model."""

import io
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import Stubber
from tests.unit.endpoint_support import CONFIG, ENDPOINT, MODEL

from fleetcast.adapters import endpoint as module
from fleetcast.adapters.clients import client
from fleetcast.adapters.endpoint import describe_endpoint, invoke
from fleetcast.domain.endpoints import Current, Serving
from fleetcast.errors import DataError, PlatformError, RequestError

KEY = "r20260131020000-0a1b2c/42.tar.gz"
EXPECTED = {
    "EndpointName": "fleetcast",
    "TargetModel": KEY,
    "ContentType": "application/json",
    "Accept": "application/json",
    "Body": '{"period": 7}',
}


@pytest.fixture
def runtime(credentials: None) -> Iterator[Stubber]:
    with Stubber(client("sagemaker-runtime", read_timeout=20, attempts=1)) as stubber:
        yield stubber


def answered(stubber: Stubber, body: bytes) -> None:
    stubber.add_response("invoke_endpoint", {"Body": StreamingBody(io.BytesIO(body), len(body))}, EXPECTED)


def failed(stubber: Stubber, code: str, status: int, message: str = "inside", **fields: Any) -> None:
    stubber.add_client_error("invoke_endpoint", code, message, status, modeled_fields=fields)


def ask() -> Any:
    return invoke("fleetcast", KEY, {"period": 7})


def test_the_model_is_asked_by_its_key(runtime: Stubber) -> None:
    answered(runtime, b'{"customer_id": "42", "forecast": []}')

    assert ask() == {"customer_id": "42", "forecast": []}
    runtime.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ModelNotReadyException", 429),
        ("ServiceUnavailable", 503),
        ("InternalFailure", 500),
        ("InternalDependencyException", 530),
        ("ThrottlingException", 400),
    ],
)
def test_what_later_may_work_is_not_ready(runtime: Stubber, code: str, status: int) -> None:
    failed(runtime, code, status)

    with pytest.raises(PlatformError):
        ask()


def test_a_model_that_cannot_be_downloaded_is_its_owners_fault(runtime: Stubber) -> None:
    """The pointer said it exists: nothing that the caller sends will help."""
    failed(runtime, "ValidationError", 400, "Failed to download model data (bucket: models, key: x)")

    with pytest.raises(DataError, match=KEY):
        ask()


def refused(runtime: Stubber, status: int, message: str) -> None:
    failed(runtime, "ModelError", 424, OriginalStatusCode=status, OriginalMessage=message, LogStreamArn="arn")


def test_the_containers_own_sentence_reaches_the_caller(runtime: Stubber) -> None:
    refused(
        runtime,
        400,
        json.dumps({"code": "InvalidRequest", "message": "period must be below 100", "field": "period"}),
    )

    with pytest.raises(RequestError, match=r"^period must be below 100$") as raised:
        ask()
    assert raised.value.field == "period"


@pytest.mark.parametrize(
    "message",
    ["", "Traceback (most recent call last)", "null", "[]", "7", '{"code": "x"}', '{"message"', "<html>"],
)
def test_a_refusal_without_a_sentence_stays_inside(runtime: Stubber, message: str) -> None:
    refused(runtime, 400, message)

    with pytest.raises(DataError):
        ask()


@pytest.mark.parametrize("status", [0, 404, 409, 503, 507])
def test_a_container_that_cannot_answer_just_now_is_worth_another_try(runtime: Stubber, status: int) -> None:
    """Status 0 means that it did not answer at all; 404 that the model was unloaded in between."""
    refused(runtime, status, json.dumps({"code": "x", "message": "model 'a1b2' is not loaded"}))

    with pytest.raises(PlatformError):
        ask()


def test_an_endpoint_that_is_not_there_is_worth_another_try(runtime: Stubber) -> None:
    """Somebody saved money; the next run makes it again."""
    failed(runtime, "ValidationError", 400, "Endpoint fleetcast of account 123456789012 not found.")

    with pytest.raises(PlatformError):
        ask()


@pytest.mark.parametrize("status", [413, 415, 422, 500, 502])
def test_a_container_that_broke_is_its_owners_fault(runtime: Stubber, status: int) -> None:
    """Also where it blames the request: what the function sends is the function's."""
    refused(runtime, status, json.dumps({"message": "secret stack trace"}))

    with pytest.raises(DataError):
        ask()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"<html>", b"\xff\xfe", b'{"forecast": [NaN]}', b'{"a": Infinity}'], ids=repr
)
def test_an_answer_that_is_no_json_is_the_models_fault(runtime: Stubber, body: bytes) -> None:
    """NaN is no number to anybody but Python."""
    answered(runtime, body)

    with pytest.raises(DataError, match="no JSON"):
        ask()


@pytest.fixture
def silent_endpoint(elsewhere: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An endpoint that takes the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []
        thread = threading.Thread(target=lambda: taken.append(server.accept()[0]))
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield
        thread.join(5)
        for connection in taken:
            connection.close()


def test_an_endpoint_that_does_not_answer_in_time_is_not_ready(
    silent_endpoint: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_READ_TIMEOUT_SECONDS", 0.3)

    with pytest.raises(PlatformError, match="did not answer in time"):
        ask()


def test_an_endpoint_that_is_not_there_is_not_ready(elsewhere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")

    with pytest.raises(PlatformError):
        ask()


def test_nothing_waits_longer_than_api_gateway_does() -> None:
    """Connecting may take 3 s, the lookup before it 3 s more."""
    assert module._READ_TIMEOUT_SECONDS + 3 < 28


@pytest.mark.parametrize("code", ["AccessDeniedException", "SomethingNew"])
def test_a_failure_that_waiting_will_not_mend_is_not_called_not_ready(runtime: Stubber, code: str) -> None:
    failed(runtime, code, 400)

    with pytest.raises(ClientError):
        ask()


def test_an_endpoint_in_service_is_described_by_what_it_serves(sagemaker: Stubber) -> None:
    sagemaker.add_response("describe_endpoint", {**ENDPOINT, "EndpointStatus": "InService"})
    sagemaker.add_response("describe_endpoint_config", CONFIG, {"EndpointConfigName": "config"})
    sagemaker.add_response("describe_model", MODEL, {"ModelName": "model"})

    assert describe_endpoint("fleetcast") == Current(
        "InService", Serving("image", "s3://models/models/", "ml.m5.large", {"A": "1"})
    )


@pytest.mark.parametrize("status", ["Creating", "Updating", "Failed", "Deleting"])
def test_nothing_is_said_of_an_endpoint_in_the_middle_of_something(sagemaker: Stubber, status: str) -> None:
    sagemaker.add_response("describe_endpoint", {**ENDPOINT, "EndpointStatus": status})

    assert describe_endpoint("fleetcast") == Current(status, None)


def test_an_endpoint_that_does_not_exist_is_none(sagemaker: Stubber) -> None:
    sagemaker.add_client_error(
        "describe_endpoint", "ValidationException", 'Could not find endpoint "arn:…:endpoint/fleetcast".', 400
    )

    assert describe_endpoint("fleetcast") is None


def test_an_endpoint_that_may_not_be_seen_is_an_error(sagemaker: Stubber) -> None:
    """Taking it for absent would try to create it a second time."""
    sagemaker.add_client_error("describe_endpoint", "AccessDeniedException", "not authorised", 400)

    with pytest.raises(Exception, match="AccessDenied"):
        describe_endpoint("fleetcast")
