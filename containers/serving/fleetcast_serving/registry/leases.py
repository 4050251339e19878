"""A worker's view of what is loaded: it asks the keeper, and keeps what it is asked for again ready to answer."""

import asyncio
import json
import socket
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, Protocol, Self, TypeVar

from fleetcast.errors import FleetcastError
from fleetcast_serving.errors import AlreadyLoaded, KeeperGone, LoadFailed, NotLoaded, OutOfMemory
from fleetcast_serving.registry.wire import NUMBER, Kind, Link

_REFUSALS: dict[str, type[FleetcastError]] = {
    kind.__name__: kind for kind in (AlreadyLoaded, LoadFailed, NotLoaded, OutOfMemory)
}
# What a lease takes beside its model; measured, rounded up.
_SLOT_BYTES = 400
# SageMaker gives a ping two seconds.
_PING_SECONDS = 1.0


class Sized(Protocol):
    """Anything that knows how many bytes of memory it takes."""

    @property
    def size(self) -> int: ...


ModelT = TypeVar("ModelT", bound=Sized)


class Lease(Generic[ModelT]):
    """A model that answers, for as long as the keeper does not want it back.

    Attributes:
        running: answers that are being made of it, and take so long that others come in between.
        recalled: nobody new may have it, and the keeper waits for those who do.
    """

    __slots__ = ("model", "number", "recalled", "running")

    def __init__(self, number: int, model: ModelT, running: int) -> None:
        self.number = number
        self.model = model
        self.running = running
        self.recalled = False


