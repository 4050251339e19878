"""Takes the connections that wait at a listening socket, many in one turn of the event loop."""

import asyncio
import socket
from collections.abc import Callable

# uvloop's own takes one per turn (libuv's pull request 3696), and where hundreds of requests make a turn, the last of a
# thousand connections waits for seconds. So many take as long as a hundred requests, which the others can wait.
_PER_TURN = 32
# Out of files or of memory for sockets, of which a connection that ends gives some back.
_PAUSE_SECONDS = 0.1


class Reception:
    """Accepts from now until it is closed.

    Args:
        listener: what clients connect to.
        protocol: makes what answers one client.
    """

    def __init__(self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._listener = listener
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._welcomes: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        listener.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._open()

    async def close(self) -> None:
        """Take those who are waiting and nobody after them, and return when each has its protocol."""
        if self._pause:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)
        while self._accept():
            pass
        # At once, for every copy of the socket: what the kernel took after this it would have to reset.
        self._listener.shutdown(socket.SHUT_RDWR)
        if self._welcomes:
            await asyncio.wait(self._welcomes)

    def _open(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._on_waiting)

    def _on_waiting(self) -> None:
        for _ in range(_PER_TURN):
            if not self._accept():
                return

    def _accept(self) -> bool:
        """Take one connection; return whether there may be more."""
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        except OSError:
            # It would be told so again in every turn.
            self._loop.remove_reader(self._listener)
            self._pause = self._loop.call_later(_PAUSE_SECONDS, self._open)
            return False
        task = self._loop.create_task(self._welcome(connection))
        self._welcomes.add(task)
        task.add_done_callback(self._welcomes.discard)
        return True

    async def _welcome(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:
            connection.close()  # it has gone again
