"""From the body of a request to the body of its answer, without HTTP around it."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.containers.engine_models import of_each_kind
from tests.containers.serving_questions import KINDS, LINES, MODEL, ask, served
from tests.containers.serving_support import END, RUN_ID, naive_model

from fleetcast.domain.forecasts import FREQUENCIES, MAX_INTERVAL, MAX_PERIOD
from fleetcast.domain.names import artifact_name
from fleetcast.errors import DataError, NotAcceptable, RequestError
from fleetcast_engine import forecast, forecasting, pack
from fleetcast_engine.history.timeline import IRREGULAR, SPACINGS, Timeline
from fleetcast_serving.errors import CustomerNotFound, UnsupportedContentType
from fleetcast_serving.forecasts import inquiry
from fleetcast_serving.repository import Models, read_models

HOURLY = served(replace(naive_model("7", season=168), timeline=Timeline("hourly", 3600, END)))


@pytest.fixture
def bundle(tmp_path: Path) -> Models:
    (tmp_path / "bundle").mkdir()
    for customer in ("7", "Ünï ¢ode"):
        (tmp_path / "bundle" / artifact_name(customer)).write_bytes(pack(naive_model(customer)))
    (tmp_path / "bundle" / "broken.tar.gz").write_bytes(b"no model")
    return read_models(tmp_path)


def test_callers_may_ask_for_what_the_engine_knows() -> None:
    """The API checks requests without having the engine at hand."""
    assert (*SPACINGS, IRREGULAR) == FREQUENCIES
    assert MAX_INTERVAL == forecasting.MAX_INTERVAL


def test_an_answer_says_whose_forecast_it_is_and_by_which_model() -> None:
    answer = ask({"period": 2})

    assert answer == {
        "customer_id": "7",
        "run_id": RUN_ID,
        "family": "seasonal_naive",
        "frequency": "daily",
        "training_end": "2024-12-31T00:00:00Z",
        "trained_at": "2025-01-01T00:00:00Z",
        "interval": 0.8,
        "forecast": answer["forecast"],
    }
    assert [(row["timestamp"], row["yhat"]) for row in answer["forecast"]] == [
        ("2025-01-01T00:00:00Z", 1),
        ("2025-01-02T00:00:00Z", 2),
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("period", [1, 7, 300, MAX_PERIOD])
def test_no_digit_is_lost_between_the_engine_and_the_caller(kind: str, period: int) -> None:
    model = served(KINDS[kind])
    expected = forecast(model.loaded, period, interval=0.95)

    rows = ask({"period": period, "interval": 0.95}, model)["forecast"]

    for name, values in (("yhat", "yhat"), ("yhat_lower", "lower"), ("yhat_upper", "upper")):
        assert [row[name] for row in rows] == getattr(expected, values).tolist()
    moments = [np.datetime64(row["timestamp"].removesuffix("Z"), "s") for row in rows]
    assert [int(moment.astype(np.int64)) for moment in moments] == expected.timestamps.tolist()


def test_a_forecast_begins_where_it_is_asked_to() -> None:
    answer = ask({"period": 2, "start": "2025-02-01T00:00:00+01:00"})

    assert [row["timestamp"][:10] for row in answer["forecast"]] == ["2025-02-01", "2025-02-02"]


def test_a_coarser_frequency_shows_the_steps_that_fall_on_it() -> None:
    hours = ask({"period": 48}, HOURLY)["forecast"]

    answer = ask({"period": 2, "frequency": "daily"}, HOURLY)

    assert answer["frequency"] == "daily"
    assert answer["forecast"] == hours[23::24]


@pytest.mark.parametrize(
    ("request_", "field", "message"),
    [
        ({"period": 7, "start": "2024-12-31T00:00:00Z"}, "start", "after the end of the training data"),
        ({"period": 7, "start": "1999-01-01"}, "start", "after the end of the training data"),
        ({"period": 7, "start": "9999-12-31T23:59:59Z"}, "start", "at most 100000 are possible"),
        ({"period": 7, "frequency": "hourly"}, "frequency", "must be daily, the series' own, or weekly or monthly"),
        ({"period": 8784, "frequency": "monthly"}, "period", "may end 1 to 100000 steps"),
        ({"period": 7, "customer_id": "8"}, "customer_id", "^customer_id is not the customer of this model$"),
        ({"period": 7, "customer_id": ""}, "customer_id", "must have 1 to 128 characters"),
        ({"period": 7, "customer_id": 7}, "customer_id", "must be a text, not 7"),
    ],
)  # fmt: skip
def test_what_this_model_cannot_answer_is_the_callers_mistake_by_field(
    request_: Any, field: str, message: str
) -> None:
    with pytest.raises(RequestError, match=message) as raised:
        ask(request_)

    assert raised.value.field == field


def test_a_request_may_name_the_customer_it_means() -> None:
    assert ask({"period": 1, "customer_id": "7"})["customer_id"] == "7"


def test_a_model_that_needs_regressors_is_ours_to_mend() -> None:
    """No request can bring them, so nothing that the caller changes would help."""
    with pytest.raises(DataError, match="regressor 'temperature' has no values"):
        ask({"period": 1}, served(of_each_kind()["regressors"]))


@pytest.mark.parametrize(
    "content_type",
    [
        *("", "application/json", "application/json; charset=utf-8", "Application/JSON"),
        *('application/json;charset="UTF-8"', "application/json; charset=utf-8; x=y", "application/json;x=charset=y"),
    ],
)  # fmt: skip
def test_json_is_read_however_it_is_announced(content_type: str) -> None:
    assert inquiry(b'{"period": 3}', content_type, "").steps == 3


@pytest.mark.parametrize(
    "content_type",
    [
        *("text/csv", "application/xml", "json", "*/*", "x" * 5000),
        *("application/json; charset=latin-1", "application/json; x=y; charset=latin-1"),
    ],
)
def test_another_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(UnsupportedContentType, match="must be application/json or application/jsonlines"):
        inquiry(b'{"period": 3}', content_type, "")


@pytest.mark.parametrize(
    ("content_type", "accept", "expected"),
    [
        ("", "", "application/json"),
        ("", "*/*", "application/json"),
        ("", "text/csv", "text/csv; charset=utf-8"),
        ("", "text/*", "text/csv; charset=utf-8"),
        ("", "text/csv;q=0.5, application/json;q=0.4", "text/csv; charset=utf-8"),
        ("", "text/html, application/xhtml+xml, */*;q=0.1", "application/json"),
        ("", "application/x-ndjson", "application/x-ndjson"),
        (LINES, "", LINES),
        (LINES, "*/*", LINES),
        ("application/x-ndjson", "", "application/x-ndjson"),
        ("application/x-ndjson; charset=utf-8", "*/*", "application/x-ndjson"),
        ("application/x-ndjson", LINES, LINES),
        ("application/jsonl", "application/*;q=0.5", "application/jsonl"),
        (LINES, "application/json", "application/json"),
        ("application/x-ndjson", "application/ndjson", "application/ndjson"),
    ],
)
def test_the_answer_is_written_as_the_caller_accepts_it(
    content_type: str, accept: str, expected: str
) -> None:
    assert inquiry(b'{"period": 3}', content_type, accept).answer(MODEL).content_type == expected


@pytest.mark.parametrize(
    ("content_type", "accept"),
    [("", "text/html"), ("", "application/json;q=0, text/html"), ("", "nonsense"), (LINES, "text/csv")],
)
def test_what_nobody_can_write_is_refused_with_what_there_is(content_type: str, accept: str) -> None:
    with pytest.raises(NotAcceptable, match=r"application/jsonlines, .* accepts none") as raised:
        inquiry(b'{"period": 3}', content_type, accept)

    assert raised.value.field == "Accept"


def test_csv_is_a_table_with_a_column_for_each_component() -> None:
    name = 'a,"b"\n='
    model = served(replace(naive_model(name)))
    answer = inquiry(b'{"period": 2, "components": true}', "", "text/csv").answer(model)

    rows = list(csv.reader(io.StringIO(answer.body.decode())))

    assert rows[0] == [
        *("customer_id", "timestamp", "yhat", "yhat_lower", "yhat_upper"),
        *("components.trend", "components.season"),
    ]
    assert [row[:3] for row in rows[1:]] == [
        [name, "2025-01-01T00:00:00Z", "1.0"],
        [name, "2025-01-02T00:00:00Z", "2.0"],
    ]
    assert [float(row[5]) + float(row[6]) for row in rows[1:]] == [1.0, 2.0]


@pytest.mark.parametrize("accept", ["application/json", LINES, "text/csv"])
def test_a_name_that_has_no_utf_8_is_answered_all_the_same(accept: str) -> None:
    answer = inquiry(b'{"period": 1}', "", accept).answer(served(naive_model("\ud800")))

    assert rb"\ud800" in answer.body


def test_a_bundle_answers_for_the_customer_who_is_named(bundle: Models) -> None:
    body = '{"period": 1, "customer_id": "Ünï ¢ode"}'.encode()

    assert json.loads(inquiry(body, "", "").answer_from(bundle).body)["customer_id"] == "Ünï ¢ode"


def test_a_bundle_does_not_guess_whom_a_request_means(bundle: Models) -> None:
    with pytest.raises(RequestError, match="customer_id is missing"):
        inquiry(b'{"period": 1}', "", "").answer_from(bundle)


def test_a_customer_who_is_not_in_the_bundle_is_not_found(bundle: Models) -> None:
    with pytest.raises(CustomerNotFound, match="no model of customer '8'"):
        inquiry(b'{"period": 1, "customer_id": "8"}', "", "").answer_from(bundle)


def test_a_broken_model_in_a_bundle_is_not_the_callers_mistake(bundle: Models) -> None:
    with pytest.raises(DataError, match=r"bundle/broken\.tar\.gz is not a model") as raised:
        inquiry(b'{"period": 1, "customer_id": "broken"}', "", "").answer_from(bundle)

    assert type(raised.value) is DataError, "nobody was about to load it"


def test_lines_of_many_customers_are_answered_from_a_bundle(bundle: Models) -> None:
    body = b"\n".join(
        b'{"period": 1, "customer_id": "%s"}' % name for name in (b"7", b"8", b"broken", b"\\u00dcn\\u00ef \\u00a2ode")
    )  # fmt: skip

    answers = [json.loads(line) for line in inquiry(body, LINES, "").answer_from(bundle).body.splitlines()]

    assert [answer.get("customer_id") for answer in answers] == ["7", None, None, "Ünï ¢ode"]
    assert [answer.get("code") for answer in answers] == [None, "CustomerNotFound", "ModelBroken", None]


def test_whether_a_file_has_to_be_read_is_known_beforehand(bundle: Models) -> None:
    """So that a slow disk does not keep /ping waiting."""
    asked = inquiry(b'{"period": 1, "customer_id": "7"}', "", "")

    assert asked.is_cold(bundle)
    asked.answer_from(bundle)

    assert not asked.is_cold(bundle)
    assert inquiry(b'{"period": 1, "customer_id": "7"}', LINES, "").is_cold(bundle)


def test_the_work_that_an_answer_takes_is_known_beforehand() -> None:
    """So that /ping is not kept waiting for it."""
    assert inquiry(b'{"period": 7}', "", "").steps == 7
    assert inquiry(b'{"period": 7, "components": true}', "", "").steps > 7
    assert inquiry(b'{"period": 7}', LINES, "").steps > MAX_PERIOD


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_FIELDS = {
    "period": st.integers(1, 40) | _JSON,
    "start": st.datetimes().map(lambda moment: moment.isoformat() + "Z") | st.text("0123456789-:TZ+.", max_size=30),
    "frequency": st.sampled_from(["daily", "weekly", "monthly", "hourly", "15min", "irregular", "D"]) | _JSON,
    "interval": st.floats() | _JSON,
    "components": st.booleans() | _JSON,
    "customer_id": st.sampled_from(["7", "8"]) | st.text() | _JSON,
    "other": _JSON,
}  # fmt: skip
_REQUESTS = st.sets(st.sampled_from(sorted(_FIELDS))).flatmap(
    lambda names: st.fixed_dictionaries({name: _FIELDS[name] for name in sorted(names | {"period"})})
)
_BODIES = st.binary(max_size=60) | _REQUESTS.map(json.dumps).map(str.encode)


@given(_BODIES, st.sampled_from(["application/json", LINES]), st.text(max_size=20) | st.just("*/*"))
def test_any_request_is_answered_or_the_callers_mistake(body: bytes, content_type: str, accept: str) -> None:
    try:
        answer = inquiry(body, content_type, accept).answer(MODEL)
    except RequestError as error:
        assert len(str(error)) < 500  # noqa: PT017  # whether it is raised is what Hypothesis varies
    else:
        for line in answer.body.splitlines() if content_type == LINES else [answer.body]:
            json.loads(line, parse_constant=pytest.fail)
