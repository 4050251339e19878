"""The contract of an endpoint, or a batch transform, with one model or a bundle of many in the container itself."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, Protocol, TypeVar

from fleetcast_serving.http.answering import (
    INLINE_STEPS,
    Answer,
    Background,
    Reader,
    is_short,
    read,
    read_now,
    to_response,
)
from fleetcast_serving.http.application import Application, Handler
from fleetcast_serving.http.messages import Request, Response
from fleetcast_serving.http.multi_model import no_such_path
from fleetcast_serving.metrics.measures import Measures

_INVOCATIONS = b"/invocations"
# Of the shortest requests, no more than the lines of one body may be.
_MAX_PAYLOAD_MB = 1
# SageMaker multiplies the two, and takes no more than 100 MB.
_MAX_TRANSFORMS = 100 // _MAX_PAYLOAD_MB

BundleT = TypeVar("BundleT")
BundleIn_contra = TypeVar("BundleIn_contra", contravariant=True)


class Inquiry(Protocol[BundleIn_contra]):
    """What a caller asks, checked."""

    @property
    def steps(self) -> int:
        """How much work the answer is."""

    def is_cold(self, bundle: BundleIn_contra) -> bool:
        """Whether the answer has to wait for a disk."""

    def answer_from(self, bundle: BundleIn_contra) -> Answer: ...


class SingleModel(Generic[BundleT]):
    """The handlers.

    Args:
        bundle: the models.
        inquiry: reads a body of a content type, for an answer that the caller accepts, or raises RequestError.
        ping: raises if the container cannot answer.
        measures: what is counted.
        workers: processes that answer.
    """

    def __init__(
        self,
        bundle: BundleT,
        inquiry: Reader[Inquiry[BundleT]],
        ping: Callable[[], Awaitable[None]],
        measures: Measures,
        workers: int,
    ) -> None:
        self._bundle = bundle
        self._inquiry = inquiry
        self._check = ping
        self._measures = measures
        self._workers = workers
        self._background = Background()
        # Apart from long answers: who only waits for the disk does not wait for them as well.
        self._reader = Background()

    def application(self, max_in_flight: int) -> Application:
        return Application(self._invocation, self._at_once, self._routes, self._measures, max_in_flight)

    def _invocation(self, path: bytes) -> Handler | None:
        return self._invoke if path == _INVOCATIONS else None

    def _routes(self, path: tuple[str, ...]) -> Mapping[str, Handler]:
        match path:
            case ("ping",):
                return {"GET": self._ping}
            case ("invocations",):
                return {"POST": self._invoke}
            case ("execution-parameters",):
                return {"GET": self._execution_parameters}
        raise no_such_path(path)

    def _at_once(self, path: bytes, headers: Mapping[bytes, bytes], body: bytes) -> Response | None:
        if path != _INVOCATIONS or not is_short(body):
            return None
        return self._soon(read_now(body, headers, self._inquiry))

    async def _invoke(self, request: Request) -> Response:
        try:
            inquiry = await read(request, self._inquiry, self._background)
            return self._soon(inquiry) or await self._later(inquiry)
        finally:
            request.close()

    def _soon(self, inquiry: Inquiry[BundleT]) -> Response | None:
        if inquiry.steps > INLINE_STEPS or inquiry.is_cold(self._bundle):
            return None
        self._measures.hits += 1
        return to_response(inquiry.answer_from(self._bundle))

    async def _later(self, inquiry: Inquiry[BundleT]) -> Response:
        self._measures.hits += 1
        thread = self._background if inquiry.steps > INLINE_STEPS else self._reader
        return to_response(await thread.run(lambda: inquiry.answer_from(self._bundle)))

    async def _ping(self, _request: Request) -> Response:
        await self._check()
        return Response(200)

    async def _execution_parameters(self, _request: Request) -> Response:
        """Say what suits a batch transform: as many at a time as there are workers, lines in large batches."""
        return Response.of_json(
            200,
            {
                "MaxConcurrentTransforms": min(self._workers, _MAX_TRANSFORMS),
                "BatchStrategy": "MULTI_RECORD",
                "MaxPayloadInMB": _MAX_PAYLOAD_MB,
            },
        )
