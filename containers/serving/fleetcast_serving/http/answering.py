"""How a body becomes an inquiry, and its answer a response, without keeping other requests waiting."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from fleetcast_serving.http.messages import Request, Response

# Longer forecasts and larger bodies take milliseconds, in which the event loop could not answer anybody else.
INLINE_STEPS = 200
_INLINE_BYTES = 16 * 1024

T = TypeVar("T")
# Reads a body of a content type, for an answer that the caller accepts.
Reader = Callable[[bytes, str, str], T]


class Answer(Protocol):
    """What a model says to an inquiry."""

    @property
    def body(self) -> bytes: ...

    @property
    def content_type(self) -> str: ...


class Background:
    """Does long work in one thread, so that the event loop has to share its core with one thing only."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "answer")

    async def run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


async def read(request: Request, inquiry: Reader[T], background: Background) -> T:
    """Return what a request's body asks for."""
    body = await request.body()
    if is_short(body):
        return read_now(body, request.headers, inquiry)
    return await background.run(lambda: read_now(body, request.headers, inquiry))


def is_short(body: bytes) -> bool:
    """Whether a body is read so fast that it keeps nobody waiting."""
    return len(body) <= _INLINE_BYTES


def read_now(body: bytes, headers: Mapping[bytes, bytes], inquiry: Reader[T]) -> T:
    content_type = headers.get(b"content-type", b"").decode("latin-1")
    return inquiry(body, content_type, headers.get(b"accept", b"").decode("latin-1"))


def to_response(answer: Answer) -> Response:
    return Response(200, answer.body, answer.content_type.encode("latin-1"))
