"""How a worker and the keeper talk: frames over a Unix socket, in the order in which they were sent."""

import asyncio
import enum
import struct
from collections.abc import Callable
from typing import cast

Receive = Callable[["Link", int, int, bytes], None]
Lost = Callable[["Link"], None]

# Bytes of the body, the number of the call, the kind.
_HEAD = struct.Struct("<IIB")
# A loaded model's own, which begins the body of a lease, a recall and a return.
NUMBER = struct.Struct("<Q")


class Kind(enum.IntEnum):
    """What a frame is; the names say who sends it."""

    # A worker calls, and is answered under the number of its call.
    LOAD = 1
    UNLOAD = 2
    DESCRIBE = 3
    LIST = 4
    LEASE = 5
    PING = 6
    # The keeper answers.
    DONE = 7
    REFUSED = 8
    # The keeper wants a model back; the worker gives it back, now or when it pleases.
    RECALL = 9
    RETURNED = 10
    # A worker says what it has counted.
    REPORT = 11


class Link(asyncio.Protocol):
    """One end of the connection.

    Args:
        receive: gets every frame: the link, the number of the call, the kind, the body.
        lost: is called when the other end has gone.
    """

    def __init__(self, receive: Receive, lost: Lost) -> None:
        self._receive = receive
        self._lost = lost
        self._rest = b""
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self._lost(self)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        begin, size = 0, len(data)
        while size - begin >= _HEAD.size:
            length, number, kind = _HEAD.unpack_from(data, begin)
            body = begin + _HEAD.size
            if size - body < length:
                break
            begin = body + length
            self._receive(self, number, kind, data[body:begin])
        self._rest = data[begin:]

    def send(self, number: int, kind: Kind, body: bytes = b"") -> None:
        # A call may be answered after its caller has died; whoever lost a link hears of that elsewhere.
        if not self._transport.is_closing():
            self._transport.write(_HEAD.pack(len(body), number, kind) + body)

    def close(self) -> None:
        self._transport.close()
