"""The request for a forecast and the answer to it: whatever a caller or a container sends."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.test_pointer_table import FIRST

from fleetcast.domain.forecasts import (
    CUSTOMER_ID,
    FIELDS,
    FREQUENCIES,
    MAX_BODY_BYTES,
    MAX_PERIOD,
    ForecastRequest,
    answer,
    to_csv,
)
from fleetcast.errors import DataError, RequestError

NOW = datetime(2026, 1, 31, 3, 10, tzinfo=UTC)
STEP = {"timestamp": "2026-01-31T00:00:00Z", "yhat": 1.0, "yhat_lower": 0.5, "yhat_upper": 1.5}
FORECAST = {"customer_id": "42", "frequency": "1 day", "interval": 0.8, "forecast": [STEP]}


@pytest.mark.parametrize("period", [1, 7, MAX_PERIOD])
def test_a_whole_number_of_steps_is_a_request(period: int) -> None:
    assert ForecastRequest.from_body(json.dumps({"period": period})).period == period


@pytest.mark.parametrize(
    "period",
    [
        "0",
        "-1",
        "1.5",
        '"7"',
        "true",
        "false",
        "1000000000",
        "8785",
        "NaN",
        "Infinity",
        "null",
        "[7]",
        "{}",
        "7.0",
    ],
)
def test_any_other_period_is_refused_with_the_field_and_what_is_allowed(period: str) -> None:
    with pytest.raises(RequestError, match="period must be a whole number from 1 to 8784, not ") as raised:
        ForecastRequest.from_body(f'{{"period": {period}}}')
    assert raised.value.field == "period"


@pytest.mark.parametrize(
    "body",
    [
        None,
        "",
        " ",
        "{",
        "period=7",
        "{'period': 7}",
        '{"period": 7}}',
        "{}\ufeff",
        "nul",
        '"',
        "{}" * 2,
        "\x00",
    ],
)
def test_a_body_that_is_no_json_is_refused(body: str | None) -> None:
    with pytest.raises(RequestError, match=r'the body must be JSON such as \{"period": 7\}') as raised:
        ForecastRequest.from_body(body)
    assert raised.value.field == "body"


@pytest.mark.parametrize("body", ["[]", "7", '"7"', "null", "true", '[{"period": 7}]', "NaN"])
def test_json_that_is_no_object_is_refused(body: str) -> None:
    with pytest.raises(RequestError, match="must be a JSON object"):
        ForecastRequest.from_body(body)


def test_an_unknown_field_is_named() -> None:
    """A misspelt field that is silently ignored costs its sender a day."""
    with pytest.raises(
        RequestError, match="unknown field 'horizon'; allowed: period, start, frequency"
    ) as raised:
        ForecastRequest.from_body('{"period": 7, "horizon": 9}')
    assert raised.value.field == "horizon"


def test_a_missing_period_is_refused() -> None:
    with pytest.raises(RequestError, match="not null"):
        ForecastRequest.from_body("{}")


@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 10 * 1024 * 1024])
def test_a_body_of_megabytes_is_refused_unread(size: int) -> None:
    with pytest.raises(RequestError, match="has more than 65536 bytes"):
        ForecastRequest.from_body('{"period": 7' + " " * (size - 13) + "}")


@pytest.mark.parametrize("depth", [10, *range(880, 1010, 2), 30_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_a_nested_bomb_is_refused_at_any_depth(depth: int, opening: str, closing: str) -> None:
    body = f'{{"period": {opening * depth}7{closing * depth}}}'

    with pytest.raises(RequestError):
        ForecastRequest.from_body(body)


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(RequestError):
        ForecastRequest.from_body(f'{{"period": {"9" * 60_000}}}')


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.text() | _JSON.map(json.dumps) | st.dictionaries(st.just("period"), _JSON).map(json.dumps))
def test_any_body_is_a_request_or_the_callers_mistake(body: str) -> None:
    try:
        request = ForecastRequest.from_body(body)
    except RequestError as error:
        assert len(str(error)) < 500  # noqa: PT017  # whether it is raised is what Hypothesis varies
    else:
        assert 1 <= request.period <= MAX_PERIOD


@pytest.mark.parametrize("name", ["Content-Type", "content-type", "CONTENT-TYPE"])
@pytest.mark.parametrize("value", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_is_recognised_however_it_is_spelt(name: str, value: str) -> None:
    assert ForecastRequest.from_event({"headers": {name: value}, "body": '{"period": 7}'}).period == 7


@pytest.mark.parametrize("headers", [None, {}])
def test_a_request_without_headers_is_taken_for_json(headers: Any) -> None:
    assert ForecastRequest.from_event({"headers": headers, "body": '{"period": 7}'}).period == 7


@pytest.mark.parametrize(
    "value", ["text/plain", "application/xml", "multipart/form-data", "application/json2", ""]
)
def test_another_content_type_is_refused(value: str) -> None:
    with pytest.raises(RequestError, match="Content-Type must be application/json") as raised:
        ForecastRequest.from_event({"headers": {"Content-Type": value}, "body": '{"period": 7}'})
    assert raised.value.field == "Content-Type"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-02-01", "2026-02-01T00:00:00Z"),
        ("2026-02-01T06:30", "2026-02-01T06:30:00Z"),
        ("2026-02-01T06:30:15", "2026-02-01T06:30:15Z"),
        ("2026-02-01T06:30:15Z", "2026-02-01T06:30:15Z"),
        ("2026-02-01T00:00:00+01:00", "2026-01-31T23:00:00Z"),
        ("2026-02-01T06:30:15.000001Z", "2026-02-01T06:30:16Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_a_start_is_a_moment_in_utc_unless_it_says_otherwise(text: str, expected: str) -> None:
    request = ForecastRequest.from_body(json.dumps({"period": 7, "start": text}))

    assert request.to_document() == {"period": 7, "start": expected}


def test_a_start_without_a_zone_is_in_utc_wherever_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        request = ForecastRequest.from_document({"period": 7, "start": "2026-02-01T06:30"})
    finally:
        monkeypatch.undo()
        time.tzset()

    assert request.start == datetime(2026, 2, 1, 6, 30, tzinfo=UTC).timestamp()


REFUSED = {
    "start": [
        *("", "soon", "2026-02-30", "2026-02-01 00:00", "20260201", "2026-02-01T25:00:00Z", "2026-13-01"),
        *("1969-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.5Z", "\u0662026-02-01"),
        *("2026-02-01T00:00:00z", 1_769_904_000, None, True, [], "9" * 1000),
    ],
    "frequency": ["", "D", "Daily", "yearly", 86_400, None, ["daily"], {}],
    "interval": [0, 1, 0.0, 1.0, -0.5, 80, 0.99999, 1e-9, "0.8", None, False, True, [], {}, 10**400],
    "components": [None, 0, 1, "true", "trend", ["trend"], {}],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field in REFUSED for value in REFUSED[field]]
)
def test_any_other_value_is_refused_by_its_field(field: str, value: Any) -> None:
    with pytest.raises(RequestError, match=f"{field} must be .*, not ") as raised:
        ForecastRequest.from_body(json.dumps({"period": 7, field: value}))

    assert raised.value.field == field
    assert len(str(raised.value)) < 250


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_an_interval_that_is_no_number_is_refused(number: str) -> None:
    with pytest.raises(RequestError, match=r"interval must be a number from 0\.0001 to 0\.9999, not "):
        ForecastRequest.from_body(f'{{"period": 7, "interval": {number}}}')


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_what_a_request_says_is_what_the_container_is_asked(frequency: str) -> None:
    document = {
        "period": 7,
        "start": "2026-02-01T00:00:00Z",
        "frequency": frequency,
        "interval": 0.95,
        "components": True,
    }

    assert ForecastRequest.from_document(document).to_document() == document


def test_what_is_as_usual_is_not_said() -> None:
    """So a container of the release before, which knows fewer fields, goes on answering during an update."""
    document = {"period": 7, "interval": 0.8, "components": False}

    assert ForecastRequest.from_document(document).to_document() == {"period": 7}


@pytest.mark.parametrize(
    "body", ['{"period": 7, "period": 8}', '{"period": 7, "start": {"a": 1, "b": 2, "a": 3}}']
)
def test_a_field_that_comes_twice_is_refused(body: str) -> None:
    """Which of the two is meant, nobody knows; most parsers take the last without a word."""
    with pytest.raises(RequestError, match="comes more than once"):
        ForecastRequest.from_body(body)


def test_the_customer_is_named_in_the_body_only_where_no_path_names_him() -> None:
    body = '{"period": 7, "customer_id": "42"}'

    assert ForecastRequest.from_body(body, (*FIELDS, CUSTOMER_ID)).customer_id == "42"
    with pytest.raises(RequestError, match="unknown field 'customer_id'"):
        ForecastRequest.from_body(body)


def test_bytes_that_are_no_utf_8_are_refused_with_their_place() -> None:
    assert ForecastRequest.from_body(b'{"period": 7}').period == 7
    with pytest.raises(RequestError, match="the body is not UTF-8: byte 11 is not"):
        ForecastRequest.from_body(b'{"period": \xff}')


def test_a_byte_order_mark_before_the_body_is_no_harm() -> None:
    """As it is before JSON Lines: editors write it, and nobody sees it."""
    assert ForecastRequest.from_body(b'\xef\xbb\xbf{"period": 7}').period == 7
    assert ForecastRequest.from_body('\ufeff{"period": 7}').period == 7


def test_csv_can_always_be_encoded() -> None:
    """Half a surrogate in a name would not leave Lambda, nor reach a terminal."""
    explained = {**STEP, "components": {"\ud800x": 0.75}}

    written = to_csv({**FORECAST, "forecast": [explained]}).encode().decode()

    assert written.splitlines()[0].endswith(r",components.\ud800x")


def test_csv_has_a_row_for_each_step() -> None:
    explained = {**STEP, "components": {"trend": 0.75, "weekly": 0.25}}

    assert to_csv(FORECAST) == (
        "customer_id,timestamp,yhat,yhat_lower,yhat_upper\n42,2026-01-31T00:00:00Z,1.0,0.5,1.5\n"
    )
    assert to_csv({**FORECAST, "forecast": [explained]}).splitlines() == [
        "customer_id,timestamp,yhat,yhat_lower,yhat_upper,components.trend,components.weekly",
        "42,2026-01-31T00:00:00Z,1.0,0.5,1.5,0.75,0.25",
    ]
    assert to_csv({**FORECAST, "forecast": []}).count("\n") == 1


def test_the_answer_joins_forecast_and_model() -> None:
    assert answer("42", FIRST, FORECAST, NOW) == {
        "customer_id": "42",
        "run_id": FIRST.run_id,
        "model_family": "prophet",
        "training_end": "2026-01-30T00:00:00Z",
        "model_age_seconds": 3_600,
        "frequency": "1 day",
        "interval": 0.8,
        "forecast": [STEP],
    }


def test_a_model_from_a_clock_that_is_ahead_has_no_negative_age() -> None:
    assert answer("42", FIRST, FORECAST, NOW - timedelta(days=1))["model_age_seconds"] == 0


@pytest.mark.parametrize("customer_id", ["43", "", None, 42, "42 ", ["42"]])
def test_another_customers_forecast_never_reaches_the_caller(customer_id: Any) -> None:
    with pytest.raises(DataError, match="answered for another customer than '42'"):
        answer("42", FIRST, {**FORECAST, "customer_id": customer_id}, NOW)


@pytest.mark.parametrize(
    "forecast", [{"customer_id": "42"}, [], None, "42", {"customer_id": "42", "forecast": None}]
)
def test_an_answer_that_is_no_forecast_is_the_models_fault(forecast: Any) -> None:
    with pytest.raises(DataError):
        answer("42", FIRST, forecast, NOW)
