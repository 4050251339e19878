"""The contract of an endpoint with many models, which the platform loads and unloads."""

import base64
import binascii
import logging
from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

from fleetcast.errors import RequestError
from fleetcast_serving.errors import LoadFailed, NoSuchPath, OutOfMemory
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
from fleetcast_serving.http.application import Application, Handler, described
from fleetcast_serving.http.messages import Request, Response, decoded
from fleetcast_serving.metrics.measures import Measures

logger = logging.getLogger("fleetcast_serving")

_PAGE = 100
_MAX_TEXT = 1024
_BEGIN, _END = b"/models/", b"/invoke"

ModelT = TypeVar("ModelT")
ModelIn_contra = TypeVar("ModelIn_contra", contravariant=True)
ModelOut_co = TypeVar("ModelOut_co", covariant=True)


class Held(Protocol[ModelOut_co]):
    """A model that stays as long as it is held."""

    @property
    def model(self) -> ModelOut_co: ...


class Models(Protocol[ModelOut_co]):
    """Whatever knows the loaded models, by the names that the platform gives them."""

    async def load(self, name: str, url: str) -> None: ...

    async def unload(self, name: str) -> None: ...

    async def url(self, name: str) -> str: ...

    async def page(self, after: str, limit: int) -> list[tuple[str, str]]: ...

    async def ping(self) -> None: ...

    def ready(self, name: str) -> Held[ModelOut_co] | None: ...

    async def lease(self, name: str) -> Any: ...

    def release(self, lease: Any) -> None: ...


class Inquiry(Protocol[ModelIn_contra]):
    """What a caller asks of a model, checked."""

    @property
    def steps(self) -> int:
        """How much work the answer is."""

    def answer(self, model: ModelIn_contra) -> Answer: ...


class MultiModel(Generic[ModelT]):
    """The handlers.

    Args:
        models: the loaded ones.
        inquiry: reads a body of a content type, for an answer that the caller accepts, or raises RequestError.
        measures: what is counted.
    """

    def __init__(
        self,
        models: Models[ModelT],
        inquiry: Reader[Inquiry[ModelT]],
        measures: Measures,
    ) -> None:
        self._models = models
        self._inquiry = inquiry
        self._measures = measures
        self._background = Background()

    def application(self, max_in_flight: int) -> Application:
        return Application(self._invocation, self._at_once, self._routes, self._measures, max_in_flight)

    def _invocation(self, path: bytes) -> Handler | None:
        # Longer than both: /models/invoke is a model that is called so.
        is_one = path.endswith(_END) and path.startswith(_BEGIN) and len(path) >= len(_BEGIN) + len(_END)
        return self._invoke if is_one else None

    def _routes(self, path: tuple[str, ...]) -> Mapping[str, Handler]:
        match path:
            case ("ping",):
                return {"GET": self._ping}
            case ("models",):
                return {"GET": self._list, "POST": self._load}
            case ("models", str()):
                return {"GET": self._describe, "DELETE": self._unload}
            case ("models", str(), "invoke"):
                return {"POST": self._invoke}
        raise no_such_path(path)

    def _at_once(self, path: bytes, headers: Mapping[bytes, bytes], body: bytes) -> Response | None:
        segment = path[len(_BEGIN) : -len(_END)]
        if self._invocation(path) is None or b"/" in segment or not segment or not is_short(body):
            return None
        return self._from_memory(decoded(segment), read_now(body, headers, self._inquiry))

    async def _invoke(self, request: Request) -> Response:
        try:
            return await self._answered(request)
        finally:
            request.close()

    async def _answered(self, request: Request) -> Response:
        segment = request.raw_path[len(_BEGIN) : -len(_END)]
        if b"/" in segment or not segment:
            # Also what only looks like one: a slash too many is another path.
            raise NoSuchPath(f"there is no {request.raw_path.decode('latin-1')}")
        inquiry = await read(request, self._inquiry, self._background)
        name = decoded(segment)
        return self._from_memory(name, inquiry) or to_response(await self._answer(name, inquiry))

    def _from_memory(self, name: str, inquiry: Inquiry[ModelT]) -> Response | None:
        if inquiry.steps > INLINE_STEPS or (held := self._models.ready(name)) is None:
            return None
        self._measures.hits += 1
        # Nothing can be unloaded in between, so there is nothing to hold.
        return to_response(inquiry.answer(held.model))

    async def _answer(self, name: str, inquiry: Inquiry[ModelT]) -> Answer:
        if self._models.ready(name) is None:
            self._measures.misses += 1
        else:
            self._measures.hits += 1
        lease = await self._models.lease(name)
        try:
            if inquiry.steps <= INLINE_STEPS:
                return inquiry.answer(lease.model)
            return await self._background.run(lambda: inquiry.answer(lease.model))
        finally:
            self._models.release(lease)

    async def _ping(self, _request: Request) -> Response:
        await self._models.ping()
        return Response(200)

    async def _load(self, request: Request) -> Response:
        body = await request.json_object()
        name, url = _text(body, "model_name"), _text(body, "url")
        try:
            await self._models.load(name, url)
        except (LoadFailed, OutOfMemory) as error:
            about = described(request.headers)
            logger.warning("could not load model %r from %r (%s): %s", name, url, about, error)
            raise
        logger.info("loaded model %r from %r (%s)", name, url, described(request.headers))
        return Response.of_json(200, _described(name, url))

    async def _list(self, request: Request) -> Response:
        limit = _limit(request.query("limit"))
        found = await self._models.page(_after(request.query("next_page_token")), limit + 1)
        document: dict[str, Any] = {"models": [_described(name, url) for name, url in found[:limit]]}
        if len(found) > limit:
            document["nextPageToken"] = base64.urlsafe_b64encode(found[limit - 1][0].encode()).decode()
        return Response.of_json(200, document)

    async def _describe(self, request: Request) -> Response:
        name = request.path[1]
        return Response.of_json(200, _described(name, await self._models.url(name)))

    async def _unload(self, request: Request) -> Response:
        name = request.path[1]
        await self._models.unload(name)
        logger.info("unloaded model %r (%s)", name, described(request.headers))
        return Response.of_json(200, {"modelName": name})


def no_such_path(path: tuple[str, ...]) -> NoSuchPath:
    return NoSuchPath(f"there is no /{'/'.join(path)}")


def _described(name: str, url: str) -> dict[str, str]:
    return {"modelName": name, "modelUrl": url}


def _text(body: Mapping[str, Any], field: str) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not 1 <= len(value) <= _MAX_TEXT or not _is_addressable(value):
        raise RequestError(f"{field} must be a text of 1 to {_MAX_TEXT} characters", field)
    return value


def _is_addressable(text: str) -> bool:
    # Half a surrogate pair and NUL are legal in JSON and in neither a URL nor a file name.
    return not any(character == "\0" or 0xD800 <= ord(character) <= 0xDFFF for character in text)


def _limit(text: str | None) -> int:
    if text is None:
        return _PAGE
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise RequestError("limit must be a whole number from 1", "limit")
    return min(int(text), _PAGE)


def _after(token: str | None) -> str:
    try:
        return base64.b64decode(token or "", altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise RequestError("next_page_token must come from an earlier answer", "next_page_token") from error
