"""How an inquiry becomes a response without keeping the other requests waiting."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from fleetcast_serving.http.messages import Response

# Longer forecasts take milliseconds, in which the event loop could not answer anybody else.
INLINE_STEPS = 200


class Answer(Protocol):
    """What a model says to an inquiry."""

    @property
    def body(self) -> bytes: ...

    @property
    def content_type(self) -> str: ...


class LongAnswers:
    """Makes answers in one thread, so that the event loop has to share its core with one thing only."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "answer")

    async def make(self, answer: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, answer)


def to_response(answer: Answer) -> Response:
    return Response(200, answer.body, answer.content_type.encode("latin-1"))
