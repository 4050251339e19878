"""From errors to HTTP, in one place: every handler behind the API answers through here."""

import functools
import json
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote

from aws_lambda_powertools import Logger

from fleetcast.domain.media_types import preferred
from fleetcast.domain.names import check_customer_id
from fleetcast.errors import DataError, NotAcceptable, PlatformError, RequestError, UnknownCustomer

logger = Logger(child=True)
Handler = Callable[[dict[str, Any], Any], Any]

RETRY_AFTER_SECONDS = 5


class Text(NamedTuple):
    """An answer that is no JSON."""

    body: str
    media_type: str


def api_handler(handler: Handler) -> Handler:
    """Turn a handler that returns a document, or a Text, and raises our errors into one for API Gateway."""

    @functools.wraps(handler)
    def answer(event: dict[str, Any], context: Any) -> dict[str, Any]:
        try:
            answered = handler(event, context)
            return _as_text(answered) if isinstance(answered, Text) else response(200, answered)
        except RequestError as error:
            return _refusal(error)
        except PlatformError as error:
            logger.warning("Not ready", exc_info=error)
            return _problem(503, "not_ready", "the model is not ready; try again in a moment", None)
        except DataError:
            logger.exception("A model cannot answer")
            return _problem(
                502, "model_failed", _seen(context, "the customer's model could not answer"), None
            )
        except Exception:
            logger.exception("Unexpected error")
            return _problem(500, "internal_error", _seen(context, "an unexpected error occurred"), None)

    return answer


def customer_in_path(event: dict[str, Any]) -> str:
    """Return the customer that the path names; API Gateway hands path parameters over percent-encoded or decoded."""
    return check_customer_id(unquote((event.get("pathParameters") or {}).get("customer_id") or ""))


def _refusal(error: RequestError) -> dict[str, Any]:
    if isinstance(error, UnknownCustomer):
        return _problem(404, "unknown_customer", str(error), "customer_id")
    if isinstance(error, NotAcceptable):
        return _problem(406, "not_acceptable", str(error), error.field)
    return _problem(400, "bad_request", str(error), error.field)


def accepted(event: dict[str, Any], *offered: str) -> str:
    """Return which of the media types the caller likes best, the first if he does not say.

    Raises:
        NotAcceptable: it is none of them.
    """
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    accept = headers.get("accept") or ""
    chosen = preferred(accept, offered)
    if chosen is None:
        raise NotAcceptable(
            f"Accept must allow {' or '.join(offered)}, which {accept[:64]!r} does not", "Accept"
        )
    return chosen


def _seen(context: Any, sentence: str) -> str:
    return f"{sentence}; it is logged under request id {context.aws_request_id}"


def _problem(status: int, code: str, message: str, field: str | None) -> dict[str, Any]:
    return response(status, {"error": {"code": code, "message": message, "field": field}})


def _as_text(text: Text) -> dict[str, Any]:
    headers = {"Content-Type": f"{text.media_type}; charset=utf-8"}
    return {"statusCode": 200, "headers": headers, "body": text.body}


def response(status: int, document: Any) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    if status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    # Escaped to ASCII: half a surrogate, which a caller may send, would not leave Lambda otherwise.
    return {"statusCode": status, "headers": headers, "body": json.dumps(document)}
