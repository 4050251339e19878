"""Models that say what a test wants them to, behind the real HTTP part."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from fleetcast_serving.errors import KeeperGone
from fleetcast_serving.http.application import Application
from fleetcast_serving.http.connection import Connection
from fleetcast_serving.http.multi_model import MultiModel
from fleetcast_serving.http.single_model import SingleModel
from fleetcast_serving.metrics.measures import Measures


@dataclass
class ToyAnswer:
    body: bytes = b"1\n"
    content_type: str = "text/csv; charset=utf-8"


@dataclass
class ToyInquiry:
    """Answers whatever it is asked with what a function says."""

    say: Callable[[], ToyAnswer]
    steps: int = 1
    cold: bool = False

    def is_cold(self, _bundle: object) -> bool:
        return self.cold

    def answer(self, _model: object) -> ToyAnswer:
        return self.say()

    def answer_from(self, _bundle: object) -> ToyAnswer:
        return self.say()


@dataclass
class Held:
    model: str = "model"


class ToyModels:
    """One model, ready."""

    def ready(self, _name: str) -> Held:
        return Held()

    async def lease(self, _name: str) -> Held:
        return Held()

    def release(self, _lease: Held) -> None: ...

    async def load(self, _name: str, _url: str) -> None: ...

    async def unload(self, _name: str) -> None: ...

    async def url(self, _name: str) -> str:
        return "u"

    async def page(self, _after: str, _limit: int) -> list[tuple[str, str]]:
        return []

    async def ping(self) -> None:
        raise KeeperGone("the keeper has not answered")


def multi(
    say: Callable[[], ToyAnswer] = ToyAnswer, steps: int = 1, measures: Measures | None = None
) -> Application:
    contract = MultiModel(ToyModels(), lambda *_: ToyInquiry(say, steps), measures or Measures())
    return contract.application(max_in_flight=10)


def single(say: Callable[[], ToyAnswer], steps: int) -> Application:
    async def ping() -> None: ...

    contract = SingleModel("bundle", lambda *_: ToyInquiry(say, steps), ping, Measures(), workers=2)
    return contract.application(max_in_flight=10)


async def connected(application: Any, idle: float) -> tuple[socket.socket, asyncio.BaseTransport]:
    """Return the client's end of a connection to an application, and what the container holds of its own end."""
    config = uvicorn.Config(
        application,
        http=Connection,
        ws="none",
        interface="asgi3",
        log_config=None,
        proxy_headers=False,
        timeout_keep_alive=idle,  # type: ignore[arg-type]
    )
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    _, host = await loop.connect_accepted_socket(lambda: Connection(config, ServerState(), {}), theirs)
    return ours, host
