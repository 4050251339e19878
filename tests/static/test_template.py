"""The template reads like the run, and every function and rule in it is whole."""

import ast
import dataclasses
import re
from typing import Any

import pytest
from tests.static.machines import DEFINITIONS, integration, tasks
from tests.static.machines import load as load_machine
from tests.static.stack import (
    ROOT,
    TEMPLATE,
    environment,
    folder_of,
    functions,
    load,
    of_type,
    resolve,
    statements,
)

from fleetcast import settings

FUNCTIONS = sorted(functions(load()))
TARGETS = [
    (rule, target)
    for rule, body in of_type(load(), "AWS::Events::Rule").items()
    for target in body["Properties"]["Targets"]
]
function = pytest.mark.parametrize("name", FUNCTIONS)
SECTIONS = [
    *(
        "STORAGE",
        "SETTINGS",
        "ALERTS",
        "TRIGGERS",
        "THE CODE THAT TRAVELS WITH THE STACK",
        "THE RUN",
        "INITIATE",
    ),
    *(
        "BUILD",
        "PREPARE",
        "TRAIN",
        "EVALUATE AND REGISTER",
        "THE ENDPOINT",
        "PROMOTE",
        "CLOSE",
        "THE API",
        "ALARMS",
    ),
]


def _properties(name: str) -> dict[str, Any]:
    properties: dict[str, Any] = load()["Resources"][name]["Properties"]
    return properties


def test_the_sections_follow_the_run() -> None:
    banners = re.findall(r"  #{80,}\n  # ([A-Z ]+)\n", TEMPLATE.read_text())
    assert banners == SECTIONS


def test_functions_stand_in_the_order_of_the_run() -> None:
    in_machine = [
        state["Parameters"]["FunctionName"].removeprefix("${").removesuffix("Arn}")
        for path in DEFINITIONS
        for _, state in tasks(load_machine(path))
        if integration(state).service == "lambda"
    ]
    first_seen = list(dict.fromkeys(in_machine))
    in_template = [name for name in functions(load()) if name in first_seen]
    # CloseRun is first called on a rejected run, but belongs to the end.
    assert in_template == [*(n for n in first_seen if n not in _ENDING), *_ENDING]


_ENDING = ["CloseRunFunction", "ExplainFailureFunction"]


@function
def test_a_function_is_followed_by_its_log_group_and_its_role(name: str) -> None:
    order = list(load()["Resources"])
    stem = name.removesuffix("Function")
    position = order.index(name)
    assert order[position + 1 : position + 3] == [f"{stem}LogGroup", f"{stem}Role"]


def test_every_folder_is_a_function_and_every_function_a_folder() -> None:
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/handler.py")}
    assert folders == {folder_of(name) for name in FUNCTIONS}
    assert all(_properties(name)["CodeUri"] == f"functions/{folder_of(name)}" for name in FUNCTIONS)


@function
def test_a_function_has_a_log_group_of_its_own_that_forgets(name: str) -> None:
    stem = name.removesuffix("Function")
    group = _properties(f"{stem}LogGroup")
    assert functions(load())[name]["Properties"]["LoggingConfig"] == {
        "LogGroup": {"Ref": f"{stem}LogGroup"},
        "LogFormat": "JSON",
    }
    assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert resolve(load(), group["LogGroupName"]).endswith(f"/{folder_of(name)}")


def test_every_log_group_forgets() -> None:
    assert all(
        "RetentionInDays" in body["Properties"] for body in of_type(load(), "AWS::Logs::LogGroup").values()
    )


@function
def test_a_function_is_traced_and_named_in_its_logs(name: str) -> None:
    assert functions(load())[name]["Properties"]["Tracing"] == "Active"
    assert environment(load(), name)["POWERTOOLS_SERVICE_NAME"] == "fleetcast"


