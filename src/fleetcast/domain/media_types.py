"""Which of the forms that an answer has a caller wants: the header Accept of HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

JSON: Final = "application/json"
CSV: Final = "text/csv"
JSON_LINES: Final = "application/jsonlines"

# Longer ones are no header of a client, and are not worth remembering.
_LONGEST_KEPT = 200


@dataclass(frozen=True)
class _Range:
    """Media types such as `text/*`, and how welcome they are, from 0 (not at all) to 1."""

    kind: str
    quality: float

    def fits(self, media_type: str) -> bool:
        return self.kind in ("*/*", media_type, f"{media_type.partition('/')[0]}/*")

    @property
    def precision(self) -> int:
        return 2 - self.kind.count("*")


def preferred(accept: str, offered: Sequence[str]) -> str | None:
    """Return the media type that is most welcome; of equals the one offered first, and None where none is.

    Args:
        accept: the header; empty where there is none, and then the first is taken.
        offered: media types, the usual one first.
    """
    chosen = _preferred if len(accept) <= _LONGEST_KEPT else _preferred.__wrapped__
    return chosen(accept, tuple(offered))


@lru_cache(maxsize=256)
def _preferred(accept: str, offered: tuple[str, ...]) -> str | None:
    ranges = [_range(part) for part in accept.split(",") if part.strip()]
    if not ranges:
        return offered[0]
    best = max(offered, key=lambda media_type: _welcome(media_type, ranges))
    return best if _welcome(best, ranges) > 0 else None


def _welcome(media_type: str, ranges: Sequence[_Range]) -> float:
    """Return the quality of the range that says most precisely what it means."""
    fitting = [found for found in ranges if found.fits(media_type)]
    return max(fitting, key=lambda found: (found.precision, found.quality)).quality if fitting else 0.0


def _range(text: str) -> _Range:
    kind, *parameters = (part.strip().lower() for part in text.split(";"))
    weights = [value.removeprefix("q=").strip() for value in parameters if value.startswith("q=")]
    return _Range(kind, _quality(weights[0]) if weights else 1.0)


def _quality(text: str) -> float:
    digits = text.replace(".", "", 1)
    # What cannot be read is not asked for: an answer in the wrong form helps nobody.
    return min(float(text), 1.0) if digits.isascii() and digits.isdigit() else 0.0
