"""botocore's service models as the judges of what Step Functions may send and will receive."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session
from botocore.model import OperationModel, Shape
from botocore.validate import ParamValidator
from tests.static.asl_paths import OneOf
from tests.static.machines import Integration

# Step Functions' names of services, where they differ from boto3's.
_SERVICES = {
    "states": "stepfunctions",
    "sfn": "stepfunctions",
    "eventbridge": "events",
    "applicationautoscaling": "application-autoscaling",
}
_DESCRIBED_BY = {
    "createTrainingJob": "DescribeTrainingJob",
    "createProcessingJob": "DescribeProcessingJob",
    "createTransformJob": "DescribeTransformJob",
}
_DEPTH = 6


@functools.cache
def service(name: str) -> Any:
    return botocore.session.get_session().get_service_model(_SERVICES.get(name, name))


def operation(called: Integration) -> OperationModel:
    name = called.operation[0].upper() + called.operation[1:]
    model = service(called.service)
    assert name in model.operation_names, f"{called.service} has no operation {name}"
    found: OperationModel = model.operation_model(name)
    return found


def complaints(called: Integration, parameters: Mapping[str, Any]) -> list[str]:
    """Return what the service's model says against the parameters, one sentence per fault."""
    shape = operation(called).input_shape
    report = _Validator().validate(_own_spelling(parameters, shape), shape)
    return [
        *report.generate_report().splitlines(),
        *_beyond_bounds(_own_spelling(parameters, shape), shape, ""),
    ]


class _Validator(ParamValidator):  # type: ignore[misc]  # botocore ships no types
    def _validate(self, params: Any, shape: Shape, errors: Any, name: str) -> Any:
        return super()._validate(str(params) if isinstance(params, OneOf) else params, shape, errors, name)


def _own_spelling(value: Any, shape: Shape) -> Any:
    """Step Functions takes PascalCase for every service; the models of some begin in lower case."""
    if shape.type_name == "structure" and isinstance(value, Mapping):
        members = {name[0].upper() + name[1:]: name for name in shape.members}
        return {
            members.get(key, key): _own_spelling(inner, shape.members[members[key]])
            if key in members
            else inner
            for key, inner in value.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_own_spelling(item, shape.member) for item in value]
    return value


def _beyond_bounds(value: Any, shape: Shape, where: str) -> list[str]:
    """Check enumerations and upper bounds, which botocore leaves to the service."""
    if shape.type_name == "structure" and isinstance(value, Mapping):
        members = [(key, inner) for key, inner in value.items() if key in shape.members]
        return [
            c for key, inner in members for c in _beyond_bounds(inner, shape.members[key], f"{where}.{key}")
        ]
    if shape.type_name == "list" and isinstance(value, list):
        return [c for item in value for c in _beyond_bounds(item, shape.member, where)]
    if shape.type_name == "map" and isinstance(value, Mapping):
        return [
            c for key, inner in value.items() for c in _beyond_bounds(inner, shape.value, f"{where}.{key}")
        ]
    return list(_leaf_complaints(value, shape, where))


def _leaf_complaints(value: Any, shape: Shape, where: str) -> Iterator[str]:
    highest = shape.metadata.get("max")
    if isinstance(value, str) and shape.type_name == "string":
        if shape.enum and value not in shape.enum:
            yield f"{where} is {value!r}, not one of {shape.enum}"
        if highest is not None and len(value) > highest:
            yield f"{where} is longer than {highest}"
    elif isinstance(value, (int, float)) and highest is not None and value > highest:
        yield f"{where} is above {highest}"


def named_result(called: Integration, parameters: Mapping[str, Any]) -> Any:
    """Return a sample answer whose ARN ends in the name that was asked for."""
    answer = result(called)
    for kind in ("Model", "EndpointConfig"):
        if called.operation == f"create{kind}":
            return {
                **answer,
                f"{kind}Arn": f"arn:aws:sagemaker:us-east-1:000000000000:kind/{parameters[f'{kind}Name']}",
            }
    return answer


@functools.cache
def result(called: Integration) -> Any:
    """Return a sample of what a Task gets back, in Step Functions' spelling."""
    if called.operation == "startBuild" and called.sync:
        return {
            "Build": sample(service("codebuild").operation_model("StartBuild").output_shape.members["build"])
        }
    if called.sync:
        described: OperationModel = service(called.service).operation_model(_DESCRIBED_BY[called.operation])
        return sample(described.output_shape)
    shape = operation(called).output_shape
    return sample(shape) if shape else {}


def sample(shape: Shape, depth: int = 0) -> Any:
    plain = {"map": {}, "boolean": True, "integer": 1, "long": 1, "float": 1, "double": 1}
    if depth > _DEPTH:
        return {}
    if shape.type_name == "structure":
        return {n[0].upper() + n[1:]: sample(member, depth + 1) for n, member in shape.members.items()}
    if shape.type_name == "list":
        return [sample(shape.member, depth + 1)]
    return plain[shape.type_name] if shape.type_name in plain else _text(shape)


def _text(shape: Shape) -> Any:
    if shape.type_name == "string" and shape.enum:
        return OneOf(tuple(shape.enum))
    return "arn:aws:service:us-east-1:000000000000:kind/name" if shape.name.endswith("Arn") else "text"


def is_required(called: Integration, path: str) -> bool:
    """Return whether the service's model promises that a member of the answer is there."""
    model = operation(called)
    if called.sync and called.operation in _DESCRIBED_BY:
        model = service(called.service).operation_model(_DESCRIBED_BY[called.operation])
    shape = model.output_shape
    for step in path.removeprefix("$.").replace("[0]", "").split("."):
        if shape.type_name == "list":
            shape = shape.member
        names = {name[0].upper() + name[1:]: name for name in shape.members}
        if names.get(step) not in shape.required_members:
            return False
        shape = shape.members[names[step]]
    return True
