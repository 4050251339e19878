"""JSON Lines: one answer for each request, in their order, and a bad one costs only its own."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fleetcast.domain.forecasts import ForecastRequest
from fleetcast.errors import DataError, FleetcastError, RequestError
from fleetcast_serving.errors import CustomerNotFound
from fleetcast_serving.forecasts.documents import Document, to_json

# 30 to 100 MB of answers: what a body of 5 MB could ask for has no end.
MAX_STEPS = 250_000
# A megabyte of the shortest requests; even a line that is refused takes time, and has an answer.
MAX_LINES = 100_000

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CODES: tuple[tuple[type[FleetcastError], str], ...] = (
    (CustomerNotFound, "CustomerNotFound"),
    (RequestError, "InvalidRequest"),
    (DataError, "ModelBroken"),
)


def answer_lines(
    body: bytes, fields: Sequence[str], document: Callable[[ForecastRequest], Document]
) -> list[bytes]:
    """Return the JSON of one answer for each line that is not blank.

    A line that cannot be answered has an error with its number instead: the answers of a file are of no use if they
    are lost because of one of its lines.

    Args:
        body: lines of JSON; blank ones, a byte order mark and carriage returns are no harm.
        fields: that a request may have.
        document: answers a request.

    Raises:
        RequestError: there is no request at all, or there are too many.
    """
    if body.count(b"\n") > MAX_LINES:
        raise RequestError(f"the body has more than {MAX_LINES} lines; send them in several", "body")
    answers, steps = [], 0
    for number, line in _lines(body):
        try:
            request = ForecastRequest.from_body(line, fields)
            if steps + request.period > MAX_STEPS:
                raise RequestError(  # noqa: TRY301 - it is one of the reasons to refuse a line
                    f"the lines of one body may ask for {MAX_STEPS} steps together; send this one in another",
                    "period",
                )
            answers.append(to_json(document(request)))
            steps += request.period
        except (RequestError, CustomerNotFound, DataError) as error:
            answers.append(to_json(_problem(number, error)))
    if not answers:
        raise RequestError('the body has no line such as {"period": 7}', "body")
    return answers


def _lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    # Not splitlines: it would split at a carriage return within a line.
    for number, line in enumerate(body.removeprefix(_BYTE_ORDER_MARK).split(b"\n"), 1):
        if line.strip():
            yield number, line


def _problem(number: int, error: FleetcastError) -> dict[str, Any]:
    code = next(code for kind, code in _CODES if isinstance(error, kind))
    return {"line": number, "code": code, "message": str(error), "field": getattr(error, "field", None)}
