"""A server for tests of the load test: it answers as it is told to, and remembers what it was asked, and when."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PAGE = 3


@dataclass(frozen=True)
class Asked:
    """One request, and the how manieth of its kind it was."""

    path: str
    headers: dict[str, str]
    body: Any
    number: int


@dataclass(frozen=True)
class Answer:
    """What to send back; no status means hanging up instead."""

    status: int | None = 200
    document: Any = None
    raw: bytes | None = None
    after: float = 0.0
    closes: bool = False


def forecast(customer: str, steps: int = 7) -> Answer:
    return Answer(document={"customer_id": customer, "forecast": [{"yhat": 1.0}] * steps})


def of_path(asked: Asked) -> Answer:
    """Answer for the customer whose name is in the path."""
    return forecast(unquote(asked.path.split("/")[2]), asked.body["period"])


@dataclass
class LoadServer:
    """What a container, or the API, looks like from outside."""

    models: list[str] | None = field(default_factory=lambda: ["a", "b", "c", "d/é", "e"])
    answer: Callable[[Asked], Answer] = of_path
    asked: list[Asked] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers.get("Content-Length", 0)))
        answer = self._listed(path) if method == "GET" else await self._answer(path, headers, body)
        if answer.status is None:
            return False
        content = answer.raw if answer.raw is not None else json.dumps(answer.document).encode()
        connection = "close" if answer.closes else "keep-alive"
        writer.write(
            f"HTTP/1.1 {answer.status} Whatever\r\nContent-Length: {len(content)}\r\n"
            f"Connection: {connection}\r\n\r\n".encode()
        )
        writer.write(content)
        await writer.drain()
        return not answer.closes

    async def _answer(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        async with self._counted():
            asked = Asked(path, headers, json.loads(body), len(self.asked))
            self.asked.append(asked)
            answer = self.answer(asked)
            await asyncio.sleep(answer.after)
            return answer

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield
        finally:
            self.at_once -= 1

    def _listed(self, path: str) -> Answer:
        if self.models is None:
            return Answer(404, {"code": "NotFound"})
        after = parse_qs(urlsplit(path).query).get("next_page_token", ["0"])[0]
        rest = self.models[int(after) :]
        page: dict[str, Any] = {"models": [{"modelName": name, "modelUrl": "x"} for name in rest[:PAGE]]}
        if len(rest) > PAGE:
            page["nextPageToken"] = str(int(after) + PAGE)
        return Answer(document=page)


@contextmanager
def running(server: LoadServer) -> Iterator[LoadServer]:
    """Serve on loopback, in a thread with a loop of its own."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    stopped = asyncio.Event()

    async def serve() -> None:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=1024)
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        ready.set()
        await stopped.wait()
        listening.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    thread = threading.Thread(target=lambda: (loop.run_until_complete(serve()), loop.close()))
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(10)
        assert not thread.is_alive()
