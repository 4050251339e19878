"""A worker's process: one event loop that answers requests until it is told to stop or the keeper is gone."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import FrameType

import uvicorn
import uvloop

from fleetcast_serving.http.application import Application
from fleetcast_serving.http.connection import Connection
from fleetcast_serving.metrics.measures import Measures
from fleetcast_serving.processes.collector import Settler
from fleetcast_serving.processes.output import say
from fleetcast_serving.processes.reception import Reception
from fleetcast_serving.settings import ServingSettings

# SageMaker kills 30 seconds after SIGTERM, and an answer may take its time until then.
DRAIN_SECONDS = 25
# So long after SIGTERM connections on which nothing comes stay open, each for one more answer: whoever is just about to
# ask gets one.
_FAREWELL_SECONDS = 3.0
_TICKS_PER_REPORT = 10
# The thread that makes long answers hands the processor back soon when a request waits.
_SWITCH_SECONDS = 0.001


@dataclass(frozen=True)
class Desk:
    """What a worker works with.

    Attributes:
        application: answers.
        report: takes what was counted.
        models: says how many are ready.
        close: says goodbye to the keeper.
    """

    application: Application
    report: Callable[[bytes], None]
    models: Callable[[], int]
    close: Callable[[], Awaitable[None]]


Assemble = Callable[[socket.socket, Measures, Callable[[], None]], Awaitable[Desk]]


def work(
    settings: ServingSettings, assemble: Assemble, listener: socket.socket, keeper: socket.socket
) -> int:
    """Answer requests, and return the exit code.

    Args:
        settings: the container's.
        assemble: makes the desk from the socket to the keeper, the measures, and what to call when the keeper is gone.
        listener: takes the connections.
        keeper: leads to the keeper.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_work(settings, assemble, listener, keeper))


async def _work(
    settings: ServingSettings, assemble: Assemble, listener: socket.socket, keeper: socket.socket
) -> int:
    measures = Measures()
    desk = await assemble(keeper, measures, _abandoned)
    Connection.read_seconds = settings.read_seconds
    config = uvicorn.Config(
        desk.application,
        loop="none",
        http=Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.idle_seconds,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    await _Server(config, desk, listener, measures).serve(sockets=[listener])
    await desk.close()
    return 0


def _abandoned() -> None:
    # Without the keeper nothing can be said about any model, so nothing is worth finishing.
    say("the keeper is gone; this worker ends")
    os._exit(1)


class _Server(uvicorn.Server):
    """uvicorn, but for its door, which is slow, and its end: it would close what a request is just arriving on."""

    def __init__(
        self, config: uvicorn.Config, desk: Desk, listener: socket.socket, measures: Measures
    ) -> None:
        super().__init__(config)
        self._desk = desk
        self._listener = listener
        self._measures = measures
        self._settler = Settler()
        self._asked = False
        self._left: float | None = None
        self._reception: Reception

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        del sockets
        await super().startup([])
        self._reception = Reception(self._listener, self._protocol)
        # Held back until now, when somebody listens to them.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self._settler.begin()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to leave; uvicorn keeps the signal to raise it again, but being asked to stop is no failure."""
        del sig, frame
        self._asked = True

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_PER_REPORT == 0:
            self._report()
            self._settler.look(self._desk.models())
        if self._left is not None:
            over = time.monotonic() - self._left > _FAREWELL_SECONDS
            self.should_exit = over or not self.server_state.connections
        elif self._asked:
            self._left = time.monotonic()
            self._desk.application.draining = True
            await self._reception.close()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        self._report()

    def _report(self) -> None:
        counted = self._measures.report()
        if counted is not None:
            self._desk.report(counted)

    def _protocol(self) -> asyncio.Protocol:
        return Connection(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
