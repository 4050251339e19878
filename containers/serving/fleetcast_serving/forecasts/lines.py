"""JSON Lines: one answer for each request, in their order, and a bad one costs only its own."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fleetcast.domain.forecasts import ForecastRequest
from fleetcast.errors import DataError, FleetcastError, RequestError
from fleetcast_serving.errors import CustomerNotFound
from fleetcast_serving.forecasts.documents import Document, to_json

# What a body of 5 MB could ask for has no end. Most answers take 120 bytes a step, which is 30 MB together.
MAX_STEPS = 250_000
# Those with components take as many as they have names.
MAX_BYTES = 64_000_000
# SageMaker gives up after 60 s, and a container that ends after 25: then all of them would be lost.
MAX_SECONDS = 20
# A megabyte of the shortest requests; even a line that is refused takes time, and has an answer.
MAX_LINES = 100_000

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CODES: tuple[tuple[type[FleetcastError], str], ...] = (
    (CustomerNotFound, "CustomerNotFound"),
    (RequestError, "InvalidRequest"),
    (DataError, "ModelBroken"),
)


def answer_lines(
    body: bytes,
    fields: Sequence[str],
    document: Callable[[ForecastRequest], Document],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[bytes]:
    """Yield the JSON of one answer for each line that is not blank.

    A line that cannot be answered has an error with its number instead: the answers of a file are of no use if they
    are lost because of one of its lines.

    Args:
        body: lines of JSON; blank ones, a byte order mark and carriage returns are no harm.
        fields: that a request may have.
        document: answers a request.
        clock: tells seconds.

    Raises:
        RequestError: there is no request at all, or there are too many.
    """
    if body.count(b"\n") > MAX_LINES:
        raise RequestError(f"the body has more than {MAX_LINES} lines; send them in several", "body")
    budget, number = _Budget(clock), 0
    for number, line in _lines(body):
        try:
            request = ForecastRequest.from_body(line, fields)
            budget.check(request.period)
            answer, steps = to_json(document(request)), request.period
        except (RequestError, CustomerNotFound, DataError) as error:
            # It is no forecast, and yet some work.
            answer, steps = to_json(_problem(number, error)), 1
        budget.spend(steps, len(answer))
        yield answer
    if number == 0:
        raise RequestError('the body has no line such as {"period": 7}', "body")


class _Budget:
    """What the lines of one body may still take."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._steps, self._bytes = MAX_STEPS, MAX_BYTES
        self._clock, self._end = clock, clock() + MAX_SECONDS

    def check(self, steps: int) -> None:
        if steps > self._steps:
            raise _beyond(f"ask for {MAX_STEPS} steps", "period")
        if self._bytes <= 0:
            raise _beyond(f"have {MAX_BYTES // 10**6} MB of answers", "body")
        if self._clock() > self._end:
            raise _beyond(f"take {MAX_SECONDS} seconds", "body")

    def spend(self, steps: int, size: int) -> None:
        self._steps -= steps
        self._bytes -= size


def _beyond(what: str, field: str) -> RequestError:
    return RequestError(f"the lines of one body may {what} together; send this one in another", field)


def _lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    # Not splitlines: it would split at a carriage return within a line.
    for number, line in enumerate(body.removeprefix(_BYTE_ORDER_MARK).split(b"\n"), 1):
        if line.strip():
            yield number, line


def _problem(number: int, error: FleetcastError) -> dict[str, Any]:
    code = next(code for kind, code in _CODES if isinstance(error, kind))
    return {"line": number, "code": code, "message": str(error), "field": getattr(error, "field", None)}
