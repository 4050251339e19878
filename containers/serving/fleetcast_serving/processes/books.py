"""The keeper's process: serves the workers that the supervisor announces, and writes the metrics."""

import asyncio
import signal
import socket
from collections.abc import Callable

import uvloop

from fleetcast_serving.metrics.emf import Totals
from fleetcast_serving.processes.collector import Settler
from fleetcast_serving.processes.output import write
from fleetcast_serving.registry.catalog import Catalog
from fleetcast_serving.registry.keeper import Keeper
from fleetcast_serving.settings import ServingSettings

# What the supervisor says with each worker's socket.
FIRST, AGAIN = b"f", b"a"


def keep_books(settings: ServingSettings, read: Callable[[str], bytes], control: socket.socket) -> int:
    """Run until the supervisor closes its end of the control socket, and return the exit code."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # Workers need it until they have drained, so only the supervisor ends it.
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Books(settings, read, control).run())
    return 0


class _Books:
    def __init__(
        self, settings: ServingSettings, read: Callable[[str], bytes], control: socket.socket
    ) -> None:
        self._settings = settings
        self._control = control
        self._totals = Totals(settings.stack)
        self._catalog = Catalog(settings.model_budget_bytes)
        self._keeper = Keeper(self._catalog, read, self._totals.add, self._count)
        self._settler = Settler()
        self._attaching: set[asyncio.Task[None]] = set()
        self._done: asyncio.Event

    async def run(self) -> None:
        self._done = asyncio.Event()
        self._control.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        asyncio.get_running_loop().add_reader(self._control, self._on_control)
        while not self._done.is_set():
            try:
                await asyncio.wait_for(self._done.wait(), self._settings.metrics_seconds)
            except TimeoutError:
                await self._write_metrics()
        await self._write_metrics()

    def _on_control(self) -> None:
        message, descriptors, *_ = socket.recv_fds(self._control, 1, 1)
        if not message:
            asyncio.get_running_loop().remove_reader(self._control)
            self._done.set()
            return
        if message == AGAIN:
            self._totals.count("workers_restarted")
        task = asyncio.create_task(self._keeper.attach(socket.socket(fileno=descriptors[0])))
        self._attaching.add(task)
        task.add_done_callback(self._attaching.discard)

    def _count(self, event: str) -> None:
        self._totals.count(event)
        self._settler.look(len(self._catalog))

    async def _write_metrics(self) -> None:
        line = self._totals.line(models=len(self._catalog), bytes=self._catalog.used)
        # In a thread: whoever reads the other end of a pipe may take his time.
        await asyncio.to_thread(write, line)
