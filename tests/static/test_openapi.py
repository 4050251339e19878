"""The one description of the API is valid, closed, and what the functions answer to."""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from tests.static.stack import ROOT, folder_of, functions, load, of_type

from fleetcast.domain.forecasts import (
    DEFAULT_INTERVAL,
    FIELDS,
    FREQUENCIES,
    MAX_INTERVAL,
    MAX_PERIOD,
    MIN_INTERVAL,
    MOMENT,
    ForecastRequest,
)
from fleetcast.domain.names import MAX_CUSTOMER_ID
from fleetcast.domain.pointers import Release
from fleetcast.errors import RequestError

DOCUMENT: dict[str, Any] = yaml.safe_load((ROOT / "api" / "openapi.yaml").read_text())
OPERATIONS = [
    (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    if method != "parameters"
]
each_operation = pytest.mark.parametrize(
    ("path", "method", "operation"),
    OPERATIONS,
    ids=[operation["operationId"] for _, _, operation in OPERATIONS],
)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for inner in node.values():
            yield from _references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _references(inner)


def _at(pointer: str) -> Any:
    node: Any = DOCUMENT
    for part in pointer.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_the_document_says_which_openapi_it_is() -> None:
    assert DOCUMENT["openapi"].startswith("3.0.")
    assert {"title", "version"} <= DOCUMENT["info"].keys()


def test_every_reference_leads_somewhere() -> None:
    assert all(_at(reference) for reference in _references(DOCUMENT))


def test_every_component_is_used() -> None:
    used = set(_references(DOCUMENT))
    defined = {
        f"#/components/{kind}/{name}"
        for kind, members in DOCUMENT["components"].items()
        if kind != "securitySchemes"
        for name in members
    }
    assert defined == used


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_every_schema_is_a_schema(name: str) -> None:
    """OpenAPI 3.0 has `nullable` for a type of null; the rest is JSON schema, draft 4 style."""
    schema = DOCUMENT["components"]["schemas"][name]
    jsonschema.Draft4Validator.check_schema(schema)
    assert set(schema.get("required", [])) <= schema["properties"].keys()


@each_operation
def test_every_operation_asks_for_credentials_itself(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    """API Gateway ignores the `security` of the whole document: without its own, a method is open to everybody."""
    assert operation.get("security") == [{"sigv4": []}]


def test_credentials_are_those_of_iam() -> None:
    scheme = DOCUMENT["components"]["securitySchemes"]
    assert scheme.keys() == {"sigv4"}
    assert scheme["sigv4"]["x-amazon-apigateway-authtype"] == "awsSigv4"
    assert (scheme["sigv4"]["type"], scheme["sigv4"]["in"], scheme["sigv4"]["name"]) == (
        "apiKey",
        "header",
        "Authorization",
    )


@each_operation
def test_every_operation_is_complete(path: str, method: str, operation: dict[str, Any]) -> None:
    in_path = set(re.findall(r"\{(\w+)\}", path))
    declared = {_at(p["$ref"])["name"] if "$ref" in p else p["name"] for p in operation.get("parameters", [])}
    assert declared == in_path
    assert operation["summary"].endswith(".")
    assert "200" in operation["responses"]


@each_operation
def test_every_operation_is_answered_by_the_function_of_its_name(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    logical = f"{operation['operationId'][0].upper()}{operation['operationId'][1:]}Function"
    integration = operation["x-amazon-apigateway-integration"]
    assert logical in functions(load())
    assert (ROOT / "functions" / folder_of(logical)).is_dir()
    assert integration["type"] == "aws_proxy"
    assert integration["httpMethod"] == "POST", "how a function is invoked, whatever the method of the route"
    assert integration["timeoutInMillis"] <= 29_000
    assert f"${{{logical}.Arn}}/invocations" in integration["uri"]["Fn::Sub"]


@each_operation
def test_api_gateway_may_invoke_the_function_for_this_route_only(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    logical = f"{operation['operationId'][0].upper()}{operation['operationId'][1:]}Function"
    permissions = of_type(load(), "AWS::Lambda::Permission").values()
    sources = [
        body["Properties"]["SourceArn"]["Fn::Sub"]
        for body in permissions
        if body["Properties"]["FunctionName"] == {"Ref": logical}
    ]
    route = re.sub(r"\{\w+\}", "*", path)
    assert [source.partition("${Api}")[2] for source in sources] == [f"/*/{method.upper()}{route}"]


def test_the_bounds_are_those_of_the_code() -> None:
    fields = DOCUMENT["components"]["schemas"]["ForecastRequest"]["properties"]
    period, interval = fields["period"], fields["interval"]
    customer = DOCUMENT["components"]["parameters"]["CustomerId"]["schema"]
    assert tuple(fields) == FIELDS
    assert (period["minimum"], period["maximum"]) == (1, MAX_PERIOD)
    assert (interval["minimum"], interval["maximum"]) == (MIN_INTERVAL, MAX_INTERVAL)
    assert interval["default"] == DEFAULT_INTERVAL
    assert tuple(fields["frequency"]["enum"]) == FREQUENCIES
    assert fields["start"]["pattern"] == f"^{MOMENT}$"
    assert (customer["minLength"], customer["maxLength"]) == (1, MAX_CUSTOMER_ID)


@pytest.mark.parametrize(
    "start",
    [
        *("2026-02-01", "2026-02-01T06:30", "2026-02-01T06:30Z", "2026-02-01T06:30:00+01:00"),
        *("2026-02-01T06:30:00.5Z", "2026-2-1", "2026-02-01 06:30", "2026-02-01T06:30:00 Z", "1", "tomorrow"),
    ],
)
def test_a_start_is_described_as_it_is_accepted(start: str) -> None:
    """A client that checks its requests against the document, formats included, may send what the API takes."""
    schema = DOCUMENT["components"]["schemas"]["ForecastRequest"]
    validator = jsonschema.Draft4Validator(schema, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER)
    document = {"period": 7, "start": start}

    try:
        ForecastRequest.from_document(document)
    except RequestError:
        assert not validator.is_valid(document)
    else:
        assert validator.is_valid(document)
        assert "format" not in schema["properties"]["start"]


def test_a_model_is_described_by_its_pointer() -> None:
    described = DOCUMENT["components"]["schemas"]["Model"]["properties"].keys()
    assert described == {"customer_id", *Release.__dataclass_fields__}


def test_no_operation_answers_errors_that_it_does_not_name() -> None:
    """What `fleetcast.adapters.http` can answer, a caller finds in the document."""
    for path, _, operation in OPERATIONS:
        expected = {"200", "500"} | ({"400", "404"} if "{customer_id}" in path else {"503"})
        assert expected <= operation["responses"].keys(), operation["operationId"]
