"""From errors to HTTP: every answer is one that API Gateway passes on and that tells nothing it should not."""

import json
from typing import Any

import pytest
from tests.unit.function_support import Context

from fleetcast.adapters.http import RETRY_AFTER_SECONDS, Text, accepted, api_handler, customer_in_path
from fleetcast.errors import (
    DataError,
    FleetcastError,
    NotAcceptable,
    PlatformError,
    RequestError,
    SettingError,
    UnknownCustomer,
)

SECRET = "s3://models/models/r1/42.tar.gz: Traceback arn:aws:iam::123456789012:role/x"


def answer_to(error: BaseException) -> dict[str, Any]:
    def handler(event: dict[str, Any], context: Any) -> Any:
        raise error

    answered: dict[str, Any] = api_handler(handler)({}, Context())
    return answered


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UnknownCustomer("customer '42' has no released model", "customer_id"), 404, "unknown_customer"),
        (RequestError("period must be 7", "period"), 400, "bad_request"),
        (NotAcceptable("Accept must allow application/json", "Accept"), 406, "not_acceptable"),
        (PlatformError(SECRET), 503, "not_ready"),
        (DataError(SECRET), 502, "model_failed"),
        (SettingError(SECRET), 500, "internal_error"),
        (FleetcastError(SECRET), 500, "internal_error"),
        (KeyError(SECRET), 500, "internal_error"),
        (RecursionError(SECRET), 500, "internal_error"),
    ],
    ids=lambda part: type(part).__name__ if isinstance(part, Exception) else str(part),
)
def test_every_error_has_one_answer(error: Exception, status: int, code: str) -> None:
    answered = answer_to(error)
    problem = json.loads(answered["body"])["error"]

    assert (answered["statusCode"], problem["code"]) == (status, code)
    assert answered["headers"]["Content-Type"] == "application/json"
    assert SECRET not in answered["body"]


def test_the_caller_is_told_which_field_is_wrong() -> None:
    problem = json.loads(answer_to(RequestError("period must be 7", "period"))["body"])["error"]

    assert problem == {"code": "bad_request", "message": "period must be 7", "field": "period"}


def test_not_ready_says_when_to_come_back() -> None:
    assert answer_to(PlatformError("x"))["headers"]["Retry-After"] == str(RETRY_AFTER_SECONDS)
    assert "Retry-After" not in answer_to(DataError("x"))["headers"]


@pytest.mark.parametrize("error", [DataError("x"), ValueError("x")])
def test_what_stays_inside_can_be_found_in_the_log(error: Exception) -> None:
    assert Context().aws_request_id in answer_to(error)["body"]


@pytest.mark.parametrize("field", ["\ud800", "Ünï ¢ode", "🔌", "\u2028", "\x00", '"'])
def test_whatever_a_caller_wrote_leaves_lambda_as_ascii(field: str) -> None:
    """Half a surrogate cannot be encoded: the answer would be API Gateway's own 502."""
    answered = answer_to(RequestError(f"unknown field {field!r}", field))

    assert answered["body"].isascii()
    assert json.loads(answered["body"])["error"]["field"] == field


def test_a_document_is_answered_as_json() -> None:
    answered = api_handler(lambda event, context: {"ok": True})({}, Context())

    assert (answered["statusCode"], json.loads(answered["body"])) == (200, {"ok": True})


@pytest.mark.parametrize(
    ("raw", "customer_id"),
    [
        ("42", "42"),
        ("station%2042%2Fnorth", "station 42/north"),
        ("a/b", "a/b"),
        ("..%2F..%2Fetc", "../../etc"),
        ("%C3%9Cn%C3%AF%20%C2%A2ode", "Ünï ¢ode"),
        ("x" * 128, "x" * 128),
    ],
)
def test_a_customer_is_named_by_the_path(raw: str, customer_id: str) -> None:
    assert customer_in_path({"pathParameters": {"customer_id": raw}}) == customer_id


@pytest.mark.parametrize("raw", ["", "x" * 129, "%00", "a%0Ab", "%0D%0AX-Header:%201"])
def test_a_path_that_names_no_customer_is_refused(raw: str) -> None:
    with pytest.raises(RequestError):
        customer_in_path({"pathParameters": {"customer_id": raw}})


@pytest.mark.parametrize("event", [{}, {"pathParameters": None}, {"pathParameters": {}}])
def test_a_request_without_a_path_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        customer_in_path(event)


def test_a_text_is_answered_as_it_is() -> None:
    answered = api_handler(lambda event, context: Text("a,b\n", "text/csv"))({}, Context())

    assert answered == {
        "statusCode": 200,
        "headers": {"Content-Type": "text/csv; charset=utf-8"},
        "body": "a,b\n",
    }


@pytest.mark.parametrize(
    ("headers", "expected"),
    [(None, "a/a"), ({}, "a/a"), ({"ACCEPT": "b/*"}, "b/b"), ({"Accept": None}, "a/a")],
)
def test_the_caller_chooses_by_a_header_of_any_case(headers: Any, expected: str) -> None:
    assert accepted({"headers": headers}, "a/a", "b/b") == expected


def test_what_nobody_can_write_is_refused_with_what_there_is() -> None:
    with pytest.raises(NotAcceptable, match="Accept must allow a/a or b/b, which 'c/c' does not"):
        accepted({"headers": {"accept": "c/c"}}, "a/a", "b/b")