class Leases(Generic[ModelT]):
    """The models by name, within a limit of bytes; the least recently used one makes room.

    Args:
        decode: makes a model of a document, or raises LoadFailed.
        limit: bytes.
        lost: is called when the keeper has gone, after which nothing can be answered.
    """

    def __init__(self, decode: Callable[[bytes], ModelT], limit: int, lost: Callable[[], None]) -> None:
        self._decode = decode
        self._limit = limit
        self._lost = lost
        self._bytes = 0
        self._ready: OrderedDict[str, Lease[ModelT]] = OrderedDict()
        self._awaited: dict[str, list[asyncio.Future[Lease[ModelT]]]] = {}
        self._calls: dict[int, Callable[[int, bytes], None]] = {}
        self._number = 0
        self._closing = False
        self._closed: asyncio.Future[None]
        self._link: Link

    async def connect(self, connection: socket.socket) -> Self:
        loop = asyncio.get_running_loop()
        self._closed = loop.create_future()
        _, self._link = await loop.create_unix_connection(
            lambda: Link(self._received, self._on_lost), sock=connection
        )
        return self

    async def close(self) -> None:
        """Send what is on its way, and leave."""
        self._closing = True
        self._link.close()
        await self._closed

    def _on_lost(self, _link: Link) -> None:
        self._closed.set_result(None)
        if not self._closing:
            self._lost()

    def __len__(self) -> int:
        return len(self._ready)

    # The keeper's part.

    async def load(self, name: str, url: str) -> None:
        """Load a model; of several callers at once the first loads it and the others are told so.

        Raises:
            AlreadyLoaded: the model is here, or came while this waited.
            OutOfMemory: it does not fit into what the others leave of the budget.
            LoadFailed: it cannot be read.
        """
        await self._call(Kind.LOAD, json.dumps([name, url]).encode())

    async def unload(self, name: str) -> None:
        """Forget a model at once, and return when nobody uses it any more.

        Raises:
            NotLoaded: it is not here.
        """
        await self._call(Kind.UNLOAD, name.encode())

    async def url(self, name: str) -> str:
        """Return where a model was loaded from.

        Raises:
            NotLoaded: it is not here.
        """
        return (await self._call(Kind.DESCRIBE, name.encode())).decode()

    async def page(self, after: str, limit: int) -> list[tuple[str, str]]:
        """Return up to `limit` names and urls in the order of names, beginning after one of them."""
        return [
            (name, url)
            for name, url in json.loads(await self._call(Kind.LIST, json.dumps([after, limit]).encode()))
        ]

    async def ping(self) -> None:
        """Return if the keeper answers.

        Raises:
            KeeperGone: it does not.
        """
        try:
            await asyncio.wait_for(self._call(Kind.PING, b""), _PING_SECONDS)
        except TimeoutError:
            raise KeeperGone(f"the keeper has not answered for {_PING_SECONDS:g} s") from None

    def report(self, counted: bytes) -> None:
        self._link.send(0, Kind.REPORT, counted)

    # The models.

    def ready(self, name: str) -> Lease[ModelT] | None:
        """Return a model that is here, to be used before anything else happens, or None."""
        lease = self._ready.get(name)
        if lease is not None:
            self._ready.move_to_end(name)
        return lease

    async def lease(self, name: str) -> Lease[ModelT]:
        """Return a model to be used until it is released; to be called when it may not be ready.

        Raises:
            NotLoaded: there is no such model.
        """
        lease = self.ready(name)
        if lease is not None:
            lease.running += 1
            return lease
        answer: asyncio.Future[Lease[ModelT]] = asyncio.get_running_loop().create_future()
        if name in self._awaited:
            self._awaited[name].append(answer)
        else:
            self._awaited[name] = [answer]
            self._send(Kind.LEASE, name.encode(), lambda kind, body: self._leased(name, kind, body))
        try:
            return await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled() and not answer.exception():
                # It came, but nobody is left to give it back.
                self.release(answer.result())
            raise

    def release(self, lease: Lease[ModelT]) -> None:
        lease.running -= 1
        if lease.recalled and lease.running == 0:
            self._give_back(lease)

    def _leased(self, name: str, kind: int, body: bytes) -> None:
        # In the order of the frames: a recall that follows must find the lease, whether or not its users ran before.
        users = [user for user in self._awaited.pop(name) if not user.done()]
        try:
            lease = self._opened(kind, body, len(users))
        except Exception as error:  # noqa: BLE001 - each of the users raises it
            for user in users:
                user.set_exception(error)
            return
        self._keep(name, lease)
        for user in users:
            user.set_result(lease)

    def _opened(self, kind: int, body: bytes, running: int) -> Lease[ModelT]:
        if kind == Kind.REFUSED:
            raise _refusal(body)
        try:
            model = self._decode(body[NUMBER.size :])
        except Exception:
            self._link.send(0, Kind.RETURNED, body[: NUMBER.size])
            raise
        return Lease(NUMBER.unpack_from(body)[0], model, running)

    def _keep(self, name: str, lease: Lease[ModelT]) -> None:
        self._ready[name] = lease
        self._bytes += lease.model.size + _SLOT_BYTES
        while self._bytes > self._limit:
            # None in use: its name could be asked for again while the keeper believes that it was given back.
            oldest = next((other for other, held in self._ready.items() if not held.running), None)
            if oldest is None:
                return
            self._give_back(self._drop(oldest))

    def _drop(self, name: str) -> Lease[ModelT]:
        lease = self._ready.pop(name)
        self._bytes -= lease.model.size + _SLOT_BYTES
        return lease

    def _give_back(self, lease: Lease[ModelT]) -> None:
        self._link.send(0, Kind.RETURNED, NUMBER.pack(lease.number))

    def _recall(self, number: int, name: str) -> None:
        lease = self._ready.get(name)
        if lease is None or lease.number != number:
            return  # it is on its way back already
        self._drop(name)
        lease.recalled = True
        if not lease.running:
            self._give_back(lease)

    # The link.

    def _send(self, kind: Kind, body: bytes, answered: Callable[[int, bytes], None]) -> None:
        self._number = self._number % 0xFFFFFFFF + 1
        self._calls[self._number] = answered
        self._link.send(self._number, kind, body)

    async def _call(self, kind: Kind, body: bytes) -> bytes:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def answered(kind: int, body: bytes) -> None:
            if not answer.done():
                _settle(answer, kind, body)

        self._send(kind, body, answered)
        return await answer

    def _received(self, _link: Link, number: int, kind: int, body: bytes) -> None:
        if kind == Kind.RECALL:
            self._recall(NUMBER.unpack_from(body)[0], body[NUMBER.size :].decode())
        else:
            self._calls.pop(number)(kind, body)


def _settle(answer: asyncio.Future[Any], kind: int, body: bytes) -> None:
    if kind == Kind.REFUSED:
        answer.set_exception(_refusal(body))
    else:
        answer.set_result(body)


def _refusal(body: bytes) -> Exception:
    name, text = json.loads(body)
    kind = _REFUSALS.get(name)
    return kind(text) if kind else RuntimeError(f"the keeper failed: {name}: {text}")
