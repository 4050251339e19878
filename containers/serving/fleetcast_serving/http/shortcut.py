"""The way of most requests: here whole, answered from memory, and gone before anybody else's turn."""

from collections.abc import Iterable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from fleetcast_serving.http.messages import Field


class Shortcut(HttpToolsProtocol):
    """uvicorn's connection; a request that arrives in one piece is first shown to `at_once` of the application.

    What that does not answer goes uvicorn's way, with a task, a scope and events: whatever waits for anything, comes
    in pieces, is pipelined behind another request, or needs more of HTTP than a POST on a connection that stays.

    Attributes:
        arrived: whether the request that came last is here whole.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.arrived = False
        self._at_once = self.app.at_once
        self._is_first = True
        self._is_offer = False
        self._body: bytes | None = None
        self._answered = 0.0

    def data_received(self, data: bytes) -> None:
        # One at a time: whoever sends a hundred requests in one packet lets others in between.
        self._is_first = True
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserError:
                self.send_400_response("Invalid HTTP request received.")
            except httptools.HttpParserUpgrade as end:
                if self._is_offer:
                    data = self._without_offer() + data[end.args[0] :]
                    continue
                self._unsupported_upgrade_warning()
            break
        if self._body is not None and not self.transport.is_closing():
            self.hand_over()

    def _without_offer(self) -> bytes:
        """Return the head of a request that offers another protocol as if it did not, for a parser that reads on."""
        self._is_offer = False
        line = b"%b %b HTTP/%b\r\n" % (
            self.parser.get_method(),
            self.url,
            self.parser.get_http_version().encode(),
        )
        fields = b"".join([b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"])
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return line + fields + b"\r\n"

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.arrived = False

    def on_headers_complete(self) -> None:
        if self._is_first and self._is_plain() and (self.cycle is None or self.cycle.response_complete):
            self._body = b""
        elif self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._is_offer = True
        else:
            self.hand_over()

    def _is_plain(self) -> bool:
        parser = self.parser
        return (
            parser.get_method() == b"POST"
            and parser.should_keep_alive()
            and parser.get_http_version() == "1.1"
            and not parser.should_upgrade()
            and not self.expect_100_continue
        )

    def hand_over(self) -> None:
        """Go uvicorn's way with a request of which at least the head is here."""
        body, self._body = self._body, None
        self._unset_keepalive_if_required()
        super().on_headers_complete()
        if body:
            super().on_body(body)

    def on_body(self, body: bytes) -> None:
        if self._body is None:
            super().on_body(body)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        self.arrived = True
        if self._is_offer:
            return
        if self._body is None:
            super().on_message_complete()
        elif not self._is_answered(self._body):
            self.hand_over()
            super().on_message_complete()

    def _is_answered(self, body: bytes) -> bool:
        if self.flow.write_paused or self.transport.is_closing():
            return False
        answer = self._at_once(self.url, self.headers, body)
        if answer is None:
            return False
        self._body = None
        self._is_first = False
        self.transport.write(written(*answer))
        self.rest()
        return True

    def rest(self) -> None:
        """End the connection when nothing has come on it for as long as it may rest."""
        # A timer for each request costs more than to look, when one has run out, whether anything came since.
        self._answered = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def timeout_keep_alive_handler(self) -> None:
        remaining = self._answered + self.timeout_keep_alive - self.loop.time()
        if remaining > 0:
            self.timeout_keep_alive_task = self.loop.call_later(remaining, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()


def written(status: int, fields: Iterable[Field], body: bytes) -> bytes:
    """Return an answer as it is sent; the fields are ours, and need no check."""
    head = b"".join([b"%b: %b\r\n" % field for field in fields])
    return b"%b%b\r\n%b" % (STATUS_LINE[status], head, body)