@function
def test_a_handler_is_short_and_has_one_branch_at_most(name: str) -> None:
    """It parses, calls, and shapes the answer; decisions are made where they can be tested without AWS."""
    tree = ast.parse((ROOT / "functions" / folder_of(name) / "handler.py").read_text())
    handler = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "lambda_handler")
    assert (handler.end_lineno or 0) - handler.lineno < 30
    assert sum(isinstance(node, (ast.If, ast.For, ast.While, ast.Try)) for node in ast.walk(handler)) <= 1
    assert ast.get_docstring(tree)


@function
def test_the_template_gives_a_function_the_settings_it_reads_and_no_other(name: str) -> None:
    """A missing one is found out by the first event otherwise."""
    wanted = getattr(settings, f"{name.removesuffix('Function')}Settings")
    reads = {field.name.upper() for field in dataclasses.fields(wanted)}
    common = load()["Globals"]["Function"]["Environment"]["Variables"].keys()
    given = environment(load(), name).keys()

    assert reads <= given
    assert given - reads <= common


@function
def test_a_function_behind_the_api_answers_before_the_api_gives_up(name: str) -> None:
    in_api = [p for p in of_type(load(), "AWS::Lambda::Permission").values() if _invoker(p) == "apigateway"]
    if any(p["Properties"]["FunctionName"] == {"Ref": name} for p in in_api):
        assert functions(load())[name]["Properties"]["Timeout"] < 29


def _invoker(permission: dict[str, Any]) -> str:
    return str(permission["Properties"]["Principal"]).split(".")[0]


def _asynchronous() -> set[str]:
    invoked = {target["Arn"]["Fn::GetAtt"][0] for _, target in TARGETS if "Fn::GetAtt" in target["Arn"]}
    return invoked & set(FUNCTIONS)


def test_asynchronous_functions_are_known() -> None:
    assert _asynchronous() == {"ApplyScheduleFunction", "CloseRunFunction"}


@pytest.mark.parametrize("name", sorted(_asynchronous()))
def test_an_asynchronous_function_keeps_what_it_cannot_handle(name: str) -> None:
    assert _properties(name)["DeadLetterQueue"]["TargetArn"] == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}


@pytest.mark.parametrize(
    ("rule", "target"), TARGETS, ids=lambda part: part if isinstance(part, str) else part["Id"]
)
def test_a_rule_keeps_what_it_cannot_deliver(rule: str, target: dict[str, Any]) -> None:
    assert "DeadLetterConfig" in target


def test_the_schedule_keeps_what_it_cannot_deliver() -> None:
    for body in of_type(load(), "AWS::Scheduler::Schedule").values():
        assert "DeadLetterConfig" in body["Properties"]["Target"]
        assert body["Properties"]["Name"] == {"Fn::Sub": "${AWS::StackName}-retrain"}, (
            "two stacks in one account"
        )


def test_every_rule_may_invoke_its_function() -> None:
    permissions = [body["Properties"] for body in of_type(load(), "AWS::Lambda::Permission").values()]
    for rule, target in TARGETS:
        called = target["Arn"].get("Fn::GetAtt", [""])[0]
        if called in FUNCTIONS:
            assert any(
                p["FunctionName"] == {"Ref": called} and p["SourceArn"] == {"Fn::GetAtt": [rule, "Arn"]}
                for p in permissions
            ), f"{rule} -> {called}"
        else:
            assert "RoleArn" in target or rule == "FailedRunRule"


def test_the_role_that_starts_runs_may_do_both_things_it_does() -> None:
    granted = {action for s in statements(load(), "StartRunRole") for action in s.actions}
    assert granted == {"states:StartExecution", "sqs:SendMessage"}


def test_failed_executions_are_reported_whatever_the_machine_does() -> None:
    pattern = _properties("FailedRunRule")["EventPattern"]
    assert pattern["detail"]["status"] == ["FAILED", "TIMED_OUT", "ABORTED"]
    assert {target["Id"] for rule, target in TARGETS if rule == "FailedRunRule"} == {"Alert", "CloseRun"}
