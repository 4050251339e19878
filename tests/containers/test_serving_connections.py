"""How a connection ends: after the answers that it owes, and never because of somebody who does his part."""

import asyncio
import re
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import uvloop
from tests.containers.serving_support import PATIENCE
from tests.containers.serving_toys import ToyAnswer, ToyInquiry, ToyModels, connected

from fleetcast_serving.http.connection import MAX_HEAD, Connection
from fleetcast_serving.http.multi_model import MultiModel
from fleetcast_serving.metrics.measures import Measures

LONG = b"1000"
LIST = b"GET /models HTTP/1.1\r\nhost: x\r\n\r\n"
CONNECT = b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n"
NO_HTTP = b"GET /models SMTP/1.0\r\n\r\n"


def post(body: bytes = b"1", *fields: bytes) -> bytes:
    head = [b"POST /models/m/invoke HTTP/1.1", b"host: x", b"content-length: %d" % len(body), *fields]
    return b"\r\n".join([*head, b"", body])


@dataclass
class Visit:
    """A connection with both of its ends.

    Attributes:
        client: the client's end.
        host: the container's.
        may_answer: long answers wait for it.
    """

    client: socket.socket
    host: Connection
    may_answer: threading.Event

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.client, data)

    async def read(self, size: int = 65_536) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.client, size)

    async def rest(self) -> bytes:
        """Return what comes until the container closes."""
        found = b""
        while chunk := await self.read():
            found += chunk
        return found

    async def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(rb"HTTP/1.1 (\d+)", await self.rest())]


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.001)


@asynccontextmanager
async def visit(answer: Callable[[bytes], bytes] = bytes, idle: float = PATIENCE) -> AsyncIterator[Visit]:
    """Connect; a body is the number of steps that it asks for, and is answered with what `answer` makes of it."""
    may_answer = threading.Event()

    def inquiry(body: bytes, _content_type: str, _accept: str) -> ToyInquiry:
        def say() -> ToyAnswer:
            if int(body) > 200:
                may_answer.wait(PATIENCE)
            return ToyAnswer(answer(body))

        return ToyInquiry(say, int(body))

    application = MultiModel(ToyModels(), inquiry, Measures()).application(max_in_flight=10)
    ours, host = await connected(application, idle)
    ours.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    with ours:
        yield Visit(ours, host, may_answer)
    may_answer.set()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(scenario(), PATIENCE))


@pytest.mark.parametrize("before", [[LONG], [LONG, b"1", LONG]], ids=["one", "three"])
@pytest.mark.parametrize(
    "bad",
    [CONNECT, NO_HTTP, post(b"", b"transfer-encoding: chunked"), post() + b"bad\r\n\r\n"],
    ids=["a host", "another protocol", "two lengths", "behind a good one"],
)
def test_a_refusal_comes_after_the_answers_to_earlier_requests(before: list[bytes], bad: bytes) -> None:
    async def scenario() -> None:
        async with visit() as guest:
            await guest.send(b"".join(map(post, before)) + bad + LIST)
            await until(lambda: guest.host._last_word is not None)
            guest.may_answer.set()

            good = len(before) + bad.startswith(b"POST") * bad.endswith(b"bad\r\n\r\n")
            assert await guest.statuses() == [200] * good + [400]

    run(scenario)


def test_a_body_that_breaks_off_behind_an_unanswered_request_is_refused_in_its_turn() -> None:
    async def scenario() -> None:
        async with visit() as guest:
            chunked = b"POST /models/m/invoke HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"
            await guest.send(post(LONG) + chunked)
            await until(lambda: guest.host._last_word is not None)
            guest.may_answer.set()

            assert await guest.statuses() == [200, 400]

    run(scenario)


@pytest.mark.parametrize(
    ("url", "status"), [(b"http://x", 404), (b"http://x?a=b", 404), (b"http://x/models", 200)]
)
def test_a_url_may_name_the_host(url: bytes, status: int) -> None:
    async def scenario() -> None:
        async with visit() as guest:
            await guest.send(b"GET %b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n" % url)

            assert await guest.statuses() == [status]

    run(scenario)


