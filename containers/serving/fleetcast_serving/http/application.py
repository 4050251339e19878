"""The ASGI application: finds the handler, answers every exception, and limits how much happens at once."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter

from fleetcast.errors import FleetcastError
from fleetcast_serving.errors import Busy, MethodNotAllowed
from fleetcast_serving.http.messages import (
    WHOLE_ANSWER,
    ClientGone,
    Field,
    Receive,
    Request,
    Response,
    Scope,
    Send,
)
from fleetcast_serving.http.problems import refusal, unexpected
from fleetcast_serving.metrics.measures import Measures, bucket

TARGET_MODEL = b"x-amzn-sagemaker-target-model"
_CUSTOM_ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"
_CLOSE = (b"connection", b"close")
# What a URL may have besides its path, and what it must not have at all.
_UNUSUAL = re.compile(rb"[^!-~]|[?#]")

Handler = Callable[[Request], Awaitable[Response]]
# The invocations of a contract are told apart from its management before anything else: they are what has to be fast.
Invocation = Callable[[bytes], Handler | None]
# Answers an invocation if nothing has to be waited for, from its path, its headers by name and its body.
AtOnce = Callable[[bytes, Mapping[bytes, bytes], bytes], Response | None]
Routes = Callable[[tuple[str, ...]], Mapping[str, Handler]]


class Application:
    """Answers the requests of one worker.

    Args:
        invocation: returns the handler of a path that is an invocation.
        at_once: returns the answer to an invocation that has to wait for nothing, or None.
        routes: returns the handlers of any other path by method, or raises NoSuchPath.
        measures: what is counted.
        max_in_flight: invocations at a time.

    Attributes:
        draining: connections are closed with their next answer, because the container is about to end.
    """

    def __init__(
        self, invocation: Invocation, at_once: AtOnce, routes: Routes, measures: Measures, max_in_flight: int
    ) -> None:
        self._invocation = invocation
        self._at_once = at_once
        self._routes = routes
        self._measures = measures
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        request = Request(scope, receive)
        handler = self._invocation(scope["raw_path"]) if scope["method"] == "POST" else None
        try:
            response = await self._answer(request, handler)
        except ClientGone:
            return
        await self._send(request, response, send)
        if handler is not None:
            self._took(began)

    def at_once(
        self, url: bytes, fields: Sequence[Field], body: bytes
    ) -> tuple[int, list[Field], bytes] | None:
        """Return status, headers and body of the answer to a POST that can be made without waiting, or None.

        It does what calling the application does, for those requests that need nothing of what that takes.
        """
        began = perf_counter()
        if self.draining or self._in_flight >= self._max_in_flight or _UNUSUAL.search(url):
            return None
        headers = dict(fields)
        try:
            response = self._at_once(url, headers, body)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            response = self._failed(error, headers)
        if response is None:
            return None
        self._took(began)
        return response.status, self._fields(response, headers), response.body

    def _took(self, began: float) -> None:
        self._measures.latencies[bucket(int((perf_counter() - began) * 1e6))] += 1

    async def _answer(self, request: Request, handler: Handler | None) -> Response:
        try:
            # A container that has much to do is healthy, and takes models in and out: only invocations are limited.
            if handler is None:
                return await self._managing(request)(request)
            return await self._invoke(request, handler)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            return self._failed(error, request.headers)

    async def _invoke(self, request: Request, handler: Handler) -> Response:
        if self._in_flight >= self._max_in_flight:
            raise Busy(f"{self._max_in_flight} requests are being answered; try again in a moment")
        # Up to its answer only: a client that does not read what it asked for takes nobody's place.
        self._in_flight += 1
        try:
            return await handler(request)
        finally:
            self._in_flight -= 1

    def _failed(self, error: Exception, headers: Mapping[bytes, bytes]) -> Response:
        response = _apology(error, headers)
        self._measures.answered(response.status)
        return response

    def _managing(self, request: Request) -> Handler:
        handlers = self._routes(request.path)
        if request.method not in handlers:
            raise MethodNotAllowed(request.method, ", ".join(sorted(handlers)))
        return handlers[request.method]

    async def _send(self, request: Request, response: Response, send: Send) -> None:
        status, body = response.status, response.body
        headers = self._fields(response, request.headers)
        whole = request.scope.get("extensions")
        if whole:
            await whole[WHOLE_ANSWER](status, headers, body)
        else:
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    def _fields(self, response: Response, asked: Mapping[bytes, bytes]) -> list[Field]:
        fields = [(b"content-length", b"%d" % len(response.body)), *response.headers]
        if response.body:
            fields.append((b"content-type", response.content_type))
        given = asked.get(_CUSTOM_ATTRIBUTES)
        if given:
            fields.append((_CUSTOM_ATTRIBUTES, given))
        if self.draining:
            fields.append(_CLOSE)
        return fields


def _apology(error: Exception, headers: Mapping[bytes, bytes]) -> Response:
    if isinstance(error, FleetcastError):
        return refusal(error)
    return unexpected(error, described(headers))


def described(headers: Mapping[bytes, bytes]) -> str:
    """Return which artifact a request is about: a name is opaque, and only this header knows."""
    return repr(headers.get(TARGET_MODEL, b"").decode("latin-1") or "no target given")
