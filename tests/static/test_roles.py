"""Every role allows what its holder does, on the resource it does it to, and nothing else."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.static.answers import ANSWERS, RUN_ID
from tests.static.call_graph import Graph
from tests.static.machines import DEFINITIONS, integration, machine_of, substituted, tasks
from tests.static.permissions import EVERY_FUNCTION, Need, of_call, of_task
from tests.static.stack import (
    ROOT,
    Statement,
    Template,
    allows,
    arn,
    folder_of,
    functions,
    load,
    of_type,
    statements,
    without_action,
)
from tests.static.test_state_machine_data import walked

FUNCTIONS = sorted(functions(load()))
ROLES = sorted(of_type(load(), "AWS::IAM::Role"))
machine = pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.name)
function = pytest.mark.parametrize("name", FUNCTIONS)

# What the state machine's role allows beyond its Tasks, and why.
BEYOND_TASKS = {
    # Registering a scalable target and putting a policy check the endpoint and make alarms in the caller's name.
    **dict.fromkeys(
        (
            "sagemaker:DescribeEndpointConfig",
            "sagemaker:UpdateEndpointWeightsAndCapacities",
            "cloudwatch:PutMetricAlarm",
            "cloudwatch:DescribeAlarms",
            "cloudwatch:DeleteAlarms",
            "iam:CreateServiceLinkedRole",
        ),
        "autoscaling",
    ),
    **dict.fromkeys(
        (
            "logs:CreateLogDelivery",
            "logs:GetLogDelivery",
            "logs:UpdateLogDelivery",
            "logs:DeleteLogDelivery",
            "logs:ListLogDeliveries",
            "logs:PutResourcePolicy",
            "logs:DescribeResourcePolicies",
            "logs:DescribeLogGroups",
        ),
        "vended logs",
    ),
    **dict.fromkeys(
        (
            "xray:PutTraceSegments",
            "xray:PutTelemetryRecords",
            "xray:GetSamplingRules",
            "xray:GetSamplingTargets",
        ),
        "traces",
    ),
}
# Actions for which IAM knows no resource.
WITHOUT_RESOURCE = frozenset(
    (
        *(action for action in BEYOND_TASKS if action.startswith(("logs:", "xray:"))),
        "sagemaker:ListTags",
        "ecr:GetAuthorizationToken",
        "cloudwatch:PutMetricData",
    )
)


@cache
def _arns() -> dict[str, str]:
    template = load()
    return {name: arn(template, name) for name in template["Resources"]}


def _needs(path: Path) -> set[Need]:
    return {
        need
        for name, state in tasks(substituted(load(), path))
        for parameters in walked(path).parameters[name]
        # Names of the sample with a longer stack name belong to another stack.
        if "with-a-long-name" not in str(parameters)
        for need in of_task(integration(state), parameters, _arns())
    }


def _role_of(template: Template, path: Path) -> str:
    role: str = template["Resources"][machine_of(template, path)]["Properties"]["Role"]["Fn::GetAtt"][0]
    return role


def _missing(template: Template, path: Path) -> list[Need]:
    granted = list(statements(template, _role_of(template, path)))
    return [need for need in sorted(_needs(path), key=str) if not _covered(granted, need)]


def _covered(granted: list[Statement], need: Need) -> bool:
    if need.passed_to:
        granted = [
            s for s in granted if s.condition == {"StringEquals": {"iam:PassedToService": need.passed_to}}
        ]
    return allows(granted, need.action, need.resource)


@machine
def test_every_task_may_do_what_it_does(path: Path) -> None:
    assert _missing(load(), path) == []


@machine
def test_losing_any_action_of_a_task_is_noticed(path: Path) -> None:
    role = _role_of(load(), path)
    for action in {need.action for need in _needs(path)}:
        assert _missing(without_action(load(), role, action), path), action


@machine
def test_the_machine_may_do_nothing_else(path: Path) -> None:
    granted = {action for s in statements(load(), _role_of(load(), path)) for action in s.actions}

    assert granted == {need.action for need in _needs(path)} | BEYOND_TASKS.keys()


@machine
def test_no_function_is_invokable_that_no_task_invokes(path: Path) -> None:
    granted = [s for s in statements(load(), _role_of(load(), path)) if "lambda:InvokeFunction" in s.actions]
    invoked = {need.resource for need in _needs(path) if need.action == "lambda:InvokeFunction"}

    assert {resource for s in granted for resource in s.resources} == invoked


def test_the_walk_knows_the_longest_and_the_usual_stack_name() -> None:
    assert [plan["names"]["model"].removesuffix(f"-{RUN_ID}") for plan in ANSWERS["InitiateRun"][:2]] == [
        "fleetcast",
        "fleetcast-with-a-long-name-x",
    ]


def _role_name(name: str, template: Template) -> str:
    role: str = functions(template)[name]["Properties"]["Role"]["Fn::GetAtt"][0]
    return role


@cache
def _called(name: str) -> frozenset[str]:
    graph = Graph(ROOT / "functions" / folder_of(name) / "handler.py")
    return frozenset(action for call in graph.calls for action in of_call(call))


def _needed(name: str, template: Template) -> set[str]:
    queue = {"sqs:SendMessage"} if "DeadLetterQueue" in functions(template)[name]["Properties"] else set()
    return {*_called(name), *EVERY_FUNCTION, *queue}


def _granted(name: str, template: Template) -> set[str]:
    return {action for s in statements(template, _role_name(name, template)) for action in s.actions}


@function
def test_every_function_may_do_what_its_code_does(name: str) -> None:
    assert _needed(name, load()) - _granted(name, load()) == set()


@function
def test_no_function_may_do_what_its_code_never_does(name: str) -> None:
    assert _granted(name, load()) - _needed(name, load()) == set()


@function
def test_losing_any_action_of_a_function_is_noticed(name: str) -> None:
    template = load()
    for action in _needed(name, template):
        broken = without_action(template, _role_name(name, template), action)
        assert _needed(name, broken) - _granted(name, broken) == {action}


def test_the_graph_sees_a_call_wherever_it_hides(tmp_path: Path) -> None:
    """Through a method, a cached factory, an import inside a function, a paginator and a local name."""
    handler = tmp_path / "handler.py"
    handler.write_text(
        "from functools import cache\n"
        "from fleetcast.adapters.clients import client\n"
        "from fleetcast.adapters.run_table import RunTable\n"
        "table = cache(lambda: RunTable('t'))\n"
        "def lambda_handler(event, context):\n"
        "    from fleetcast.adapters.storage import list_uris\n"
        "    queue = client('sqs')\n"
        "    table().holder()\n"
        "    list_uris('s3://b/k')\n"
        "    return helper(queue.send_message)\n"
        "def helper(send):\n"
        "    client('lambda').invoke(FunctionName='f')\n"
    )

    called = {action for call in Graph(handler).calls for action in of_call(call)}

    assert called == {"dynamodb:GetItem", "s3:ListBucket", "sqs:SendMessage", "lambda:InvokeFunction"}


@function
def test_every_function_has_a_role_of_its_own(name: str) -> None:
    template = load()
    holders = [other for other in FUNCTIONS if _role_name(other, template) == _role_name(name, template)]
    assert holders == [name]


@function
def test_a_function_writes_to_its_own_log_group_only(name: str) -> None:
    template = load()
    group = functions(template)[name]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
    logs = [s for s in statements(template, _role_name(name, template)) if "logs:PutLogEvents" in s.actions]
    assert [s.resources for s in logs] == [(arn(template, group),)]


def _grants() -> Iterator[tuple[str, str, str, Statement]]:
    template = load()
    for role in ROLES:
        for statement in statements(template, role):
            for action in statement.actions:
                for resource in statement.resources:
                    yield role, action, resource, statement


def test_no_action_is_a_wildcard() -> None:
    assert [(role, action) for role, action, _, _ in _grants() if "*" in action] == []


def test_only_actions_that_know_no_resource_have_none() -> None:
    loose = {(role, action) for role, action, resource, _ in _grants() if resource == "*"}
    assert {(role, action) for role, action in loose if action not in WITHOUT_RESOURCE} == set()


def test_every_resource_belongs_to_the_service_of_its_action() -> None:
    """An action on the ARN of another service allows nothing, silently."""
    for role, action, resource, _ in _grants():
        service = resource.split(":")[2] if resource.startswith("arn:") else None
        expected = {"application-autoscaling": "application-autoscaling"}.get(
            action.split(":")[0], action.split(":")[0]
        )
        assert resource == "*" or service == expected, f"{role}: {action} on {resource}"


def test_metrics_are_limited_to_the_namespaces_of_the_platform() -> None:
    for role, action, _, statement in _grants():
        if action == "cloudwatch:PutMetricData":
            assert "cloudwatch:namespace" in statement.condition["StringLike"], role


def test_a_role_is_passed_to_one_service_only() -> None:
    for role, action, resource, statement in _grants():
        if action == "iam:PassRole":
            assert "iam:PassedToService" in statement.condition["StringEquals"], role
            assert resource.rpartition(":")[2] in ROLES, role


def test_no_role_uses_a_managed_policy() -> None:
    """They grow without anybody here deciding so."""
    assert [role for role in ROLES if "ManagedPolicyArns" in load()["Resources"][role]["Properties"]] == []


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_assumed_by_services_only(role: str) -> None:
    document: dict[str, Any] = load()["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]
    for statement in document["Statement"]:
        services = statement["Principal"]["Service"]
        assert all(
            s.endswith(".amazonaws.com") for s in ([services] if isinstance(services, str) else services)
        )
