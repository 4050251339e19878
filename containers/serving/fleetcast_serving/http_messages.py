"""Requests and responses over bare ASGI: a framework would cost more than the forecast itself."""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import parse_qs, unquote_to_bytes

from fleetcast.errors import RequestError
from fleetcast_serving.errors import BodyTooLarge, UnsupportedContentType

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY = 5 * 2**20
# A client that is still sending does not hear why it was refused, so the rest is read, up to a point.
_MAX_DRAINED = 10 * MAX_BODY


class ClientGone(Exception):
    """The client hung up; nobody waits for an answer."""


@dataclass(frozen=True)
class Response:
    """A status, a body that is JSON or empty, and further headers."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content_type: str = "application/json"

    @classmethod
    def of_json(cls, status: int, document: Any) -> Self:
        return cls(status, json.dumps(document).encode())

    def with_header(self, name: str, value: str) -> "Response":
        header = (name.encode(), value.encode("latin-1"))
        return replace(self, headers=(*self.headers, header))

    async def send(self, send: Send) -> None:
        length = (b"content-length", str(len(self.body)).encode())
        kind = ((b"content-type", self.content_type.encode()),) if self.body else ()
        headers = [length, *kind, *self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class Request:
    """One HTTP request; its body is read when it is asked for."""

    def __init__(self, scope: Mapping[str, Any], receive: Receive) -> None:
        self.method: str = scope["method"]
        self._raw_path: bytes = scope["raw_path"]
        self._query: bytes = scope["query_string"]
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        self._receive = receive

    @property
    def path(self) -> tuple[str, ...]:
        """The path's segments, decoded one by one: a model's name may hold an encoded slash."""
        try:
            segments = self._raw_path.split(b"?")[0].strip(b"/").split(b"/")
            return tuple(unquote_to_bytes(segment).decode() for segment in segments)
        except UnicodeDecodeError as error:
            raise RequestError("the path is not UTF-8") from error

    def header(self, name: str) -> str:
        return self._headers.get(name.encode(), b"").decode("latin-1")

    def query(self, name: str) -> str | None:
        values = parse_qs(self._query.decode("latin-1"), keep_blank_values=True).get(name)
        return values[-1] if values else None

    async def json_object(self) -> dict[str, Any]:
        """Return the body, which must be a JSON object.

        Raises:
            RequestError: it is not; the text says what it is instead.
        """
        self._check_content_type()
        return _json_object(await self.body())

    def _check_content_type(self) -> None:
        kind, _, parameters = self.header("content-type").lower().partition(";")
        charset = parameters.partition("charset=")[2].strip(' "')
        if kind.strip() not in ("", "application/json") or charset not in ("", "utf-8", "utf8"):
            given = self.header("content-type")
            raise UnsupportedContentType(f"the content type must be application/json, not {given!r}")

    async def body(self) -> bytes:
        chunks: list[bytes] = []
        size, more = 0, True
        while more and size <= _MAX_DRAINED:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk = message.get("body", b"")
            size += len(chunk)
            if size <= MAX_BODY:
                chunks.append(chunk)
            more = message.get("more_body", False)
        if size > MAX_BODY:
            raise BodyTooLarge(f"the body must not be larger than {MAX_BODY} bytes")
        return b"".join(chunks)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body.decode())
    except UnicodeDecodeError as error:
        raise RequestError(f"the body is not UTF-8: byte {error.start} is not") from error
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise RequestError('the body must be a JSON object such as {"period": 7}')
    return document
