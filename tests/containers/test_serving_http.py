"""The HTTP part alone, in front of toy models that fail as a test wants them to."""

import asyncio
import logging
import threading
from collections.abc import Awaitable

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
from fleetcast_serving.http.messages import Message, Request
from fleetcast_serving.http.multi_model import MultiModel
from fleetcast_serving.http.problems import refusal
from fleetcast_serving.http.single_model import SingleModel
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


@pytest.mark.parametrize("cold", [False, True])
def test_a_model_that_has_to_be_read_is_read_beside_the_event_loop(*, cold: bool) -> None:
    answered_in = []

    def say() -> ToyAnswer:
        answered_in.append(threading.current_thread())
        return ToyAnswer()

    async def ping() -> None: ...

    contract = SingleModel("bundle", lambda *_: ToyInquiry(say, cold=cold), ping, Measures(), workers=2)
    assert asked(contract.application(10), "POST", "/invocations").status_code == 200

    assert [thread is threading.main_thread() for thread in answered_in] == [not cold]


@pytest.mark.parametrize("kind", ["multi", "single"])
def test_large_bodies_count_until_they_are_answered(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait for one thread, and only so many of them."""
    monkeypatch.setattr("fleetcast_serving.http.messages._MAX_HELD", 300_000)
    gate = threading.Event()

    def say() -> ToyAnswer:
        assert gate.wait(10)
        return ToyAnswer()

    application = multi(say, 1000) if kind == "multi" else single(say, 1000)
    path = "/models/m/invoke" if kind == "multi" else "/invocations"

    async def scenario() -> list[int]:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://container") as client:

            def post(size: int) -> Awaitable[httpx.Response]:
                return client.post(path, content=b"{}".ljust(size))

            waiting = [asyncio.ensure_future(post(100_000)) for _ in range(3)]
            done, _ = await asyncio.wait([asyncio.ensure_future(post(100_000))], timeout=10)
            refused = [each.result() for each in done]
            gate.set()
            answered = await asyncio.gather(*waiting)
            return [answer.status_code for answer in (*refused, *answered)]

    assert asyncio.run(scenario()) == [503, 200, 200, 200]
    assert asked(application, "POST", path, size=300_000).status_code == 200


def test_a_body_that_does_not_fit_gives_its_room_to_others_while_it_arrives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If each of many kept its beginning, none of them could ever be whole."""
    monkeypatch.setattr("fleetcast_serving.http.messages._MAX_HELD", 300_000)

    async def scenario() -> tuple[int, int]:
        more: asyncio.Queue[bytes] = asyncio.Queue()

        async def trickle() -> Message:
            chunk = await more.get()
            return {"type": "http.request", "body": chunk, "more_body": bool(chunk)}

        async def at_once() -> Message:
            return {"type": "http.request", "body": bytes(150_000)}

        first, other, third = (Request({"headers": []}, receive) for receive in (at_once, trickle, at_once))
        whole = len(await first.body())
        refused = asyncio.create_task(other.body())
        for size in (100_000, 100_000):
            more.put_nowait(bytes(size))
        for _ in range(100):
            await asyncio.sleep(0)
        length = len(await third.body())
        more.put_nowait(b"")
        with pytest.raises(Busy):
            await refused
        for request in (first, other, third):
            request.close()
        return whole, length

    assert asyncio.run(scenario()) == (150_000, 150_000)


@pytest.mark.parametrize("path", ["/models/invoke", "/models/m/invoke/", "/models//invoke"])
def test_what_only_looks_like_an_invocation_is_told_what_it_is(path: str) -> None:
    answer = asked(multi(), "POST", path)

    if path == "/models/invoke":
        assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET")
    else:
        assert (answer.status_code, answer.json()["message"]) == (404, f"there is no {path}")


def test_a_load_is_json_whatever_its_header_says() -> None:
    """The contract fixes the body and not the header; the model's url is missing here, and nothing else."""
    answer = asked(multi(), "POST", "/models", **{"content-type": "application/octet-stream"})

    assert (answer.status_code, answer.json()["field"]) == (400, "model_name")


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
        (Busy("x"), 503, "Busy", None),
        (PlatformError("x"), 503, "Unavailable", None),
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


@pytest.mark.parametrize("error", [DataError("broken"), FleetcastError("odd")])
def test_what_is_no_fault_of_the_callers_is_in_the_log(
    error: FleetcastError, caplog: pytest.LogCaptureFixture
) -> None:
    message = httpx.Response(500, content=refusal(error).body).json()["message"]

    text, _, number = message.partition("; the log has it as ")
    assert text == str(error)
    assert f"{number}: {error}" in caplog.text
