"""Persistent HTTP connections to one container."""

import contextlib
import http.client
import select
import time
from collections import deque
from collections.abc import Mapping
from email.message import Message
from typing import NamedTuple

_HOST = "127.0.0.1"
# Servers close idle connections, uvicorn after 5 s; ours must not meet that moment.
_IDLE_LIMIT = 2.0


class Answer(NamedTuple):
    """What a container answered."""

    status: int
    headers: Message
    body: bytes


class NoAnswer(Exception):
    """The container closed the connection, refused it, or did not answer in time."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class Connections:
    """A pool that grows with the number of concurrent requests; safe to use from any thread."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._idle: deque[tuple[http.client.HTTPConnection, float]] = deque()

    def request(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str], timeout: float
    ) -> Answer:
        """Send one request and return the whole answer, or raise NoAnswer."""
        connection = self._take(timeout)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        except TimeoutError as error:
            connection.close()
            raise NoAnswer(f"no answer within {timeout:g} s", timed_out=True) from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise NoAnswer(str(error) or type(error).__name__) from error
        if response.will_close:
            connection.close()
        else:
            self._idle.append((connection, time.monotonic()))
        return answer

    def close(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop()[0].close()

    def _take(self, timeout: float) -> http.client.HTTPConnection:
        with contextlib.suppress(IndexError):
            while True:
                connection, since = self._idle.pop()
                if time.monotonic() - since < _IDLE_LIMIT and not _is_closed(connection):
                    connection.sock.settimeout(timeout)
                    return connection
                connection.close()
        return http.client.HTTPConnection(_HOST, self.port, timeout=timeout)


def _is_closed(connection: http.client.HTTPConnection) -> bool:
    # An idle connection has nothing to say: if it can be read, the server has closed it.
    if connection.sock is None:
        return True
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(0))
