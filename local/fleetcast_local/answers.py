"""Answers of MiniStack's JSON services, with types."""

from typing import Any

from ministack.core import responses

Answer = tuple[int, dict[str, str], bytes]


def ok(body: dict[str, Any]) -> Answer:
    answer: Answer = responses.json_response(body)
    return answer


def refused(code: str, message: str, status: int = 400) -> Answer:
    answer: Answer = responses.error_response_json(code, message, status)
    return answer
