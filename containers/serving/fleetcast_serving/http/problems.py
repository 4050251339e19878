"""The one place where an error becomes a status: every refusal is JSON with a code, a sentence and a field."""

import json
import logging
import secrets

from fleetcast.errors import DataError, FleetcastError, NotAcceptable, PlatformError, RequestError
from fleetcast_serving.errors import (
    AlreadyLoaded,
    BodyTooLarge,
    Busy,
    CustomerNotFound,
    LoadFailed,
    MethodNotAllowed,
    NoSuchPath,
    NotLoaded,
    OutOfMemory,
    UnsupportedContentType,
)
from fleetcast_serving.http.messages import Response

logger = logging.getLogger("fleetcast_serving")

# From the special to the general: the first class that fits decides.
_ANSWERS: tuple[tuple[type[FleetcastError], int, str], ...] = (
    (UnsupportedContentType, 415, "UnsupportedContentType"),
    (NotAcceptable, 406, "NotAcceptable"),
    (BodyTooLarge, 413, "BodyTooLarge"),
    (CustomerNotFound, 404, "CustomerNotFound"),
    (RequestError, 400, "InvalidRequest"),
    (NoSuchPath, 404, "NotFound"),
    (NotLoaded, 404, "ModelNotLoaded"),
    (MethodNotAllowed, 405, "MethodNotAllowed"),
    (AlreadyLoaded, 409, "ModelAlreadyLoaded"),
    (LoadFailed, 422, "ModelLoadFailed"),
    (OutOfMemory, 507, "OutOfMemory"),
    (DataError, 500, "ModelBroken"),
    (Busy, 503, "Busy"),
    (PlatformError, 503, "Unavailable"),
    (FleetcastError, 500, "InternalError"),
)
_RETRY_AFTER = ((b"retry-after", b"1"),)


def refusal(error: FleetcastError) -> Response:
    """Return the answer that an error stands for; what is no fault of the caller's is logged with a number."""
    status, code = next((s, c) for kind, s, c in _ANSWERS if isinstance(error, kind))
    text = str(error)
    if status == 500:
        number = secrets.token_hex(8)
        logger.error("%s %s: %s", code, number, text)
        text = f"{text}; the log has it as {number}"
    headers = _RETRY_AFTER if status == 503 else ()
    if isinstance(error, MethodNotAllowed):
        headers = ((b"allow", error.allowed.encode()),)
    return Response(status, problem(code, text, getattr(error, "field", None)), headers=headers)


def unexpected(error: Exception, about: str) -> Response:
    """Return the answer to an error that nobody thought of, and log it.

    The cause may hold a customer's data, so it goes to the log, and its number to the caller.
    """
    number = secrets.token_hex(8)
    logger.error("unexpected error %s (%s)", number, about, exc_info=error)
    return Response(500, problem("InternalError", f"unexpected error; the log has it as {number}"))


def problem(code: str, message: str, field: str | None = None) -> bytes:
    return json.dumps({"code": code, "message": message, "field": field}).encode()
