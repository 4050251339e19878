"""What is answered at once is answered like everything else, only sooner."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop
from tests.containers.serving_support import PATIENCE
from tests.containers.serving_toys import ToyAnswer, ToyInquiry, ToyModels, connected

from fleetcast.errors import RequestError
from fleetcast_serving.http.application import Application
from fleetcast_serving.http.multi_model import MultiModel
from fleetcast_serving.metrics.measures import Measures

END = b"GET /execution HTTP/1.1\r\nconnection: close\r\n\r\n"


def post(
    body: bytes = b"1", path: bytes = b"/models/m/invoke", version: bytes = b"1.1", *fields: bytes
) -> bytes:
    head = [b"POST %b HTTP/%b" % (path, version), b"content-length: %d" % len(body), *fields]
    return b"\r\n".join([*head, b"", body])


def inquiry(body: bytes, content_type: str, accept: str) -> ToyInquiry:
    """A body is the number of steps; -4 is refused, and -5 is nobody's idea."""

    def say() -> ToyAnswer:
        if body == b"-4":
            raise RequestError("no", "period")
        return ToyAnswer(b"%d " % (1 // (body != b"-5")) + body, f"{content_type} {accept}")

    return ToyInquiry(say, int(body))


@dataclass
class Front:
    """The application; with its shortcut, or without."""

    application: Application
    with_shortcut: bool
    called: list[str] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.called.append(scope["method"])
        await self.application(scope, receive, send)

    def at_once(self, *request: Any) -> Any:
        return self.application.at_once(*request) if self.with_shortcut else None


@dataclass
class Outcome:
    answers: bytes
    called: list[str]
    counted: tuple[int, ...]


def exchanged(packets: Sequence[bytes], *, with_shortcut: bool = True, idle: float = PATIENCE) -> Outcome:
    """Send packets, each when the container has seen the one before, and return what came until the end."""
    measures = Measures()
    application = MultiModel(ToyModels(), inquiry, measures).application(max_in_flight=10)
    front = Front(application, with_shortcut)

    async def exchange() -> bytes:
        ours, _ = await connected(front, idle)
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        for packet in packets:
            writer.write(packet)
            await asyncio.sleep(0.01)
        answers = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answers

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answers = runner.run(asyncio.wait_for(exchange(), PATIENCE))
    counted = (measures.hits, measures.misses, measures.client_errors, measures.server_errors)
    # The log's number of an unexpected error is another one each time.
    return Outcome(re.sub(rb"[0-9a-f]{16}", b"*", answers), front.called, (*counted, sum(measures.latencies)))


@pytest.mark.parametrize(
    ("packets", "called"),
    [
        ([post(), END], ["GET"]),
        ([post(b"3", b"/models/a%2fb/invoke"), END], ["GET"]),
        ([post(b"1", b"/models/m/invoke", b"1.1", b"Accept: a", b"CONTENT-TYPE: b"), END], ["GET"]),
        ([post(b"1", b"/models/m/invoke", b"1.1", b"X-Amzn-SageMaker-Custom-Attributes: c"), END], ["GET"]),
        ([post(b"1", b"/models/m/invoke", b"1.1", b"connection: keep-alive"), END], ["GET"]),
        ([post(b"-4"), post(b"2"), END], ["GET"]),
        ([post(b"-5"), post(b"2"), END], ["GET"]),
        ([post(b"x"), END], ["GET"]),
        ([post(b"1", b"/models/%ff/invoke"), END], ["GET"]),
        ([b"\r\n" + post(), END], ["GET"]),
        (
            [b"POST /models/m/invoke HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\n7\r\n0\r\n\r\n", END],
            ["GET"],
        ),
        ([post(b"1000"), END], ["POST", "GET"]),
        ([post()[:-1], b"5", END], ["POST", "GET"]),
        ([post()[:20], post()[20:], END], ["GET"]),
        ([post() + post(b"2") + post(b"1000") + post(b"-4") + post(b"5") + END], ["POST"] * 4 + ["GET"]),
        ([post(b"1000") + post(b"2"), post(b"3"), END], ["POST", "POST", "GET"]),
        ([post(b"1", b"/models/m/invoke?a=/invoke"), END], ["POST", "GET"]),
        ([post(b"1", b"/models/m?/invoke"), END], ["POST", "GET"]),
        ([post(b"1", b"/models/m#/invoke"), END], ["POST", "GET"]),
        ([post(b"1", b"http://h/models/m/invoke"), END], ["POST", "GET"]),
        ([post(b"1", b"/models//invoke"), END], ["POST", "GET"]),
        ([post(b"1", b"/models/invoke"), END], ["POST", "GET"]),
        ([post(b"1", b"/models/m/n/invoke"), END], ["POST", "GET"]),
        ([post().replace(b"POST", b"PUT"), END], ["PUT", "GET"]),
        ([post(b"1", b"/models/m/invoke", b"1.1", b"expect: 100-continue"), END], ["POST", "GET"]),
        ([post(b"1", b"/models/m/invoke", b"1.1", b"connection: close")], ["POST"]),
        ([post(b"1", b"/models/m/invoke", b"1.0")], ["POST"]),
        ([post(b"1", b"/models/m/invoke", b"1.0", b"connection: keep-alive")], ["POST"]),
        ([post(b"1", b"/models/m/invoke", b"1.1", b"connection: upgrade", b"upgrade: h2c"), END], ["GET"]),
        ([post(b"1", b"/models/m/invoke", b"1.1", b"connection: upgrade", b"upgrade: h2c")[:-1], b"5", END],
         ["POST", "GET"]),
        ([post(b"1000", b"/models/m/invoke", b"1.1", b"connection: upgrade, close", b"upgrade: h2c") + post()],
         ["POST"]),
        ([post(b"1", b"/models/m/invoke", b"1.1", b"connection: upgrade", b"upgrade: h2c") * 100, END],
         ["POST"] * 99 + ["GET"]),
        ([b"GET /models/m HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", END],
         ["GET", "GET"]),
        ([b"POST /models/m/invoke HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\n7\r\nz\r\n"], []),
        ([post(), b"\x00"], []),
    ],
)  # fmt: skip
def test_with_the_shortcut_the_answer_is_the_same(packets: list[bytes], called: list[str]) -> None:
    shorter, longer = exchanged(packets), exchanged(packets, with_shortcut=False)

    assert shorter.called == called
    assert shorter.answers == longer.answers
    assert shorter.counted == longer.counted


def test_a_connection_ends_when_nothing_has_come_on_it_for_long_after_its_last_answer() -> None:
    """Thirty requests, 10 ms apart, on a connection that may rest for a fifth of a second."""
    assert exchanged([post()] * 30, idle=0.2).answers.count(b"HTTP/1.1 200") == 30
