"""Rules that every file in statemachine/ keeps; AWS accepts files that break them."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.exceptions
import botocore.session
import pytest
from tests.static import asl_rules
from tests.static.asl_rules import RULES, Rule
from tests.static.machines import (
    DEFINITIONS,
    integration,
    load,
    machine_of,
    placeholders,
    scopes,
    states,
    tasks,
)
from tests.static.stack import folder_of, functions
from tests.static.stack import load as load_template

from fleetcast import errors
from fleetcast.domain.parameters import BY_NAME

machine = pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.name)
Breakage = Callable[[dict[str, Any]], object]


def test_there_is_a_state_machine() -> None:
    """An empty folder would keep every rule below."""
    assert [path.name for path in DEFINITIONS] == ["retrain.asl.json"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@machine
def test_every_machine_keeps_the_rule(path: Path, rule: Rule) -> None:
    assert list(rule(load(path))) == []


def _on(*names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def find(definition: dict[str, Any]) -> dict[str, Any]:
        return next(state for name, state in states(definition) if name == names[0])

    return find


BREAKAGES: list[tuple[Rule, Breakage]] = [
    (asl_rules.leads_somewhere, lambda d: _on("RecordRun")(d).update(Next="NotifyStrat")),
    (asl_rules.leads_somewhere, lambda d: _on("WaitForEndpoint")(d).pop("Next")),
    (asl_rules.leads_somewhere, lambda d: _on("FindServingImage")(d)["Catch"][0].update(Next="Nowhere")),
    (asl_rules.no_orphans, lambda d: d["States"].update(LoseWay={"Type": "Succeed"})),
    (asl_rules.no_orphans, lambda d: d.update(StartAt="InitiateRum")),
    (asl_rules.always_can_end, lambda d: d["States"].update(WaitLong={"Type": "Wait", "Next": "WaitLong"})),
    (asl_rules.tasks_time_out, lambda d: _on("ConfirmServingImage")(d).pop("TimeoutSeconds")),
    (asl_rules.tasks_time_out, lambda d: d.pop("TimeoutSeconds")),
    (asl_rules.tasks_retry, lambda d: _on("TrainModels")(d).pop("Retry")),
    (asl_rules.tasks_retry, lambda d: _on("CreateModel")(d)["Retry"][0].update(ErrorEquals=["States.ALL"])),
    (asl_rules.tasks_retry, lambda d: _on("CreateModel")(d)["Retry"][0].update(MaxAttempts=99_999)),
    (asl_rules.tasks_retry, lambda d: _on("CreateModel")(d)["Retry"][0].pop("JitterStrategy")),
    (asl_rules.tasks_retry, lambda d: _on("CreateModel")(d)["Retry"][0].pop("MaxDelaySeconds")),
    (asl_rules.errors_are_caught, lambda d: _on("CloseFailedRun")(d).pop("Catch")),
    (asl_rules.errors_are_caught, lambda d: _on("BuildImages")(d).pop("Catch")),
    (asl_rules.catchers_keep_the_error, lambda d: _on("TrainModels")(d)["Catch"][0].pop("ResultPath")),
    (
        asl_rules.catchers_keep_the_error,
        lambda d: _on("TrainModels")(d)["Catch"][0].update(ResultPath="$.oops"),
    ),
    (
        asl_rules.unexpected_errors_end_red,
        lambda d: _on("NotifyFailure")(d)["Catch"][0].update(Next="EndRun"),
    ),
    (asl_rules.unexpected_errors_end_red, lambda d: _on("CloseFailedRun")(d).update(Next="EndRun")),
    (asl_rules.failures_say_why, lambda d: _on("FailRun")(d).pop("CausePath")),
    (asl_rules.names_are_spoken, lambda d: d["States"].update(train_models={"Type": "Succeed"})),
    (asl_rules.names_are_spoken, lambda d: d["States"].update(ModelTraining={"Type": "Succeed"})),
    (asl_rules.names_are_spoken, lambda d: d["States"].update(IsItOver={"Type": "Succeed"})),
    (asl_rules.names_are_unique, lambda d: d["States"].update(BuildServingImage={"Type": "Succeed"})),
    (asl_rules.choices_have_a_default, lambda d: _on("IsEndpointInService")(d).pop("Default")),
    (
        asl_rules.comparisons_are_exact,
        lambda d: _on("IsRunStarted")(d).update(
            Choices=[{"Variable": "$.a", "IsPresent": True, "Next": "SkipRun"}]
        ),
    ),
    (
        asl_rules.created_names_are_new,
        lambda d: _on("TrainModels")(d)["Parameters"].update({"TrainingJobName.$": "$.names.training_job"}),
    ),
    (asl_rules.endpoints_are_polled, lambda d: _sync(_on("UpdateEndpoint")(d))),
    (
        asl_rules.updates_keep_the_capacity,
        lambda d: _on("UpdateEndpoint")(d)["Parameters"].pop("RetainAllVariantProperties"),
    ),
    (asl_rules.jobs_are_waited_for, lambda d: _on("TrainModels")(d).update(Next="EvaluateRun")),
    (asl_rules.jobs_are_waited_for, lambda d: _unsync(_on("PrepareData")(d))),
    (
        asl_rules.substitutions_stay_in_strings,
        lambda d: _on("RecordRun")(d)["Parameters"].update({"${Key}": 1}),
    ),
]


def _sync(state: dict[str, Any]) -> None:
    state["Resource"] += ".sync"


def _unsync(state: dict[str, Any]) -> None:
    state["Resource"] = state["Resource"].removesuffix(".sync")


@pytest.mark.parametrize(("rule", "breakage"), BREAKAGES, ids=lambda part: getattr(part, "__name__", ""))
def test_a_machine_that_breaks_a_rule_is_noticed(rule: Rule, breakage: Breakage) -> None:
    """A guard that was never seen to bark guards nothing."""
    broken = copy.deepcopy(load(DEFINITIONS[0]))
    breakage(broken)
    assert list(rule(broken))


def test_every_rule_has_been_seen_to_bark() -> None:
    assert {rule for rule, _ in BREAKAGES} == set(RULES)


@machine
def test_the_template_gives_every_substitution_and_no_other(path: Path) -> None:
    template = load_template()
    given = template["Resources"][machine_of(template, path)]["Properties"]["DefinitionSubstitutions"]

    assert placeholders(path.read_text()) == given.keys()


@machine
def test_every_function_state_has_one_name_in_four_spellings(path: Path) -> None:
    """State PlanEndpoint, folder plan_endpoint, PlanEndpointFunction, PlanEndpointFunctionArn."""
    called = {
        state["Parameters"]["FunctionName"]
        for _, state in tasks(load(path))
        if integration(state).service == "lambda"
    }
    names = {name for name, _ in states(load(path))}
    template = load_template()
    given = template["Resources"][machine_of(template, path)]["Properties"]["DefinitionSubstitutions"]

    for placeholder in called:
        logical = placeholder.removeprefix("${").removesuffix("Arn}")
        assert logical.removesuffix("Function") in names
        assert given[f"{logical}Arn"] == {"Fn::GetAtt": [logical, "Arn"]}
        assert functions(template)[logical]["Properties"]["CodeUri"] == f"functions/{folder_of(logical)}"


@machine
def test_a_state_waits_longer_than_what_it_waits_for(path: Path) -> None:
    """A function or job that runs out of time says why; a state that runs out of time says only that it did."""
    template = load_template()
    for name, state in tasks(load(path)):
        called = integration(state)
        if called.service == "lambda":
            logical = state["Parameters"]["FunctionName"].removeprefix("${").removesuffix("Arn}")
            assert state["TimeoutSeconds"] > functions(template)[logical]["Properties"]["Timeout"], name
        elif called.service == "codebuild":
            project = state["Parameters"]["ProjectName"].removeprefix("${").removesuffix("Project}")
            minutes = template["Resources"][project]["Properties"]["TimeoutInMinutes"]
            assert state["TimeoutSeconds"] > 60 * minutes, name
    longest = {
        "PrepareData": BY_NAME["data/max_runtime_seconds"].high,
        "TrainModels": max(BY_NAME[f"training/max_{kind}_seconds"].high or 0 for kind in ("runtime", "wait")),
    }
    for name, seconds in longest.items():
        assert load(path)["States"][name]["TimeoutSeconds"] >= (seconds or 0), name


@machine
def test_every_error_that_is_waited_for_can_be_raised(path: Path) -> None:
    """An error without its service's name is a class: ours, or one that boto3 raises inside a function."""
    own = {name for name in vars(errors) if name[0].isupper()} | _raised_by_boto3()
    for name, state in states(load(path)):
        for rule in (*state.get("Retry", []), *state.get("Catch", [])):
            for error in rule["ErrorEquals"]:
                prefix = error.partition(".")[0]
                assert "." in error or error in own, f"{name}: {error}"
                assert prefix in _services(state) or "." not in error, f"{name} cannot meet {error}"


