"""What a body is written in, and what its answer is to be written in."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from fleetcast.domain.media_types import CSV, JSON, JSON_LINES, preferred
from fleetcast.errors import NotAcceptable
from fleetcast_serving.errors import UnsupportedContentType

# The same under the names that other tools give it; the first is SageMaker's.
LINES: Final = (
    JSON_LINES,
    "application/x-jsonlines",
    "application/jsonl",
    "application/x-ndjson",
    "application/ndjson",
)
_OF_ONE: Final = (JSON, *LINES, CSV)
# Of many answers no table can be made: any of them may be a refusal, or have components of its own.
_OF_MANY: Final = (*LINES, JSON)
_CHARSET: Final = "charset="
# Longer headers are nobody's, and are not worth remembering.
_LONGEST_KEPT = 200


@dataclass(frozen=True, slots=True)
class Form:
    """How a request and its answer are written.

    Attributes:
        many: whether the body has a request in each of its lines.
        answer: the answer's media type.
    """

    many: bool
    answer: str


def form_of(content_type: str, accept: str) -> Form:
    """Return what two headers ask for; either may be empty.

    Raises:
        UnsupportedContentType: nobody can read the body.
        NotAcceptable: the caller reads nothing that could be answered.
    """
    found = _form if len(content_type) + len(accept) <= _LONGEST_KEPT else _form.__wrapped__
    return found(content_type, accept)


@lru_cache(maxsize=256)
def _form(content_type: str, accept: str) -> Form:
    kind = _kind(content_type)
    many = kind in LINES
    # Whoever says nothing reads what he writes.
    offered = (kind, *(other for other in (_OF_MANY if many else _OF_ONE) if other != kind))
    answer = preferred(accept, offered)
    if answer is None:
        what = "JSON Lines are answered" if many else "the answer is written"
        raise NotAcceptable(
            f"{what} in {', '.join(offered)}, of which {accept[:100]!r} accepts none", "Accept"
        )
    return Form(many, answer)


def _kind(content_type: str) -> str:
    kind, *parameters = (part.strip() for part in content_type.lower().split(";"))
    kind = kind or JSON
    charset = next((part[len(_CHARSET) :].strip('"') for part in parameters if part.startswith(_CHARSET)), "")
    if kind not in (JSON, *LINES) or charset not in ("", "utf-8", "utf8"):
        raise UnsupportedContentType(
            f"the content type must be {JSON} or {JSON_LINES}, in UTF-8, not {content_type[:100]!r}",
            "Content-Type",
        )
    return kind
