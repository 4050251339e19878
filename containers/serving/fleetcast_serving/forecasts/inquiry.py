"""A body that asks: one request, or one in each of its lines."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Protocol

from fleetcast.domain.forecasts import CUSTOMER_ID, FIELDS, ForecastRequest, to_csv
from fleetcast.domain.media_types import CSV
from fleetcast.errors import DataError
from fleetcast_serving.errors import LoadFailed
from fleetcast_serving.forecasts.documents import Document, document_of, to_json
from fleetcast_serving.forecasts.forms import LINES, Form, form_of
from fleetcast_serving.forecasts.lines import answer_lines
from fleetcast_serving.repository import Models, ServedModel

_FIELDS = (*FIELDS, CUSTOMER_ID)
# A fleet's callers ask for the same few periods over and over, in bodies of a few bytes.
_LONGEST_KEPT = 200
# Evaluated apart from the forecast, without its shortcuts, and written in as many numbers again.
_COMPONENTS_COST = 4
# Nobody has counted yet what the lines ask for, but it may be much.
_STEPS_OF_LINES = 1_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    body: bytes
    content_type: str


class Inquiry(Protocol):
    """A checked request. Both ways to answer raise RequestError, CustomerNotFound and DataError."""

    @property
    def steps(self) -> int:
        """How much work it is, in steps of a forecast."""

    def answer(self, model: ServedModel) -> Answer:
        """Ask this model; a request that names another customer is refused."""

    def answer_from(self, models: Models) -> Answer:
        """Ask the model of the customer whom the request names."""

    def is_cold(self, models: Models) -> bool:
        """Whether `answer_from` would first have to read a file, which takes as long as its disk."""


def inquiry(body: bytes, content_type: str, accept: str) -> Inquiry:
    """Return what a body asks for.

    Args:
        body: JSON, or JSON Lines.
        content_type: the header, which says which of them; JSON where it is empty.
        accept: the header, which says how to answer; as usual for the content type where it is empty.

    Raises:
        RequestError: the body is no request; it names the field and says what is allowed.
        UnsupportedContentType: the body is neither of these.
        NotAcceptable: the caller reads nothing that could be answered.
    """
    form = form_of(content_type, accept)
    if form.many:
        return Lines(body, form)
    asked = _asked if len(body) <= _LONGEST_KEPT else _asked.__wrapped__
    return asked(body, form)


@lru_cache(maxsize=1024)
def _asked(body: bytes, form: Form) -> "One":
    return One(ForecastRequest.from_body(body, _FIELDS), form)


@dataclass(frozen=True, slots=True)
class One:
    """A single request."""

    request: ForecastRequest
    form: Form

    @property
    def steps(self) -> int:
        return self.request.period * (_COMPONENTS_COST if self.request.components else 1)

    def answer(self, model: ServedModel) -> Answer:
        return self._written(document_of(model, self.request))

    def answer_from(self, models: Models) -> Answer:
        return self._written(_document_from(models, self.request))

    def is_cold(self, models: Models) -> bool:
        return models.is_cold(self.request.customer_id)

    def _written(self, document: Document) -> Answer:
        media_type = self.form.answer
        if media_type == CSV:
            return Answer(to_csv(document).encode(), f"{CSV}; charset=utf-8")
        body = to_json(document)
        return Answer(body + b"\n" if media_type in LINES else body, media_type)


@dataclass(frozen=True, slots=True)
class Lines:
    """A request in each line; they are read where they are answered, which may take a while."""

    body: bytes
    form: Form

    @property
    def steps(self) -> int:
        return _STEPS_OF_LINES

    def answer(self, model: ServedModel) -> Answer:
        return self._written(lambda request: document_of(model, request))

    def answer_from(self, models: Models) -> Answer:
        return self._written(lambda request: _document_from(models, request))

    def is_cold(self, models: Models) -> bool:  # noqa: ARG002 - some of its lines may be
        return True

    def _written(self, document: Callable[[ForecastRequest], Document]) -> Answer:
        begin, between, end = (b"", b"\n", b"\n") if self.form.answer in LINES else (b"[", b",", b"]")
        # Joined from a list, tens of megabytes would be held twice.
        written = BytesIO()
        for answer in answer_lines(self.body, _FIELDS, document):
            written.write(between if written.tell() else begin)
            written.write(answer)
        written.write(end)
        return Answer(written.getvalue(), self.form.answer)


def _document_from(models: Models, request: ForecastRequest) -> Document:
    try:
        model = models.model(request.customer_id)
    except LoadFailed as error:
        # To whoever asks it is a model that cannot answer, and none that he was about to load.
        raise DataError(str(error)) from error
    return document_of(model, request)
