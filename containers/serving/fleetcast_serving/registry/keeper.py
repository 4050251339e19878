"""The keeper: the one place that knows which models are loaded, and who holds a lease on them."""

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fleetcast.errors import FleetcastError
from fleetcast_serving.errors import OutOfMemory
from fleetcast_serving.registry.catalog import Catalog, Entry
from fleetcast_serving.registry.wire import NUMBER, Kind, Link

logger = logging.getLogger("fleetcast_serving")

# Threads that read models: a slow disk must not keep the others waiting.
_READERS = 4


class _Recall:
    """A model that was unloaded, and the workers that have not given it back yet."""

    def __init__(self, holders: set[Link]) -> None:
        self.holders = holders
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def returned(self, holder: Link) -> None:
        self.holders.discard(holder)
        if not self.holders and not self.done.done():
            self.done.set_result(None)


class Keeper:
    """Answers the workers.

    Args:
        catalog: what is loaded.
        read: returns a model's checked document from a url, or raises LoadFailed.
        report: gets what the workers count.
        count: counts an event of that name.
    """

    def __init__(
        self,
        catalog: Catalog,
        read: Callable[[str], bytes],
        report: Callable[[bytes], None],
        count: Callable[[str], None],
    ) -> None:
        self._catalog = catalog
        self._read = read
        self._report = report
        self._count = count
        self._threads = ThreadPoolExecutor(_READERS, "read")
        self._loading: dict[str, tuple[str, asyncio.Task[None]]] = {}
        self._held: dict[Link, dict[int, Entry]] = {}
        self._recalls: dict[int, _Recall] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def attach(self, connection: socket.socket) -> None:
        """Serve a worker at the other end of a Unix socket."""
        loop = asyncio.get_running_loop()
        link = Link(self._received, self._lost)
        self._held[link] = {}
        await loop.create_unix_connection(lambda: link, sock=connection)

    @property
    def workers(self) -> int:
        return len(self._held)

    def _received(self, link: Link, number: int, kind: int, body: bytes) -> None:
        match kind:
            case Kind.LEASE:
                self._answer(link, number, self._lease, body)
            case Kind.RETURNED:
                self._returned(link, *NUMBER.unpack(body))
            case Kind.LOAD:
                self._begin(link, number, self._load(*json.loads(body)))
            case Kind.UNLOAD:
                self._begin(link, number, self._unload(body.decode()))
            case Kind.DESCRIBE:
                self._answer(link, number, self._describe, body)
            case Kind.LIST:
                self._answer(link, number, self._list, body)
            case Kind.PING:
                link.send(number, Kind.DONE)
            case Kind.REPORT:
                self._report(body)

    def _begin(self, link: Link, number: int, work: Coroutine[Any, Any, None]) -> None:
        async def run() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001 - whatever it is, the worker must hear of it
                _refuse(link, number, error)
            else:
                link.send(number, Kind.DONE)

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _answer(self, link: Link, number: int, ask: Callable[[Link, bytes], bytes], body: bytes) -> None:
        try:
            answer = ask(link, body)
        except Exception as error:  # noqa: BLE001 - as above
            _refuse(link, number, error)
        else:
            link.send(number, Kind.DONE, answer)

    def _describe(self, _link: Link, name: bytes) -> bytes:
        return self._catalog[name.decode()].url.encode()

    def _list(self, _link: Link, page: bytes) -> bytes:
        return json.dumps(self._catalog.page(*json.loads(page))).encode()

    def _lease(self, link: Link, name: bytes) -> bytes:
        entry = self._catalog[name.decode()]
        self._held[link][entry.number] = entry
        return NUMBER.pack(entry.number) + entry.document

    async def _load(self, name: str, url: str) -> None:
        self._catalog.check_absent(name)
        while name in self._loading:
            await self._watch(*self._loading[name], url)
            self._catalog.check_absent(name)
        task = asyncio.create_task(self._take_in(name, url))
        self._loading[name] = url, task
        await task

    @staticmethod
    async def _watch(other: str, loading: asyncio.Task[None], url: str) -> None:
        """Wait for another load of the same name; whoever wants the same url hears why it fails."""
        try:
            await asyncio.shield(loading)
        except Exception:
            if other == url:
                raise

    async def _take_in(self, name: str, url: str) -> None:
        try:
            document = await asyncio.get_running_loop().run_in_executor(self._threads, self._read, url)
            self._catalog.add(name, url, document)
        except BaseException as error:
            self._count("load_failures")
            if isinstance(error, MemoryError):
                raise OutOfMemory("the machine has no memory left for the model") from error
            raise
        else:
            self._count("loads")
        finally:
            del self._loading[name]

    async def _unload(self, name: str) -> None:
        entry = self._catalog.take_out(name)
        holders = {link for link, held in self._held.items() if entry.number in held}
        if holders:
            recall = self._recalls[entry.number] = _Recall(set(holders))
            for link in holders:
                link.send(0, Kind.RECALL, NUMBER.pack(entry.number) + name.encode())
            await recall.done
            del self._recalls[entry.number]
        self._catalog.free(entry)
        self._count("unloads")

    def _returned(self, link: Link, number: int) -> None:
        self._held[link].pop(number, None)
        if number in self._recalls:
            self._recalls[number].returned(link)

    def _lost(self, link: Link) -> None:
        """A worker is gone, and whatever it held is free."""
        for number in list(self._held[link]):
            self._returned(link, number)
        del self._held[link]


def _refuse(link: Link, number: int, error: Exception) -> None:
    if not isinstance(error, FleetcastError):
        logger.error("unexpected error of the keeper", exc_info=error)
    link.send(number, Kind.REFUSED, json.dumps([type(error).__name__, str(error)]).encode())
