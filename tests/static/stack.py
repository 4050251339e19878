"""The template as data: resources by type, roles as statements, and every reference as text that can be compared."""

import copy
import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yaml"
STACK_NAME = "fleetcast"
_PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "000000000000",
    "AWS::StackName": STACK_NAME,
    "AWS::URLSuffix": "amazonaws.com",
}
# Types whose Ref is already an ARN.
_REF_IS_ARN = frozenset(
    (
        "AWS::SNS::Topic",
        "AWS::StepFunctions::StateMachine",
        "AWS::Serverless::StateMachine",
        "AWS::Serverless::LayerVersion",
        "AWS::SageMaker::ModelPackageGroup",
    )
)
_ARN_SERVICE = {
    "AWS::S3::Bucket": "s3",
    "AWS::DynamoDB::Table": "dynamodb",
    "AWS::SNS::Topic": "sns",
    "AWS::SQS::Queue": "sqs",
    "AWS::Logs::LogGroup": "logs",
    "AWS::IAM::Role": "iam",
    "AWS::ECR::Repository": "ecr",
    "AWS::CodeBuild::Project": "codebuild",
    "AWS::Serverless::Function": "lambda",
    "AWS::Serverless::LayerVersion": "lambda",
    "AWS::Serverless::StateMachine": "states",
    "AWS::SageMaker::ModelPackageGroup": "sagemaker",
    "AWS::Scheduler::Schedule": "scheduler",
    "AWS::Events::Rule": "events",
}

Template = dict[str, Any]
Resource = dict[str, Any]


@dataclass(frozen=True)
class Statement:
    """One Allow of a role, its references resolved to text."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: Mapping[str, Any]


@functools.cache
def _parsed() -> Template:
    template: Template = yaml_parse(TEMPLATE.read_text())
    return template


def load() -> Template:
    """Return the template; the caller may change its copy."""
    return copy.deepcopy(_parsed())


def of_type(template: Template, kind: str) -> dict[str, Resource]:
    return {name: body for name, body in template["Resources"].items() if body["Type"] == kind}


def functions(template: Template) -> dict[str, Resource]:
    """Return the functions with what Globals gives them."""
    common = template["Globals"]["Function"]
    found = of_type(template, "AWS::Serverless::Function")
    return {name: {**body, "Properties": {**common, **body["Properties"]}} for name, body in found.items()}


def environment(template: Template, function: str) -> dict[str, Any]:
    """Return the variables of a function, those of Globals included."""
    own = template["Resources"][function]["Properties"].get("Environment", {}).get("Variables", {})
    return {**template["Globals"]["Function"]["Environment"]["Variables"], **own}


def folder_of(function: str) -> str:
    """Return the folder name of a function's logical id: PlanEndpointFunction lives in plan_endpoint."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", function.removesuffix("Function")).lower()


def resolve(template: Template, value: Any) -> str:
    """Return a reference, or text with references in it, as the text it becomes in a stack called `fleetcast`."""
    if isinstance(value, str):
        return value
    kind, argument = next(iter(value.items()))
    if kind == "Ref":
        return _ref(template, argument)
    if kind == "Fn::GetAtt":
        return _attribute(template, *(argument.split(".", 1) if isinstance(argument, str) else argument))
    if kind == "Fn::Sub":
        return re.sub(r"\$\{([^}]+)\}", lambda match: _named(template, match[1]), argument)
    return json.dumps(value)


def _named(template: Template, name: str) -> str:
    logical, _, attribute = name.partition(".")
    return _attribute(template, logical, attribute) if attribute else _ref(template, name)


def _ref(template: Template, name: str) -> str:
    if name in _PSEUDO:
        return _PSEUDO[name]
    if name in template.get("Parameters", {}):
        return str(template["Parameters"][name].get("Default", name))
    return arn(template, name) if template["Resources"][name]["Type"] in _REF_IS_ARN else name


def _attribute(template: Template, logical: str, attribute: str) -> str:
    return arn(template, logical) if attribute == "Arn" else f"{logical}.{attribute}"


def arn(template: Template, logical: str) -> str:
    """Return the ARN that stands for a resource in these tests."""
    service = _ARN_SERVICE.get(template["Resources"][logical]["Type"], "other")
    return f"arn:aws:{service}:us-east-1:000000000000:{logical}"


def statements(template: Template, role: str) -> Iterator[Statement]:
    """Yield what a role allows."""
    for policy in template["Resources"][role]["Properties"].get("Policies", []):
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Allow":
                resources = _as_list(statement["Resource"])
                yield Statement(
                    tuple(_as_list(statement["Action"])),
                    tuple(resolve(template, resource) for resource in resources),
                    statement.get("Condition", {}),
                )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allows(granted: list[Statement], action: str, resource: str | None = None) -> bool:
    """Return whether a role may do something, to any of its resources or to one."""
    return any(
        action in statement.actions
        and (resource is None or any(matches(pattern, resource) for pattern in statement.resources))
        for statement in granted
    )


def matches(pattern: str, resource: str) -> bool:
    parts = (re.escape(part).replace(r"\?", ".") for part in pattern.split("*"))
    return re.fullmatch(".*".join(parts), resource) is not None


def without_action(template: Template, role: str, action: str) -> Template:
    """Return a copy in which a role has lost one action."""
    changed = copy.deepcopy(template)
    for policy in changed["Resources"][role]["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            statement["Action"] = [a for a in _as_list(statement["Action"]) if a != action]
    return changed


@functools.cache
def translated() -> Template:
    """Return what the SAM transform makes of the template, as CloudFormation gets to see it."""
    template = load()
    for resource in template["Resources"].values():
        # `sam deploy` has uploaded these by then.
        for uploaded in ("CodeUri", "ContentUri", "DefinitionUri"):
            if uploaded in resource.get("Properties", {}):
                resource["Properties"][uploaded] = "s3://artifacts/object"
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="us-east-1"))
    plain: Template = translator.translate(template, {"AWS::Region": "us-east-1"})
    return plain
