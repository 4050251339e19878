"""Parameters, environments, outputs and limits of the stack."""

import json
import re
import tomllib
from typing import Any

import pytest
from tests.static.stack import ROOT, TEMPLATE, load, of_type, resolve, translated

from fleetcast.domain.parameters import BY_NAME, PARAMETERS

# What the command line reads from a stack.
OUTPUTS = {
    *("ApiId", "ApiUrl", "DataBucketName", "ModelBucketName", "PointerTableName", "RunTableName"),
    *("StateMachineArn", "AlertTopicArn", "EndpointName", "StackRegion"),
}


def _properties(name: str) -> dict[str, Any]:
    properties: dict[str, Any] = load()["Resources"][name]["Properties"]
    return properties


def _ssm_defaults(environment_name: str) -> dict[str, str]:
    template = load()
    defaults = {name: body.get("Default") for name, body in template["Parameters"].items()}
    defaults["Environment"] = environment_name
    found = {}
    for body in of_type(template, "AWS::SSM::Parameter").values():
        name = resolve(template, body["Properties"]["Name"]).removeprefix("/fleetcast/fleetcast/")
        found[name] = str(_value(template, body["Properties"]["Value"], defaults))
    return found


def _value(template: dict[str, Any], value: Any, defaults: dict[str, Any]) -> Any:
    match value:
        case {"Ref": parameter}:
            return defaults[parameter]
        case {"Fn::FindInMap": [mapping, key, attribute]}:
            return template["Mappings"][mapping][_value(template, key, defaults)][attribute]
        case {"Fn::If": ["HasCustomSchedule", _, otherwise]}:
            return _value(template, otherwise, defaults)
    return value


def test_the_template_creates_exactly_the_parameters_that_are_read() -> None:
    assert _ssm_defaults("prod").keys() == BY_NAME.keys()


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_a_parameter_of_a_new_stack_has_the_default_of_the_table(parameter: Any) -> None:
    assert parameter.parse(_ssm_defaults("prod")[parameter.name]) == parameter.default


@pytest.mark.parametrize("environment_name", load()["Parameters"]["Environment"]["AllowedValues"])
def test_the_parameters_of_every_environment_are_valid(environment_name: str) -> None:
    for name, text in _ssm_defaults(environment_name).items():
        BY_NAME[name].parse(text)


def test_a_parameter_says_in_the_console_what_it_means() -> None:
    for body in of_type(load(), "AWS::SSM::Parameter").values():
        name = resolve(load(), body["Properties"]["Name"]).removeprefix("/fleetcast/fleetcast/")
        assert body["Properties"]["Description"].startswith(BY_NAME[name].meaning)
        if BY_NAME[name].unit:
            assert body["Properties"]["Description"].endswith(f"({BY_NAME[name].unit})")


def test_every_template_parameter_is_described_bounded_and_optional() -> None:
    for name, body in load()["Parameters"].items():
        assert body["Description"].endswith("."), name
        assert "Default" in body, name
        assert {"AllowedValues", "AllowedPattern", "MinValue"} & body.keys(), name


def test_a_changed_training_parameter_starts_a_run_and_no_other_does() -> None:
    pattern = _properties("ChangedParameterRule")["EventPattern"]["detail"]
    assert resolve(load(), pattern["name"][0]["prefix"]) == "/fleetcast/fleetcast/training/"
    assert pattern["operation"] == ["Update"], "creating the stack is no change"


def test_samconfig_knows_every_environment() -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    allowed = load()["Parameters"]["Environment"]["AllowedValues"]
    assert set(allowed) == {"local", "dev", "staging", "prod"} <= config.keys()
    for name in allowed:
        deploy = config[name]["deploy"]["parameters"]
        overrides = dict(override.split("=", 1) for override in deploy["parameter_overrides"])
        assert overrides["Environment"] == name
        assert overrides.keys() <= load()["Parameters"].keys()
        # Above 51,200 bytes CloudFormation takes a template from S3 only.
        assert deploy["resolve_s3"] is True
        assert config[name]["build"]["parameters"]["build_in_source"] is True


def test_every_stack_has_a_name_that_jobs_can_carry() -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    names = [
        config[name]["global"]["parameters"]["stack_name"] for name in ("local", "dev", "staging", "prod")
    ]
    assert len(set(names)) == 4
    assert all(re.fullmatch(r"[a-z][a-z0-9-]{0,27}", name) for name in names)


def test_no_role_has_a_name_that_needs_another_capability() -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    assert "CAPABILITY_NAMED_IAM" not in config["prod"]["deploy"]["parameters"]["capabilities"]
    assert all("RoleName" not in body["Properties"] for body in of_type(load(), "AWS::IAM::Role").values())


def test_the_outputs_are_those_that_the_command_line_reads() -> None:
    assert load()["Outputs"].keys() == OUTPUTS


def test_the_translated_template_is_within_the_limits_of_cloudformation() -> None:
    plain = translated()
    assert len(plain["Resources"]) <= 500
    assert len(plain["Outputs"]) <= 200
    assert len(json.dumps(plain).encode()) < 1_048_576
    assert len(TEMPLATE.read_bytes()) < 1_048_576