def test_a_small_head_that_ends_in_another_piece_is_read() -> None:
    """A head in three packets, a body, and the next head across the border between two pieces of what was read."""

    async def scenario() -> None:
        async with visit() as guest:
            begin = b"POST /models/m/invoke HTTP/1.1\r\nhost: x\r\n"
            rest = b"content-length: %5d\r\n\r\n"
            size = 3 * MAX_HEAD - 20 - len(rest % 1)
            await guest.send(begin[:10])
            await until(lambda: guest.host._reading)
            await guest.send(begin[10:])
            await until(lambda: guest.host._head)
            # As the loop hands it over that has much to read.
            guest.host.data_received(rest % size + b"1".rjust(size) + post(b"1", b"connection: close"))

            assert await guest.statuses() == [200, 200]

    run(scenario)


def test_each_request_has_its_own_time_to_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packets that each end within a request, for much longer than one request may take."""
    monkeypatch.setattr(Connection, "read_seconds", 0.7)

    async def scenario() -> None:
        async with visit() as guest:
            stream = post() * 50 + post(b"1", b"connection: close")
            size = len(post())
            await guest.send(stream[:5])
            for begin in range(5, len(stream), size):
                await guest.send(stream[begin : begin + size])
                await asyncio.sleep(0.03)

            assert await guest.statuses() == [200] * 51

    run(scenario)


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (LIST, [200]),
        (post(), [200]),
        (post(LONG), [200]),
        (post(LONG) + LIST + post(LONG) + post(), [200] * 4),
        (post(LONG) + LIST[:9], [200]),
        (post(LONG) + post(LONG)[:-1], [200]),
        (post()[:9], []),
        (post()[:-1], []),
        (b"\r\n", []),
        (b"", []),
    ],
    ids=[
        "list",
        "short",
        "long",
        "many",
        "half a head",
        "half a body",
        "no more",
        "no body",
        "a line",
        "nothing",
    ],
)
def test_a_client_that_has_said_everything_gets_its_answers(sent: bytes, statuses: list[int]) -> None:
    async def scenario() -> None:
        async with visit() as guest:
            # Both in one turn of the event loop.
            guest.client.sendall(sent)
            guest.client.shutdown(socket.SHUT_WR)
            await asyncio.sleep(0.02)
            guest.may_answer.set()

            assert await guest.statuses() == statuses

    run(scenario)


def test_a_client_that_reads_slowly_gets_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "write_seconds", 0.8)
    size = 10 * 2**20

    async def scenario() -> None:
        async with visit(lambda _: bytes(size)) as guest:
            await guest.send(post(b"1", b"connection: close"))
            found = 0
            while found < size:
                got = len(await guest.read(2**18))
                assert got, f"cut after {found} bytes"
                found += got
                await asyncio.sleep(0.04)

    run(scenario)


@pytest.mark.parametrize("size", [10_000, 2**20], ids=["little", "much"])
@pytest.mark.parametrize("fields", [[], [b"connection: close"]], ids=["idle", "closing"])
def test_a_client_that_reads_nothing_is_cut_even_if_only_little_waits(
    monkeypatch: pytest.MonkeyPatch, size: int, fields: list[bytes]
) -> None:
    monkeypatch.setattr(Connection, "write_seconds", 0.1)

    async def scenario() -> None:
        async with visit(lambda _: bytes(size), idle=0.1) as guest:
            transport = guest.host.transport
            while not transport.get_write_buffer_size():
                await guest.send(post())
                await asyncio.sleep(0)
            await guest.send(post(b"1", *fields))
            await until(lambda: guest.host.parser is None)

    run(scenario)


def test_a_request_that_is_arriving_when_the_container_ends_is_answered() -> None:
    async def scenario() -> None:
        async with visit() as arriving, visit() as resting:
            await arriving.send(post()[:20])
            await until(lambda: arriving.host._reading)
            for guest in (arriving, resting):
                guest.host.app.draining = True
                guest.host.shutdown()
            await arriving.send(post()[20:])

            assert await resting.statuses() == []
            assert await arriving.statuses() == [200]

    run(scenario)
