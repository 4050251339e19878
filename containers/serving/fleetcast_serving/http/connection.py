"""One client's connection: uvicorn's own, with limits that it does not have, and refusals in JSON."""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any

from httptools import parse_url
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from fleetcast_serving.http.messages import WHOLE_ANSWER
from fleetcast_serving.http.problems import problem
from fleetcast_serving.http.shortcut import Shortcut, written

# A request's line and headers, of which SageMaker's own take one or two kilobytes. So much is always read, and never
# twice as much.
MAX_HEAD = 16 * 1024
_CLOSE = (b"connection", b"close")


class Connection(Shortcut):
    """A connection whose requests must arrive in time and whose answers must be read in time.

    A client that is slow, silent or gone costs its connection, and that only for a while.
    """

    read_seconds = 30.0
    """Within this time from its first byte a request must have arrived; set once, before anybody connects."""

    write_seconds = 60.0
    """Whoever has read nothing of its answer for so long does not want it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._head = 0
        self._arriving: object = None
        # What is still to be said once earlier requests have their answers; nothing is read any more.
        self._last_word: bytes | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # uvicorn does so after a request, but would wait for the first one for ever.
        self.rest()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_keepalive_if_required()
        self._stop_waiting()
        self._stop_watching()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._last_word is not None:
            return
        if len(data) > MAX_HEAD:
            self._receive_in_pieces(data)
            return
        super().data_received(data)
        if not self.arrived:
            self._on_partial(len(data))
        elif self._reading is not None:
            self._stop_waiting()

    def _receive_in_pieces(self, data: bytes) -> None:
        # So that it is noticed how long a request's head becomes.
        for begin in range(0, len(data), MAX_HEAD):
            if self.transport.is_closing():
                return
            self.data_received(data[begin : begin + MAX_HEAD])

    def _on_partial(self, received: int) -> None:
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        if self._reading is None or self._arriving is not self.scope:
            self._stop_waiting()
            self._arriving = self.scope
            self._reading = self.loop.call_later(self.read_seconds, self._on_slow)
            self._head = 0  # a piece that ends within a head may have begun with other requests
        elif self._is_within_head():
            self._head += received
            if self._head > MAX_HEAD:
                self._refuse(431, "HeadersTooLarge", f"line and headers must not exceed {MAX_HEAD} bytes")

    def _on_slow(self) -> None:
        self._reading = None
        if self.flow.read_paused:
            # It is us who do not read: an earlier request of this connection is still being answered.
            self._reading = self.loop.call_later(self.read_seconds, self._on_slow)
        else:
            text = f"the request did not arrive within {self.read_seconds:g} s"
            self._refuse(408, "RequestTimeout", text)

    def _stop_waiting(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        self._arriving = None

    def _is_within_head(self) -> bool:
        return self.scope is None or "method" not in self.scope

    def hand_over(self) -> None:
        if not self.url.startswith(b"/"):
            self.url = _with_path(self.url)
        super().hand_over()
        # Of this request: a pipelined one may follow before it is answered.
        self.scope["extensions"] = {WHOLE_ANSWER: partial(_answer, self.cycle)}  # type: ignore[dict-item]

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer what has arrived; a client that has said everything may still listen."""
        if self._last_word is None:
            self._conclude(b"", is_refused=not self.arrived)
        return not self.transport.is_closing()

    def shutdown(self) -> None:
        """Close, unless a request is arriving or being answered: while the container drains, its answer closes."""
        if self._reading is None or not self._is_within_head():
            super().shutdown()
            self._watch_rest()

    def on_response_complete(self) -> None:
        was_last = not self.pipeline
        super().on_response_complete()
        if was_last and self._last_word is not None and not self.transport.is_closing():
            self._say_last(self._last_word)
        self._watch_rest()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch_rest()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        if not self.transport.is_closing():
            self._stop_watching()
        super().resume_writing()

    def _watch_rest(self) -> None:
        # A transport that is closing first sends what it has, and waits for that for ever.
        if self._writing is None and self.transport.is_closing():
            unread = self.transport.get_write_buffer_size()
            if unread:
                self._watch(unread)

    def _watch(self, unread: int) -> None:
        self._stop_watching()
        self._writing = self.loop.call_later(self.write_seconds, self._on_unread, unread)

    def _on_unread(self, before: int) -> None:
        unread = self.transport.get_write_buffer_size()
        if unread < before:
            self._watch(unread)
        else:
            self.transport.abort()

    def _stop_watching(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def send_400_response(self, msg: str) -> None:
        # The parser has given up: what follows on this connection cannot be told apart any more.
        self._refuse(400, "InvalidRequest", f"this is not HTTP: {msg}")

    def _unsupported_upgrade_warning(self) -> None:
        # Of CONNECT: what follows is not HTTP.
        self._conclude(b"", is_refused=False)

    def _refuse(self, status: int, code: str, message: str) -> None:
        body = problem(code, message)
        fields = (
            (b"content-type", b"application/json"),
            _CLOSE,
            (b"content-length", b"%d" % len(body)),
        )
        self._conclude(written(status, fields, body), is_refused=True)

    def _conclude(self, last_word: bytes, *, is_refused: bool) -> None:
        """Read nothing more, and close after the answers to earlier requests, which would take this for theirs.

        Args:
            last_word: what is said after them.
            is_refused: the request that came last gets nothing else.
        """
        self._stop_waiting()
        self._unset_keepalive_if_required()
        owes = self.cycle is not None and not self.cycle.response_complete
        if is_refused and self.cycle is not None and self.cycle.scope is self.scope:
            # Whatever is queued waits for one that is being answered.
            owes = bool(self.pipeline)
            if owes:
                self.pipeline.popleft()
            elif self.cycle.response_complete:
                last_word = b""  # it was answered before it had arrived
        self._last_word = last_word
        if not owes:
            self._say_last(last_word)

    def _say_last(self, last_word: bytes) -> None:
        if last_word:
            self.transport.write(last_word)
        self.transport.close()
        self._watch_rest()


def _with_path(url: bytes) -> bytes:
    """Return a URL that names a host, and may lack a path, as one that has a path."""
    parsed = parse_url(url)
    if parsed.path is not None:
        return url
    return b"/" if parsed.query is None else b"/?" + parsed.query


async def _answer(
    cycle: RequestResponseCycle, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes
) -> None:
    """Do what two calls of `cycle.send` do, in one write; the headers are ours, and need no check."""
    if cycle.flow.write_paused:
        await cycle.flow.drain()
    if cycle.disconnected or cycle.transport.is_closing():
        # uvicorn itself marks only a connection's last request, not those that are queued before it.
        cycle.disconnected = True
        return
    fields = list(headers)
    if _CLOSE in fields:
        cycle.keep_alive = False
    elif not cycle.keep_alive:
        fields.append(_CLOSE)
    text = written(status, fields, b"" if cycle.scope["method"] == "HEAD" else body)
    # It holds the cycle, which holds it: with it, every request would be left to the garbage collector.
    del cycle.scope["extensions"]
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(text)
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
