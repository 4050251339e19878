"""InvokeEndpoint on the cloud's port: what is no invocation, what breaks off, and what nobody expected."""

import json
import logging
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from tests.conftest import RunningCloud
from tests.contract.lab import Lab, wait_until
from tests.contract.toys import error, serve

from fleetcast_local.mounts import Services
from fleetcast_local.sagemaker.service import InvokeResponse


class Recorded:
    """A SageMaker that keeps what it is asked."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def invoke(self, endpoint: str, body: bytes, headers: Mapping[str, str]) -> InvokeResponse:
        del endpoint, headers
        self.bodies.append(body)
        return InvokeResponse(200, {}, b"answer")


@contextmanager
def listening(sagemaker: Recorded, ended: list[bool]) -> Iterator[int]:
    """Serve invocations, and nothing else, on a port."""
    services = object.__new__(Services)
    services._sagemaker = sagemaker  # type: ignore[assignment]

    async def application(scope: Any, receive: Any, send: Any) -> None:
        ended.append(await services.answered_invocation(scope, receive, send))

    config = uvicorn.Config(application, http="httptools", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(60)


def test_a_request_that_breaks_off_is_no_invocation() -> None:
    sagemaker, ended = Recorded(), []  # type: Recorded, list[bool]
    request = b"POST /endpoints/fleet/invocations HTTP/1.1\r\nHost: cloud\r\nContent-Length: 1000\r\n\r\n"
    with listening(sagemaker, ended) as port:
        with socket.create_connection(("127.0.0.1", port), 60) as broken:
            broken.sendall(request + b"x" * 5)
        wait_until(lambda: len(ended) == 1)
        with socket.create_connection(("127.0.0.1", port), 60) as whole:
            whole.sendall(request + b"x" * 1000)
            assert whole.recv(100).startswith(b"HTTP/1.1 200")

    assert sagemaker.bodies == [b"x" * 1000]


def test_a_bucket_may_be_named_endpoints(cloud: RunningCloud) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="endpoints")

    started = s3.create_multipart_upload(Bucket="endpoints", Key="fleet/invocations")

    assert started["UploadId"]
    s3.abort_multipart_upload(Bucket="endpoints", Key="fleet/invocations", UploadId=started["UploadId"])
    s3.delete_bucket(Bucket="endpoints")


def test_what_nobody_expected_is_an_error_with_an_id_that_is_in_the_log(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    serve(lab, "a")
    monkeypatch.setattr("fleetcast_local.sagemaker.invocation._check_headers", lambda _: 1 / 0)

    with caplog.at_level(logging.ERROR):
        response = lab.invoke("a")

    failure = error(response)
    assert (response.status, failure["Code"]) == (500, "InternalFailure")
    identity = failure["Sentence"].rpartition(" ")[2].rstrip(".")
    assert identity in caplog.text
    assert "division" not in json.dumps(failure)
