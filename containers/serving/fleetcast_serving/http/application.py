"""The ASGI application: finds the handler, answers every exception, and limits how much happens at once."""

from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter

from fleetcast.errors import FleetcastError
from fleetcast_serving.errors import Busy, MethodNotAllowed
from fleetcast_serving.http.messages import WHOLE_ANSWER, ClientGone, Receive, Request, Response, Scope, Send
from fleetcast_serving.http.problems import refusal, unexpected
from fleetcast_serving.metrics.measures import Measures, bucket

TARGET_MODEL = b"x-amzn-sagemaker-target-model"
_CUSTOM_ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"
# A container that has much to do is healthy, and SageMaker must hear so.
_PING = b"/ping"
_CLOSE = (b"connection", b"close")

Handler = Callable[[Request], Awaitable[Response]]
# The invocations of a contract are told apart from its management before anything else: they are what has to be fast.
Invocation = Callable[[bytes], Handler | None]
Routes = Callable[[tuple[str, ...]], Mapping[str, Handler]]


class Application:
    """Answers the requests of one worker.

    Args:
        invocation: returns the handler of a path that is an invocation.
        routes: returns the handlers of any other path by method, or raises NoSuchPath.
        measures: what is counted.
        max_in_flight: requests at a time.

    Attributes:
        draining: connections are closed with their next answer, because the container is about to end.
    """

    def __init__(
        self, invocation: Invocation, routes: Routes, measures: Measures, max_in_flight: int
    ) -> None:
        self._invocation = invocation
        self._routes = routes
        self._measures = measures
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        request = Request(scope, receive)
        handler = self._invocation(scope["raw_path"]) if scope["method"] == "POST" else None
        # Up to its answer only: a client that does not read what it asked for takes nobody's place.
        self._in_flight += 1
        try:
            response = await self._answer(request, handler)
        except ClientGone:
            return
        finally:
            self._in_flight -= 1
        await self._send(request, response, send)
        if handler is not None:
            self._measures.latencies[bucket(int((perf_counter() - began) * 1e6))] += 1

    async def _answer(self, request: Request, handler: Handler | None) -> Response:
        try:
            if self._in_flight > self._max_in_flight and request.raw_path != _PING:
                raise Busy(f"{self._max_in_flight} requests are being answered; try again in a moment")  # noqa: TRY301
            return await (handler or self._managing(request))(request)
        except FleetcastError as error:
            response = refusal(error)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            response = unexpected(error, described(request))
        self._measures.answered(response.status)
        return response

    def _managing(self, request: Request) -> Handler:
        handlers = self._routes(request.path)
        if request.method not in handlers:
            raise MethodNotAllowed(request.method, ", ".join(sorted(handlers)))
        return handlers[request.method]

    async def _send(self, request: Request, response: Response, send: Send) -> None:
        status, body, content_type, further = response
        headers = [(b"content-length", b"%d" % len(body)), *further]
        if body:
            headers.append((b"content-type", content_type))
        given = request.headers.get(_CUSTOM_ATTRIBUTES)
        if given:
            headers.append((_CUSTOM_ATTRIBUTES, given))
        if self.draining:
            headers.append(_CLOSE)
        whole = request.scope.get("extensions")
        if whole:
            await whole[WHOLE_ANSWER](status, headers, body)
        else:
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})


def described(request: Request) -> str:
    """Return which artifact a request is about: a name is opaque, and only this header knows."""
    return repr(request.header(TARGET_MODEL) or "no target given")
