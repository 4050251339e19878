"""POST /customers/{customer_id}/forecasts, from the event that API Gateway sends to the answer that it passes on."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from botocore.response import StreamingBody
from botocore.stub import Stubber
from tests.unit.function_support import ROOT, Context, load_function, sample
from tests.unit.test_pointer_table import FIRST, SECOND

from fleetcast.adapters.clients import client
from fleetcast.adapters.pointer_table import PointerTable
from fleetcast.domain.names import target_model

CUSTOMER = "station 42/north"
STEP = {"timestamp": "2026-01-31T00:00:00Z", "yhat": 1.0, "yhat_lower": 0.5, "yhat_upper": 1.5}
FORECAST = {"customer_id": CUSTOMER, "frequency": "1 day", "interval": 0.8, "forecast": [STEP] * 7}
SCHEMAS = yaml.safe_load((ROOT / "api" / "openapi.yaml").read_text())["components"]["schemas"]
Ask = Callable[..., tuple[int, dict[str, Any]]]


def conforms(document: Any, schema: str) -> None:
    """Hold a document to the published one; `nullable` is OpenAPI's way to say null."""

    def plain(node: Any) -> Any:
        if isinstance(node, dict):
            made = {key: plain(inner) for key, inner in node.items() if key != "nullable"}
            return {**made, "type": [node["type"], "null"]} if node.get("nullable") is True else made
        return [plain(inner) for inner in node] if isinstance(node, list) else node

    jsonschema.validate(document, plain(SCHEMAS[schema]))


