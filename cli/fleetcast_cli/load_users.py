"""The users of a load test: each has a connection, and asks again as soon as it has its answer."""

import asyncio
import json
import ssl
import time
from collections.abc import Callable

import httptools

from fleetcast_cli.load_figures import Figures
from fleetcast_cli.load_targets import Question, Target

# Reading every answer as JSON would cost as much as all the rest; a status is looked at always.
_READ_EVERY = 100
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


class User:
    """Asks one question after the other, until it is told to stop."""

    def __init__(self, target: Target, figures: Figures) -> None:
        self._target, self._figures = target, figures
        self._tls = ssl.create_default_context() if target.address.tls else None
        self._connection: _Connection | None = None
        self._stopped = False
        self._pause = _FIRST_PAUSE

    async def live(self) -> None:
        """Ask on one connection after the other; most servers keep the first."""
        self._figures.users += 1
        try:
            while not self._stopped:
                await self._connect_and_ask()
        finally:
            self._figures.users -= 1

    def stop(self) -> None:
        """Let the answer that is on its way be the last one."""
        self._stopped = True
        if self._connection is not None:
            self._connection.stop()

    def give_up_after(self, seconds: float) -> None:
        """Count a question that waits for longer as an error, and leave its connection."""
        if self._connection is not None and self._connection.waits_for_longer_than(seconds):
            self._connection.leave("timed out", f"no answer within {seconds:g} s")

    def abandon(self) -> None:
        """Leave at once; a question that waits is neither an answer nor an error."""
        self._stopped = True
        if self._connection is not None:
            self._connection.abandon()

    async def _connect_and_ask(self) -> None:
        address, loop = self._target.address, asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: _Connection(self._target.draw, self._figures),
                address.host,
                address.port,
                ssl=self._tls,
            )
        except OSError as error:
            self._figures.failed("no connection", str(error) or type(error).__name__)
            await self._rest()
            return
        self._connection = connection
        if self._stopped:
            connection.stop()
        if await connection.closed:
            self._pause = _FIRST_PAUSE
        else:
            await self._rest()
        self._connection = None

    async def _rest(self) -> None:
        # Whoever is not let in does not knock as fast as it can.
        await asyncio.sleep(0 if self._stopped else self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)


class _Connection(asyncio.Protocol):
    """One connection; `closed` says at its end whether any answer came through it."""

    def __init__(self, draw: Callable[[], Question], figures: Figures) -> None:
        self._draw, self._figures = draw, figures
        self.closed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._question: Question | None = None
        self._asked_at = 0.0
        self._answers = 0
        self._stopped = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._ask()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.leave("not HTTP", f"{error}: {data[:100]!r}")

    def connection_lost(self, error: Exception | None) -> None:
        self._fail("connection lost", str(error) if error else "the server closed it before its answer")
        if not self.closed.done():
            self.closed.set_result(self._answers > 0)

    def stop(self) -> None:
        self._stopped = True
        if self._question is None:
            self._transport.close()

    def waits_for_longer_than(self, seconds: float) -> bool:
        return self._question is not None and time.perf_counter() - self._asked_at > seconds

    def leave(self, kind: str, example: str) -> None:
        self._fail(kind, example)
        self._transport.abort()

    def abandon(self) -> None:
        self._question = None
        self._transport.abort()

    def _ask(self) -> None:
        self._question = question = self._draw()
        self._asked_at = time.perf_counter()
        self._transport.write(question.message)

    # What httptools calls while it reads.

    def on_message_begin(self) -> None:
        self._body.clear()

    def on_body(self, part: bytes) -> None:
        self._body.append(part)

    def on_message_complete(self) -> None:
        took = time.perf_counter() - self._asked_at
        question, self._question = self._question, None
        if question is None:  # nobody asked; what it says counts for nothing
            self._transport.abort()
            return
        self._judge(question, took)
        if self._stopped or not self._parser.should_keep_alive():
            self._transport.close()
        else:
            self._ask()

    def _judge(self, question: Question, took: float) -> None:
        status = self._parser.get_status_code()
        if status != 200:
            self._count_refusal(status, question)
            return
        self._answers += 1
        read = self._answers % _READ_EVERY == 1
        fault = question.find_fault(b"".join(self._body)) if read else None
        if fault:
            self._figures.failed("wrong answer", f"customer {question.customer}: {fault}")
        else:
            self._figures.answered(round(took * 1e6))

    def _count_refusal(self, status: int, question: Question) -> None:
        body = b"".join(self._body)
        self._figures.failed(
            f"HTTP {status}{_code(body)}",
            f"customer {question.customer}: {body.decode(errors='replace') or 'without a word'}",
        )

    def _fail(self, kind: str, example: str) -> None:
        question, self._question = self._question, None
        if question is not None:
            self._figures.failed(kind, f"customer {question.customer}: {example}")


def _code(body: bytes) -> str:
    """Return what the API, or the container, calls its refusal, with a space before it."""
    try:
        document = json.loads(body)
        code = document["error"]["code"] if "error" in document else document["code"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f" {code}" if isinstance(code, str) else ""
