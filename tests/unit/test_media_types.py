"""Which form of an answer a caller gets, by what he says he reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcast.domain.media_types import preferred

OFFERED = ("application/json", "application/jsonlines", "text/csv")
JSON, LINES, CSV = OFFERED


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", JSON),
        (" , ", JSON),
        ("*/*", JSON),
        ("text/csv", CSV),
        ("Text/CSV; charset=utf-8", CSV),
        ("text/*", CSV),
        ("application/*", JSON),
        ("text/csv, application/json", JSON),
        ("text/csv;q=0.9, application/json;q=0.8", CSV),
        ("text/csv ; q=1.000, */*; q=0.001", CSV),
        ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", JSON),
        ("application/json;q=0, */*", LINES),
        ("application/*;q=0.1, text/*;q=0.2", CSV),
        ("*/*;q=0.9, application/json;q=0.1", LINES),
        ("text/csv;q=0.5;q=1, application/json;q=0.6", JSON),
        ("application/json;q=1.0000", JSON),
        ("text/csv;q=0.33333, */*;q=0.1", CSV),
        ("text/csv;q=2, application/json;q=1", JSON),
        ("text/csv;q=1.1, application/json;q=0.9", CSV),
    ],
)
def test_the_most_welcome_form_is_chosen_and_of_equals_the_first(accept: str, expected: str) -> None:
    assert preferred(accept, OFFERED) == expected


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "json",
        "*",
        "application",
        "*/*;q=0",
        "text/csv;q=0.000",
        "text/csv;q=",
        "text/csv;q=high",
    ],
)
def test_what_nobody_can_read_is_nothing(accept: str) -> None:
    assert preferred(accept, OFFERED) is None


@pytest.mark.parametrize("quality", ["-1", "1e-1", "nan", "inf", "0.5.5", "\u0661"])
def test_a_quality_that_is_none_asks_for_nothing(quality: str) -> None:
    assert preferred(f"text/csv;q={quality}, application/json;q=0.1", OFFERED) == JSON


@given(st.text() | st.text("*/;,q=.01 ajsontexcv", max_size=300))
def test_any_header_has_an_answer(accept: str) -> None:
    assert preferred(accept, OFFERED) in (*OFFERED, None)
