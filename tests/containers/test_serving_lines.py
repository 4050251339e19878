"""JSON Lines: an answer for each line, and an end to all of them together."""

import json
import tracemalloc
from typing import Any

import pytest
from tests.containers.serving_questions import LINES, MODEL, with_holidays

from fleetcast.domain.forecasts import FIELDS, MAX_PERIOD
from fleetcast.errors import RequestError
from fleetcast_serving.forecasts import inquiry
from fleetcast_serving.forecasts.documents import document_of
from fleetcast_serving.forecasts.lines import MAX_BYTES, MAX_LINES, MAX_STEPS, answer_lines
from fleetcast_serving.repository import ServedModel


def lines(body: bytes, model: ServedModel = MODEL) -> list[dict[str, Any]]:
    answer = inquiry(body, LINES, "").answer(model)
    return [json.loads(line) for line in answer.body.splitlines()]


def test_each_line_has_its_own_answer_in_its_order() -> None:
    answers = lines(b'{"period": 1}\n{"period": 2, "interval": 0.9}\n{"period": 3}\n')

    assert [len(answer["forecast"]) for answer in answers] == [1, 2, 3]
    assert [answer["interval"] for answer in answers] == [0.8, 0.9, 0.8]


def test_a_bad_line_costs_only_its_own_answer() -> None:
    """A file of a million lines is not thrown away for one of them."""
    body = b"\n".join(
        [b'{"period": 1}', b'{"period": 0}', b"{", b"\xff", b'{"period": 1, "customer_id": "8"}', b'{"period": 2}']
    )  # fmt: skip

    answers = lines(body)

    assert [len(answers[place]["forecast"]) for place in (0, 5)] == [1, 2]
    assert [(answer["line"], answer["code"], answer["field"]) for answer in answers[1:5]] == [
        (2, "InvalidRequest", "period"),
        (3, "InvalidRequest", "body"),
        (4, "InvalidRequest", "body"),
        (5, "InvalidRequest", "customer_id"),
    ]
    assert answers[3]["message"] == "the body is not UTF-8: byte 0 is not"


def test_marks_and_blanks_between_lines_are_no_requests() -> None:
    answers = lines(b'\xef\xbb\xbf\n{"period": 1}\r\n\r\n  \n{"period": 0}\r\n\n{"period": 2}')

    assert [len(answer.get("forecast", [])) for answer in answers] == [1, 0, 2]
    assert answers[1]["line"] == 5, "as an editor counts them"


@pytest.mark.parametrize("body", [b"", b"\n\r\n ", b"\xef\xbb\xbf"])
def test_a_body_without_a_line_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError, match="the body has no line such as"):
        inquiry(body, LINES, "").answer(MODEL)


def test_lines_may_be_answered_as_one_list() -> None:
    answer = inquiry(b'{"period": 1}\n{"period": 2}', LINES, "application/json").answer(MODEL)

    assert [len(one["forecast"]) for one in json.loads(answer.body)] == [1, 2]


def test_lines_that_ask_for_more_than_fits_are_told_so() -> None:
    """A few megabytes of lines could ask for a hundred gigabytes of answers."""
    asked = MAX_STEPS // MAX_PERIOD
    answers = lines(b'{"period": %d}\n' % MAX_PERIOD * (asked + 2) + b'{"period": 1}')

    assert [len(answer.get("forecast", ())) for answer in answers] == [*[MAX_PERIOD] * asked, 0, 0, 1]
    assert f"may ask for {MAX_STEPS} steps together" in answers[-2]["message"]


def test_lines_whose_answers_are_long_end_before_the_memory_does() -> None:
    """A few kilobytes could ask for fifty gigabytes of components."""
    model = with_holidays(15, "n" * 990)
    body = b'{"period": 200, "components": true}\n'
    each = len(inquiry(body, LINES, "").answer(model).body)
    fitting = -(-MAX_BYTES // each)

    tracemalloc.start()
    answer = inquiry(body * (fitting + 3), LINES, "").answer(model)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    answers = answer.body.splitlines()
    assert [len(line) for line in answers[:fitting]] == [each - 1] * fitting
    assert len(answers) == fitting + 3
    for line in answers[fitting:]:
        assert json.loads(line)["message"].startswith(
            "the lines of one body may have 64 MB of answers together"
        )
    assert most < 1.5 * len(answer.body), "it is not held twice"


def test_lines_that_take_too_long_are_told_so_before_the_platform_gives_up() -> None:
    """Then all would be lost, also those that were answered."""
    moments = iter([100.0, 100.0, 120.0, 120.1, 200.0])

    answers = answer_lines(
        b'{"period": 1}\n' * 4, FIELDS, lambda request: document_of(MODEL, request), lambda: next(moments)
    )

    assert [json.loads(line).get("message") for line in answers] == [
        *(None, None),
        *["the lines of one body may take 20 seconds together; send this one in another"] * 2,
    ]


def test_a_refused_line_counts_as_a_step() -> None:
    refused = b'{"period": 1, "frequency": "hourly"}\n' * 9

    answers = lines(b'{"period": %d}\n' % (MAX_PERIOD) * (MAX_STEPS // MAX_PERIOD) + refused + last_of(8))

    assert "forecast" not in answers[-1]
    assert "forecast" in lines(b'{"period": %d}\n' % MAX_PERIOD * (MAX_STEPS // MAX_PERIOD) + last_of(0))[-1]


def last_of(refused: int) -> bytes:
    return b'{"period": %d}' % (MAX_STEPS % MAX_PERIOD - refused)


def test_more_lines_than_can_be_answered_in_time_are_refused_at_once() -> None:
    """Each of them would have an answer, be it a refusal: a hundred times as long as the line."""
    with pytest.raises(RequestError, match="the body has more than 100000 lines"):
        inquiry(b"1\n" * (MAX_LINES + 1), LINES, "").answer(MODEL)
