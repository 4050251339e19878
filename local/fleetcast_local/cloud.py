"""Puts the local cloud together in one process: MiniStack, the executions' engine and our own services."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn
import uvloop
from ministack import app as ministack
from ministack.core import lambda_runtime

from fleetcast_local import events, eviction, functions, mail, registry, scaling_alarms, schedules
from fleetcast_local.asl import executions
from fleetcast_local.layout import HOST, Layout
from fleetcast_local.lifecycle import HEALTH_PATH
from fleetcast_local.mounts import Services
from fleetcast_local.persistence import StateKeeper

logger = logging.getLogger("fleetcast.cloud")

_LISTEN_TRIES = 500
_LISTEN_PAUSE = 0.02
_API_PREFIX = "/_aws/execute-api/"


def run(layout: Layout, port: int) -> None:
    """Serve until SIGTERM or SIGINT, then end every child."""
    _quiet_libraries()
    uvloop.run(Cloud(layout, port).serve())


def _quiet_libraries() -> None:
    logging.getLogger().setLevel(logging.WARNING)
    # A task that fails as its workflow expects is an error to moto, and its log line is a page long.
    logging.getLogger("moto").setLevel(logging.CRITICAL)
    logging.getLogger("fleetcast").setLevel(logging.INFO)
    logging.getLogger("fleetcast_local").setLevel(logging.INFO)


def _wait_until_listening(port: int) -> None:
    # Our services read buckets while they start, through the same port as everybody.
    for _ in range(_LISTEN_TRIES):
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(_LISTEN_PAUSE)


class _Server(uvicorn.Server):
    """Leaves the signals to the cloud, which has more to end than a server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Cloud:
    """One project's local cloud, for as long as its process lives."""

    def __init__(self, layout: Layout, port: int) -> None:
        self._layout = layout
        self._port = port
        self._keeper = StateKeeper()
        self._services = Services(layout)
        self._ready = False
        # MiniStack would otherwise sweep up the containers of any other MiniStack on the user's Docker.
        ministack._docker_socket_present = lambda: False
        functions.install(layout.functions)
        mail.install(layout.inbox)
        events.install()
        registry.install()
        schedules.install()
        scaling_alarms.install()
        executions.install(self._keeper)
        self._services.mount()
        eviction.watch(layout, self._abandon)

    def _abandon(self) -> None:
        executions.freeze()
        self._keeper.stop()
        self._end_children()

    async def serve(self) -> None:
        server = _Server(self._server_settings())
        for kind in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(kind, self._begin_to_stop, server)
        threading.Thread(target=self._finish_start, name="finish-start", daemon=True).start()
        try:
            await server.serve()
        finally:
            await asyncio.to_thread(self._end_children)

    def _server_settings(self) -> uvicorn.Config:
        # Every forecast passes here twice, as a request to the API and as one to the endpoint: a fast parser counts.
        return uvicorn.Config(
            self._application,
            host=HOST,
            port=self._port,
            interface="asgi3",
            http="httptools",
            ws="none",
            lifespan="on",
            loop="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )

    def _begin_to_stop(self, server: uvicorn.Server) -> None:
        # From here on an execution that fails because its jobs are taken away is not recorded as failed.
        executions.freeze()
        self._keeper.stop()
        server.should_exit = True

    def _finish_start(self) -> None:
        # Listening means restored: MiniStack reads its state before the server opens the port.
        _wait_until_listening(self._port)
        self._keeper.start()
        self._services.start()
        executions.announce_aborted()
        self._ready = True
        logger.info("ready on port %d", self._port)

    def _end_children(self) -> None:
        self._services.stop()
        lambda_runtime.reset()

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == HEALTH_PATH:
            await self._answer_health(send)
            return
        if scope["type"] == "http" and await self._services.answered_invocation(scope, receive, send):
            return
        if scope["type"] == "http" and scope["path"].startswith(_API_PREFIX):
            # REST APIs route by, and pass on, the path as it was sent: %2F does not end a segment.
            scope["path"] = scope["raw_path"].decode("ascii")
        await ministack.app(scope, receive, send)

    async def _answer_health(self, send: Any) -> None:
        body = json.dumps(
            {"cloud": self._layout.identity if self._ready else None, "pid": os.getpid()}
        ).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
