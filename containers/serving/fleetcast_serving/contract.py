"""SageMaker's container contract over HTTP. Knows nothing of how models are read or kept."""

import asyncio
import base64
import binascii
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from fleetcast.errors import DataError, FleetcastError, NotAcceptable, PlatformError, RequestError
from fleetcast_serving.errors import (
    AlreadyLoaded,
    BodyTooLarge,
    CustomerNotFound,
    LoadFailed,
    MethodNotAllowed,
    NoSuchPath,
    NotLoaded,
    OutOfMemory,
    UnsupportedContentType,
)
from fleetcast_serving.forecasts import Answer, Inquiry, inquiry
from fleetcast_serving.http_messages import ClientGone, Receive, Request, Response, Send
from fleetcast_serving.repository import Models as FoundModels
from fleetcast_serving.repository import ServedModel

logger = logging.getLogger("fleetcast_serving")

# Longer forecasts take milliseconds, in which the event loop could not answer /ping.
_INLINE_STEPS = 200
_PAGE = 100
_MAX_TEXT = 1024
_TARGET_MODEL = "x-amzn-sagemaker-target-model"
_CUSTOM_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"

Handler = Callable[[Request], Awaitable[Response]]


class Models(Protocol):
    """Whatever keeps the loaded models, by the names that the platform gives them."""

    async def load(self, name: str, url: str) -> None: ...

    async def unload(self, name: str) -> None: ...

    def url(self, name: str) -> str: ...

    def page(self, after: str, limit: int) -> list[tuple[str, str]]: ...

    def lease(self, name: str) -> AbstractContextManager[ServedModel]: ...


# From the special to the general: the first class that fits decides.
_ANSWERS: tuple[tuple[type[FleetcastError], int, str], ...] = (
    (UnsupportedContentType, 415, "UnsupportedContentType"),
    (BodyTooLarge, 413, "BodyTooLarge"),
    (NotAcceptable, 406, "NotAcceptable"),
    (RequestError, 400, "InvalidRequest"),
    (NoSuchPath, 404, "NotFound"),
    (CustomerNotFound, 404, "CustomerNotFound"),
    (NotLoaded, 404, "ModelNotLoaded"),
    (MethodNotAllowed, 405, "MethodNotAllowed"),
    (AlreadyLoaded, 409, "ModelAlreadyLoaded"),
    (LoadFailed, 422, "ModelLoadFailed"),
    (OutOfMemory, 507, "OutOfMemory"),
    (DataError, 500, "ModelBroken"),
    (PlatformError, 503, "Unavailable"),
)


class Application:
    """The ASGI application: finds the handler, and turns every exception into an answer."""

    def __init__(self, find: Callable[[tuple[str, ...]], Mapping[str, Handler]]) -> None:
        self._find = find

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._handle(request)
        except ClientGone:
            return
        await response.send(send)

    async def _handle(self, request: Request) -> Response:
        try:
            handlers = self._find(request.path)
            if request.method not in handlers:
                raise MethodNotAllowed(request.method, ", ".join(sorted(handlers)))  # noqa: TRY301
            response = await handlers[request.method](request)
        except FleetcastError as error:
            response = _refusal(error)
        except ClientGone:
            raise
        except Exception:
            # The cause may hold a customer's data, so it goes to the log, and its number to the caller.
            number = secrets.token_hex(8)
            logger.exception("unexpected error %s (%s)", number, _target(request))
            response = _problem(500, "InternalError", f"unexpected error; the log has it as {number}")
        return _with_custom_attributes(response, request)


def multi_model(models: Models) -> Application:
    """Return the application of an endpoint with many models."""
    contract = _MultiModelContract(models)

    def find(path: tuple[str, ...]) -> Mapping[str, Handler]:
        match path:
            case ("ping",):
                return {"GET": _ping}
            case ("models",):
                return {"GET": contract.list, "POST": contract.load}
            case ("models", str()):
                return {"GET": contract.describe, "DELETE": contract.unload}
            case ("models", str(), "invoke"):
                return {"POST": contract.invoke}
        raise NoSuchPath(f"there is no /{'/'.join(path)}")

    return Application(find)


def single_model(models: FoundModels) -> Application:
    """Return the application of an endpoint that has its models from the start."""

    async def invoke(request: Request) -> Response:
        asked = await _inquiry(request)
        return await _answered(asked, lambda: asked.answer_from(models))

    def find(path: tuple[str, ...]) -> Mapping[str, Handler]:
        match path:
            case ("ping",):
                return {"GET": _ping}
            case ("invocations",):
                return {"POST": invoke}
        raise NoSuchPath(f"there is no /{'/'.join(path)}")

    return Application(find)


class _MultiModelContract:
    def __init__(self, models: Models) -> None:
        self._models = models

    async def load(self, request: Request) -> Response:
        body = await request.json_object()
        name, url = _text(body, "model_name"), _text(body, "url")
        await self._models.load(name, url)
        logger.info("loaded model %r from %r (%s)", name, url, _target(request))
        return Response.of_json(200, _described(name, url))

    async def list(self, request: Request) -> Response:
        limit = _limit(request.query("limit"))
        found = self._models.page(_after(request.query("next_page_token")), limit + 1)
        document: dict[str, Any] = {"models": [_described(name, url) for name, url in found[:limit]]}
        if len(found) > limit:
            document["nextPageToken"] = base64.urlsafe_b64encode(found[limit - 1][0].encode()).decode()
        return Response.of_json(200, document)

    async def describe(self, request: Request) -> Response:
        name = request.path[1]
        return Response.of_json(200, _described(name, self._models.url(name)))

    async def unload(self, request: Request) -> Response:
        name = request.path[1]
        await self._models.unload(name)
        logger.info("unloaded model %r (%s)", name, _target(request))
        return Response.of_json(200, {"modelName": name})

    async def invoke(self, request: Request) -> Response:
        name = request.path[1]
        self._models.url(name)  # a model that is not here is not worth reading a body for
        asked = await _inquiry(request)
        with self._models.lease(name) as model:
            return await _answered(asked, lambda: asked.answer(model))


async def _ping(_request: Request) -> Response:
    return Response(200)


async def _inquiry(request: Request) -> Inquiry:
    return inquiry(await request.body(), request.header("content-type"), request.header("accept"))


async def _answered(asked: Inquiry, task: Callable[[], Answer]) -> Response:
    answer = task() if asked.steps <= _INLINE_STEPS else await asyncio.to_thread(task)
    return Response(200, answer.body, (), answer.content_type)


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


def _refusal(error: FleetcastError) -> Response:
    status, code = next((s, c) for kind, s, c in _ANSWERS if isinstance(error, kind))
    response = _problem(status, code, str(error), getattr(error, "field", None))
    return response.with_header("allow", error.allowed) if isinstance(error, MethodNotAllowed) else response


def _problem(status: int, code: str, message: str, field: str | None = None) -> Response:
    return Response.of_json(status, {"code": code, "message": message, "field": field})


def _target(request: Request) -> str:
    # The name is opaque; only this header says which artifact it stands for.
    return repr(request.header(_TARGET_MODEL) or "no target given")


def _with_custom_attributes(response: Response, request: Request) -> Response:
    given = request.header(_CUSTOM_ATTRIBUTES)
    return response.with_header(_CUSTOM_ATTRIBUTES, given) if given else response