def _raised_by_boto3() -> set[str]:
    """The class names of botocore itself, and of the errors that DynamoDB and SSM declare."""
    loaded = botocore.session.get_session()
    declared = {
        shape.name
        for service in ("dynamodb", "ssm", "s3", "lambda", "sagemaker")
        for shape in loaded.get_service_model(service).error_shapes
    }
    return declared | {name for name in vars(botocore.exceptions) if name[0].isupper()}


def _services(state: dict[str, Any]) -> set[str]:
    spoken = {
        "lambda": {"Lambda"},
        "sns": {"SNS", "Sns"},
        "dynamodb": {"DynamoDB"},
        "ecr": {"Ecr"},
        "codebuild": {"CodeBuild"},
        "sagemaker": {"SageMaker"},
        "applicationautoscaling": {"ApplicationAutoScaling"},
        "states": {"StepFunctions", "Sfn"},
    }
    return {"States"} | (spoken[integration(state).service] if state["Type"] == "Task" else set())


@machine
def test_the_longest_run_fits_into_the_execution_history(path: Path) -> None:
    """Step Functions ends an execution at 25,000 events; polling an endpoint is what makes a history long."""
    loop = ["DescribeEndpoint", "IsEndpointInService", "CountPoll", "KeepPoll", "WaitForEndpoint"]
    events = {"Task": 5, "Choice": 2, "Pass": 2, "Wait": 2}
    per_poll = sum(events[load(path)["States"][name]["Type"]] for name in loop)
    assert per_poll * (BY_NAME["serving/max_polls"].high or 0) < 20_000


@machine
def test_a_definition_is_within_the_limits_of_the_service(path: Path) -> None:
    assert len(path.read_bytes()) < 1_048_576
    assert all(len(name) <= 80 for scope in scopes(load(path)) for name in scope.states)
    assert json.loads(path.read_text())["Comment"]
