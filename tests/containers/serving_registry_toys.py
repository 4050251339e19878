"""A keeper and its workers on toy models, in the event loop of one test."""

import asyncio
import gc
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import uvloop

from fleetcast_serving.registry.catalog import Catalog, Entry
from fleetcast_serving.registry.keeper import Keeper
from fleetcast_serving.registry.leases import Leases

EACH = Entry(1, "a", "u", b"u").size


@dataclass
class ToyModel:
    """A model that only knows which document it was made of."""

    text: str
    size: int = 100


class Toys:
    """A keeper and workers in one event loop, over real sockets."""

    def __init__(
        self, read: Callable[[str], bytes] = str.encode, room: int = 10, cache: int = 10_000
    ) -> None:
        self.counted: Counter[str] = Counter()
        self.reported: list[bytes] = []
        self.catalog = Catalog(room * EACH)
        self.keeper = Keeper(self.catalog, read, self.reported.append, self._count)
        self.orphaned = 0
        self._cache = cache
        self._workers: list[Leases[ToyModel]] = []
        self._ends: list[socket.socket] = []

    def _count(self, event: str) -> None:
        self.counted[event] += 1

    def _lost(self) -> None:
        self.orphaned += 1

    async def worker(self, decode: Callable[[bytes], ToyModel] | None = None) -> Leases[ToyModel]:
        keepers, workers = socket.socketpair()
        self._ends.append(workers)
        await self.keeper.attach(keepers)
        leases = Leases(decode or (lambda document: ToyModel(document.decode())), self._cache, self._lost)
        self._workers.append(leases)
        return await leases.connect(workers)

    def kill(self, worker: int) -> None:
        """Break a worker's connection as its end would."""
        self._ends[worker].shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        for leases in self._workers:
            await leases.close()
        await turns()
        assert self.keeper.workers == 0


def play(scenario: Callable[[Toys], Awaitable[None]], **options: object) -> Toys:
    toys = Toys(**options)  # type: ignore[arg-type]

    unnoticed: list[dict[str, object]] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unnoticed.append(context))
        try:
            await scenario(toys)
        finally:
            await toys.close()
            gc.collect()  # a task that failed says so when nobody can ask it any more
            await turns()

    # The container's own, which differs from the standard library's where a connection is lost.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    assert unnoticed == []
    return toys


async def turns(number: int = 20) -> None:
    """Let everything happen that needs nothing but time in the event loop."""
    for _ in range(number):
        await asyncio.sleep(0)
    await asyncio.sleep(0.02)


async def text_of(worker: Leases[ToyModel], name: str) -> str:
    lease = await worker.lease(name)
    try:
        return lease.model.text
    finally:
        worker.release(lease)