@pytest.fixture
def released(pointer_table: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A customer with a model, and the function's environment."""
    PointerTable(pointer_table).promote([(CUSTOMER, FIRST)], by=FIRST.run_id)
    for name, value in {
        "ENDPOINT_NAME": "fleetcast",
        "POINTER_TABLE": pointer_table,
        "POINTER_CACHE_SECONDS": "30",
    }.items():
        monkeypatch.setenv(name, value)
    return pointer_table


@pytest.fixture
def runtime(released: str) -> Iterator[Stubber]:
    with Stubber(client("sagemaker-runtime", read_timeout=20, attempts=1)) as stubber:
        yield stubber


@pytest.fixture
def ask(released: str) -> Ask:
    """Send the sample request, changed, to one warm function; every answer is one that API Gateway takes."""
    function = load_function("forecast_customer")

    def send(
        body: str | None = '{"period": 7}', customer: str | None = None, **changes: Any
    ) -> tuple[int, Any]:
        event = {**sample("forecast_customer"), "body": body, **changes}
        if customer is not None:
            event["pathParameters"] = {"customer_id": customer}
        answered = function.lambda_handler(event, Context())
        assert answered.keys() == {"statusCode", "headers", "body"}
        document = json.loads(answered["body"])
        conforms(document, "Forecast" if answered["statusCode"] == 200 else "Problem")
        return answered["statusCode"], document

    return send


def forecast(stubber: Stubber, document: Any = FORECAST, **expected: Any) -> None:
    body = json.dumps(document).encode()
    parameters = {
        "EndpointName": "fleetcast",
        "TargetModel": FIRST.key,
        "ContentType": "application/json",
        "Accept": "application/json",
        "Body": '{"period": 7}',
    }
    stubber.add_response(
        "invoke_endpoint", {"Body": StreamingBody(io.BytesIO(body), len(body))}, {**parameters, **expected}
    )


def test_a_customer_gets_the_forecast_of_its_own_model(ask: Ask, runtime: Stubber) -> None:
    forecast(runtime)

    status, document = ask()

    assert status == 200
    assert document["customer_id"] == CUSTOMER
    assert (document["run_id"], document["model_family"]) == (FIRST.run_id, "prophet")
    assert document["training_end"] == "2026-01-30T00:00:00Z"
    assert document["model_age_seconds"] > 0
    assert document["forecast"] == [STEP] * 7


def test_all_that_may_be_asked_reaches_the_model(ask: Ask, runtime: Stubber) -> None:
    asked = {
        "period": 3,
        "start": "2026-02-01T00:00:00Z",
        "frequency": "weekly",
        "interval": 0.5,
        "components": True,
    }
    explained = {**STEP, "components": {"trend": 1.0, "weekly": 0.5}}
    forecast(runtime, {**FORECAST, "forecast": [explained] * 3}, Body=json.dumps(asked))

    status, document = ask(json.dumps(asked))

    assert status == 200
    assert document["forecast"] == [explained] * 3


def test_a_caller_who_reads_csv_gets_a_table(released: str, runtime: Stubber) -> None:
    forecast(runtime)
    event = {**sample("forecast_customer"), "body": '{"period": 7}', "headers": {"Accept": "text/csv"}}

    answered = load_function("forecast_customer").lambda_handler(event, Context())

    assert answered["statusCode"] == 200
    assert answered["headers"] == {"Content-Type": "text/csv; charset=utf-8"}
    assert answered["body"].splitlines() == [
        "customer_id,timestamp,yhat,yhat_lower,yhat_upper",
        *[f"{CUSTOMER},2026-01-31T00:00:00Z,1.0,0.5,1.5"] * 7,
    ]


def test_a_caller_who_reads_neither_json_nor_csv_is_told_so_before_the_model_is_asked(
    ask: Ask, runtime: Stubber
) -> None:
    status, document = ask(headers={"Accept": "text/html"})

    assert (status, document["error"]["code"], document["error"]["field"]) == (
        406,
        "not_acceptable",
        "Accept",
    )


def test_a_customer_without_a_model_is_unknown(ask: Ask, runtime: Stubber) -> None:
    """SageMaker is not asked: nothing is stubbed, so asking would fail."""
    status, document = ask(customer="nobody")

    assert status == 404
    assert document["error"] == {
        "code": "unknown_customer",
        "message": "customer 'nobody' has no released model",
        "field": "customer_id",
    }


@pytest.mark.parametrize(
    "customer",
    [
        "..%2F..%2Fetc",
        "a%2Fb",
        "%C3%9Cn%C3%AF%20%C2%A2ode",
        "x" * 128,
        "'; DROP TABLE pointers",
        "null",
        "%20",
    ],
)
def test_a_hostile_id_is_just_an_unknown_customer(ask: Ask, runtime: Stubber, customer: str) -> None:
    assert ask(customer=customer)[0] == 404


@pytest.mark.parametrize("customer", ["", "x" * 129, "%00", "%0A"])
def test_what_is_no_id_is_the_callers_mistake(ask: Ask, runtime: Stubber, customer: str) -> None:
    status, document = ask(customer=customer)

    assert (status, document["error"]["field"]) == (400, "customer_id")


BODIES = {
    "zero": '{"period": 0}',
    "negative": '{"period": -1}',
    "fraction": '{"period": 1.5}',
    "text": '{"period": "7"}',
    "boolean": '{"period": true}',
    "huge": '{"period": 1000000000}',
    "nan": '{"period": NaN}',
    "nothing": None,
    "empty": "",
    "no json": "{",
    "no object": "[7]",
    "unknown field": '{"period": 7, "horizon": 7}',
    "a field twice": '{"period": 7, "period": 8}',
    "no time": '{"period": 7, "start": "tomorrow"}',
    "no frequency": '{"period": 7, "frequency": "yearly"}',
    "interval of one": '{"period": 7, "interval": 1}',
    "components by name": '{"period": 7, "components": ["trend"]}',
    "another customer": '{"period": 7, "customer_id": "43"}',
    "half a surrogate": '{"\\ud800": 7}',
    "ten megabytes": '{"period": 7' + " " * 10_000_000 + "}",
    "nested": '{"period": ' + "[" * 20_000 + "]" * 20_000 + "}",
    "digits": '{"period": ' + "9" * 60_000 + "}",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_bad_body_is_the_callers_mistake_and_says_which_field(
    ask: Ask, runtime: Stubber, body: str | None
) -> None:
    status, document = ask(body)

    assert status == 400
    assert document["error"]["field"]
    assert len(document["error"]["message"]) < 300


def test_another_content_type_is_the_callers_mistake(ask: Ask, runtime: Stubber) -> None:
    status, document = ask(headers={"content-type": "text/plain"})

    assert (status, document["error"]["field"]) == (400, "Content-Type")


@pytest.mark.parametrize(
    ("code", "http", "expected"),
    [
        ("ModelNotReadyException", 429, (503, "not_ready")),
        ("ServiceUnavailable", 503, (503, "not_ready")),
        ("InternalFailure", 500, (503, "not_ready")),
        ("InternalDependencyException", 530, (503, "not_ready")),
        ("ValidationError", 400, (502, "model_failed")),
    ],
)
def test_every_error_of_the_endpoint_has_its_answer(
    ask: Ask, runtime: Stubber, code: str, http: int, expected: tuple[int, str]
) -> None:
    runtime.add_client_error("invoke_endpoint", code, "s3://models/secret", http)

    answered, document = ask()

    assert (answered, document["error"]["code"]) == expected
    assert "secret" not in json.dumps(document)


@pytest.mark.parametrize(
    ("original", "status"), [(400, 400), (422, 502), (500, 502), (0, 503), (404, 503), (507, 503)]
)
def test_an_error_of_the_container_leaks_nothing_but_a_refusal(
    ask: Ask, runtime: Stubber, original: int, status: int
) -> None:
    message = json.dumps({"code": "InvalidRequest", "message": "period must be below 100", "field": "period"})
    fields = {"OriginalStatusCode": original, "OriginalMessage": message, "LogStreamArn": "arn:secret"}
    runtime.add_client_error("invoke_endpoint", "ModelError", "secret", 424, modeled_fields=fields)

    answered, document = ask()

    assert answered == status
    assert "secret" not in json.dumps(document)
    assert ("below 100" in document["error"]["message"]) == (status == 400)


@pytest.mark.parametrize(
    "answered", [{**FORECAST, "customer_id": "43"}, {"forecast": []}, [], None, {"customer_id": CUSTOMER}]
)
def test_what_is_not_this_customers_forecast_never_reaches_the_caller(
    ask: Ask, runtime: Stubber, answered: Any
) -> None:
    forecast(runtime, answered)

    status, document = ask()

    assert (status, document["error"]["code"]) == (502, "model_failed")
    assert "43" not in document["error"]["message"]


def test_a_table_that_does_not_answer_is_our_error(ask: Ask, runtime: Stubber) -> None:
    client("dynamodb").delete_table(TableName="pointers")

    status, document = ask()

    assert (status, document["error"]["code"]) == (500, "internal_error")
    assert Context().aws_request_id in document["error"]["message"]


def test_a_warm_function_remembers_the_pointer(ask: Ask, runtime: Stubber, released: str) -> None:
    """Within POINTER_CACHE_SECONDS the former model answers, which is still there: keys are never overwritten."""
    forecast(runtime)
    forecast(runtime)
    ask()
    PointerTable(released).promote([(CUSTOMER, SECOND)], by=SECOND.run_id)

    assert ask()[1]["run_id"] == FIRST.run_id


def test_a_cold_function_sees_the_release_at_once(runtime: Stubber, released: str) -> None:
    PointerTable(released).promote([(CUSTOMER, SECOND)], by=SECOND.run_id)
    forecast(runtime, TargetModel=SECOND.key)

    answered = load_function("forecast_customer").lambda_handler(sample("forecast_customer"), Context())

    assert json.loads(answered["body"])["run_id"] == SECOND.run_id


def test_the_model_of_a_hostile_id_is_asked_by_its_encoded_key(
    ask: Ask, runtime: Stubber, released: str
) -> None:
    customer = "../../etc"
    key = target_model(FIRST.run_id, customer)
    PointerTable(released).promote([(customer, replace(FIRST, key=key))], by=FIRST.run_id)
    forecast(
        runtime, {**FORECAST, "customer_id": customer}, TargetModel=f"{FIRST.run_id}/%2E.%2F..%2Fetc.tar.gz"
    )

    assert ask(customer="..%2F..%2Fetc")[0] == 200


_COLD_START = """
import json
from tests.unit.function_support import Context, load_function, sample
answered = load_function("forecast_customer").lambda_handler(sample("forecast_customer"), Context())
print("ANSWER", json.dumps(answered))
"""


def test_a_function_without_its_environment_says_so_in_its_log_only() -> None:
    """The caller learns that it was not his fault, and the id under which the log says whose."""
    environment = {
        "PYTHONPATH": str(ROOT),
        "POWERTOOLS_SERVICE_NAME": "fleetcast",
        "POWERTOOLS_TRACE_DISABLED": "true",
    }
    environment |= {"POWERTOOLS_METRICS_NAMESPACE": "Fleetcast", "ENDPOINT_NAME": "fleetcast"}
    done = subprocess.run(
        [sys.executable, "-c", _COLD_START],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    log, _, answered = done.stdout.partition("ANSWER ")

    assert "environment variable POINTER_TABLE is not set" in log
    assert Context().aws_request_id in log
    assert json.loads(answered)["statusCode"] == 500
    assert "POINTER_TABLE" not in answered
