"""The request for a forecast and the answer to it: whatever a caller or a container sends."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.test_pointer_table import FIRST

from fleetcast.domain.forecasts import MAX_BODY_BYTES, MAX_PERIOD, ForecastRequest, answer
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
        "\ufeff{}",
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
    with pytest.raises(RequestError, match="unknown field 'horizon'; allowed: period") as raised:
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
