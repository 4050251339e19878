"""The HTTP part alone, in front of toy models that fail as a test wants them to."""

import asyncio
import logging
import threading

import httpx
import pytest
from tests.containers.serving_toys import ToyAnswer, ToyInquiry, ToyModels, multi, single

from fleetcast.errors import DataError, FleetcastError, NotAcceptable, PlatformError, RequestError
from fleetcast_serving.errors import (
    AlreadyLoaded,
    BodyTooLarge,
    Busy,
    CustomerNotFound,
    LoadFailed,
    NoSuchPath,
    NotLoaded,
    OutOfMemory,
    UnsupportedContentType,
)
from fleetcast_serving.http.application import Application
from fleetcast_serving.http.multi_model import MultiModel
from fleetcast_serving.http.problems import refusal
from fleetcast_serving.metrics.measures import Measures


def asked(application: Application, method: str, path: str, size: int = 2, **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://container") as client:
            return await client.request(method, path, content=b"{}".ljust(size), headers=headers)

    return asyncio.run(ask())


def explode() -> ToyAnswer:
    raise ZeroDivisionError("customer 7's secret")


@pytest.mark.parametrize("steps", [1, 1000], ids=["in the event loop", "in a thread"])
@pytest.mark.parametrize("kind", ["multi", "single"])
def test_an_unexpected_error_is_a_number_that_the_log_explains(
    caplog: pytest.LogCaptureFixture, kind: str, steps: int
) -> None:
    application = multi(explode, steps) if kind == "multi" else single(explode, steps)
    path = "/models/m/invoke" if kind == "multi" else "/invocations"

    with caplog.at_level(logging.ERROR):
        answer = asked(application, "POST", path, **{"X-Amzn-SageMaker-Target-Model": "run/meter-7.tar.gz"})

    assert answer.status_code == 500
    problem = answer.json()
    assert (problem["code"], problem["field"]) == ("InternalError", None)
    assert "secret" not in answer.text
    number = problem["message"].rpartition(" ")[2]
    assert f"unexpected error {number} ('run/meter-7.tar.gz')" in caplog.text
    assert "ZeroDivisionError: customer 7's secret" in caplog.text


@pytest.mark.parametrize("steps", [1, 1000], ids=["in the event loop", "in a thread"])
def test_an_answer_goes_out_as_it_was_made(steps: int) -> None:
    for answer in (
        asked(multi(steps=steps), "POST", "/models/m/invoke"),
        asked(single(ToyAnswer, steps), "POST", "/invocations"),
    ):
        assert (answer.status_code, answer.content) == (200, b"1\n")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"


def test_a_large_body_is_read_beside_the_event_loop() -> None:
    read_in = []

    def inquiry(_body: bytes, _content_type: str, _accept: str) -> ToyInquiry:
        read_in.append(threading.current_thread())
        return ToyInquiry(ToyAnswer)

    application = MultiModel(ToyModels(), inquiry, Measures()).application(max_in_flight=10)
    for size in (100, 100_000):
        assert asked(application, "POST", "/models/m/invoke", size).status_code == 200

    assert [thread is threading.main_thread() for thread in read_in] == [True, False]


def test_a_container_without_its_keeper_is_not_healthy() -> None:
    answer = asked(multi(), "GET", "/ping")

    assert (answer.status_code, answer.json()["code"]) == (503, "Unavailable")
    assert answer.headers["retry-after"] == "1"


def test_while_it_drains_every_answer_closes_its_connection() -> None:
    application = multi()
    assert "connection" not in asked(application, "POST", "/models/m/invoke").headers

    application.draining = True

    assert asked(application, "POST", "/models/m/invoke").headers["connection"] == "close"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/models/m/invoke", 503),
        ("GET", "/models/m/invoke", 405),
        ("GET", "/models", 200),
        ("GET", "/models/m", 200),
        ("DELETE", "/models/m", 200),
    ],
)
def test_only_invocations_are_limited(method: str, path: str, status: int) -> None:
    """A container that has much to do can still be told to load and to unload."""
    application = MultiModel(ToyModels(), lambda *_: ToyInquiry(ToyAnswer), Measures()).application(
        max_in_flight=0
    )

    assert asked(application, method, path).status_code == status


def test_whoever_manages_takes_no_place_of_an_invocation() -> None:
    class Slow(ToyModels):
        async def ping(self) -> None:
            asked_for.set()
            await asyncio.Event().wait()

    async def scenario() -> int:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(application), base_url="http://c"
        ) as client:
            ping = asyncio.create_task(client.get("/ping"))
            await asked_for.wait()
            answer = await client.post("/models/m/invoke", content=b"{}")
            ping.cancel()
            return answer.status_code

    asked_for = asyncio.Event()
    application = MultiModel(Slow(), lambda *_: ToyInquiry(ToyAnswer), Measures()).application(
        max_in_flight=1
    )

    assert asyncio.run(scenario()) == 200


def test_invocations_are_timed_and_errors_counted() -> None:
    measures = Measures()
    application = multi(measures=measures)

    asked(application, "POST", "/models/m/invoke")
    asked(application, "GET", "/models/m/invoke")
    asked(application, "GET", "/ping")

    assert sum(measures.latencies) == 1
    assert (measures.hits, measures.client_errors, measures.server_errors) == (1, 1, 1)


@pytest.mark.parametrize(
    ("error", "status", "code", "field"),
    [
        (RequestError("x", "period"), 400, "InvalidRequest", "period"),
        (UnsupportedContentType("x"), 415, "UnsupportedContentType", None),
        (NotAcceptable("x"), 406, "NotAcceptable", None),
        (BodyTooLarge("x"), 413, "BodyTooLarge", None),
        (CustomerNotFound("x"), 404, "CustomerNotFound", "customer_id"),
        (NoSuchPath("x"), 404, "NotFound", None),
        (NotLoaded("x"), 404, "ModelNotLoaded", None),
        (AlreadyLoaded("x"), 409, "ModelAlreadyLoaded", None),
        (LoadFailed("x"), 422, "ModelLoadFailed", None),
        (OutOfMemory("x"), 507, "OutOfMemory", None),
        (DataError("x"), 500, "ModelBroken", None),
        (Busy("x"), 503, "Busy", None),
        (PlatformError("x"), 503, "Unavailable", None),
        (FleetcastError("x"), 500, "InternalError", None),
    ],
)
def test_every_error_has_its_status_and_its_code(
    error: FleetcastError, status: int, code: str, field: str | None
) -> None:
    response = refusal(error)

    assert response.status == status
    assert httpx.Response(status, content=response.body).json() == {
        "code": code,
        "message": "x",
        "field": field,
    }
