"""Requests and responses over bare ASGI: a framework would cost more than the forecast itself."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, unquote_to_bytes

from fleetcast.errors import RequestError
from fleetcast_serving.errors import BodyTooLarge, Busy

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Field = tuple[bytes, bytes]
Headers = tuple[Field, ...]

# An extension of ASGI: status, headers and body at once, in one system call where the protocol's own way takes two.
WHOLE_ANSWER = "fleetcast.whole_answer"
MAX_BODY = 5 * 2**20
# A client that is still sending does not hear why it was refused, so the rest is read, up to a point.
_MAX_DRAINED = 10 * MAX_BODY
# What all bodies of a worker may take together, from their first byte until they are answered: one thread answers
# the large ones, and the rest of them wait for it.
_MAX_HELD = 20 * MAX_BODY
# Those that are smaller are bounded by how many requests there may be at a time.
_SMALL = 16 * 1024


class ClientGone(Exception):
    """The client hung up; nobody waits for an answer."""


class Response(NamedTuple):
    """A status, a body, its type unless it is empty, and further headers."""

    status: int
    body: bytes = b""
    content_type: bytes = b"application/json"
    headers: Headers = ()

    @classmethod
    def of_json(cls, status: int, document: Any, headers: Headers = ()) -> Self:
        return cls(status, json.dumps(document).encode(), headers=headers)


class Request:
    """One HTTP request; its body is read when it is asked for, and counts until the request is closed."""

    __slots__ = ("_held", "_receive", "headers", "scope")

    # Bytes of all bodies that are arriving or being answered.
    _all_held = 0

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self._receive = receive
        self._held = 0
        self.headers: dict[bytes, bytes] = dict(scope["headers"])

    @property
    def method(self) -> str:
        method: str = self.scope["method"]
        return method

    @property
    def raw_path(self) -> bytes:
        path: bytes = self.scope["raw_path"]
        return path

    @property
    def path(self) -> tuple[str, ...]:
        """The path's segments, decoded one by one: a model's name may hold an encoded slash."""
        segments = self.raw_path.strip(b"/").split(b"/")
        return tuple(decoded(segment) for segment in segments)

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")

    def query(self, name: str) -> str | None:
        values = parse_qs(self.scope["query_string"].decode("latin-1"), keep_blank_values=True).get(name)
        return values[-1] if values else None

    async def json_object(self) -> dict[str, Any]:
        """Return the body, which must be a JSON object, whatever its content type says.

        Raises:
            RequestError: it is not; the text says what it is instead.
        """
        try:
            return _json_object(await self.body())
        finally:
            self.close()

    async def body(self) -> bytes:
        """Return the body; its bytes count until `close`.

        Raises:
            BodyTooLarge: it has more than 5 MB.
            Busy: the bodies of others are so much that this one would not fit beside.
            ClientGone: it never arrived.
        """
        message = await self._receive()
        body: bytes = message.get("body", b"")
        if message.get("more_body", False) or message["type"] == "http.disconnect" or len(body) > _SMALL:
            return await self._long_body(message)
        return body

    def close(self) -> None:
        """Say that the request is answered, or never will be."""
        Request._all_held -= self._held
        self._held = 0

    async def _long_body(self, message: Message) -> bytes:
        chunks: list[bytes] = []
        size, fits = 0, True
        while True:
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk = message.get("body", b"")
            size += len(chunk)
            fits = fits and size <= MAX_BODY and self._hold(len(chunk))
            if fits:
                chunks.append(chunk)
            else:
                # It is refused once it has come; what there is of it would only keep others out.
                chunks.clear()
                self.close()
            if not message.get("more_body", False) or size > _MAX_DRAINED:
                break
            message = await self._receive()
        if size > MAX_BODY:
            raise BodyTooLarge(f"the body must not be larger than {MAX_BODY} bytes")
        if not fits:
            raise Busy("too many large requests are being answered; try again in a moment")
        return b"".join(chunks)

    def _hold(self, size: int) -> bool:
        fits = Request._all_held + size <= _MAX_HELD
        if fits:
            self._held += size
            Request._all_held += size
        return fits


def decoded(segment: bytes) -> str:
    """Return a segment of a path as text.

    Raises:
        RequestError: it is not UTF-8.
    """
    try:
        return unquote_to_bytes(segment).decode() if b"%" in segment else segment.decode()
    except UnicodeDecodeError as error:
        raise RequestError("the path is not UTF-8") from error


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body.decode())
    except UnicodeDecodeError as error:
        raise RequestError(f"the body is not UTF-8: byte {error.start} is not") from error
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise RequestError("the body must be a JSON object")
    return document
