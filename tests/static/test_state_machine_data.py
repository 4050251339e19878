"""Every field of a state finds what it asks for, on every path, and every Task sends what its service takes."""

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.static.answers import ANSWERS, LONGEST_STACK
from tests.static.asl_flow import Walk
from tests.static.machines import DEFINITIONS, choices, integration, load, states, substituted, tasks
from tests.static.service_models import complaints, is_required, service
from tests.static.stack import ROOT, STACK_NAME
from tests.static.stack import load as load_template

from fleetcast.domain.endpoints import Action

machine = pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.name)
INPUTS = [json.loads(path.read_text()) for path in sorted((ROOT / "events").glob("execution_*.json"))]
# Answers that a model leaves optional, and why they are there all the same.
PROMISED = {
    "$.ImageDetails[0].ImageDigest": "DescribeImages was asked for one tag; without an image it raises ImageNotFound",
    "$.Build.Id": "a build that was waited for has an id",
    "$.EndpointConfigName": "left out only while an endpoint is deleted, which nothing here does while it waits",
}


@cache
def walked(path: Path) -> Walk:
    walk = Walk(ANSWERS)
    walk.run(substituted(load_template(), path), INPUTS)
    return walk


@machine
def test_every_path_finds_what_it_asks_for(path: Path) -> None:
    """A missing one is States.Runtime: no Catch sees it, no email explains it."""
    assert sorted(walked(path).faults) == []


@machine
def test_the_walk_comes_through_every_task_and_every_end(path: Path) -> None:
    """Otherwise the test above would judge only a part of the machine."""
    assert walked(path).parameters.keys() == {name for name, _ in tasks(load(path))}
    ends = {
        name for name, state in states(load(path)) if state["Type"] in ("Succeed", "Fail") or state.get("End")
    }
    assert walked(path).ends == ends


def _state(definition: dict[str, Any], name: str) -> dict[str, Any]:
    return next(state for found, state in states(definition) if found == name)


BREAKAGES: list[Callable[[dict[str, Any]], object]] = [
    lambda d: _state(d, "TrainModels").pop("ResultPath"),
    lambda d: _state(d, "TrainModels")["Parameters"].update({"RoleArn.$": "$.training.rolearn"}),
    lambda d: _state(d, "TrainModels")["ResultSelector"].update({"status.$": "$.TrainingJobState"}),
    lambda d: _state(d, "BuildImages")["ResultSelector"].update({"serving.$": "$[2].images.serving.digest"}),
    lambda d: _state(d, "ConfirmServingImage").update(ResultPath="$.images.server"),
    lambda d: _state(d, "FindServingImage")["Catch"][0].pop("ResultPath"),
    lambda d: _state(d, "PlanEndpoint").update(ResultPath="$.plan"),
    lambda d: _state(d, "IsEndpointCurrent")["Choices"][0].update(Next="DescribeEndpoint"),
    lambda d: _state(d, "IsEndpointInService")["Choices"][1].update(StringEquals="Inservice"),
    lambda d: _state(d, "IsEveryonePromoted")["Choices"][0].update(Variable="$.promotion.finished"),
    lambda d: _state(d, "IsRunStarted")["Choices"][0].update(Variable="$.run_id"),
    lambda d: _state(d, "KeepPoll").update(InputPath="$.counted"),
    lambda d: _state(d, "WaitForEndpoint").update(SecondsPath="$.run_id"),
    lambda d: _state(d, "ExplainFailure")["Parameters"]["Payload"].update({"run_id.$": "$.run_id"}),
    lambda d: _state(d, "ExplainFailure")["Catch"][0].update(Next="NotifyFailure"),
    lambda d: _state(d, "FailRun").update(CausePath="$.explained.reason"),
    lambda d: _state(d, "NotifyStart")["Parameters"].update(
        {"Subject.$": "States.Format('{} {}', $.run_id)"}
    ),
    lambda d: _state(d, "CloseIntake").pop("ResultPath"),
]


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_field_that_would_find_nothing_is_noticed(breakage: Callable[[dict[str, Any]], object]) -> None:
    broken = substituted(load_template(), DEFINITIONS[0])
    breakage(broken)

    walk = Walk(ANSWERS)
    walk.run(broken, INPUTS)

    assert walk.faults


@machine
def test_every_task_sends_what_its_service_takes(path: Path) -> None:
    """The service's own model in botocore is the judge, on the real plan of a run."""
    faults = [
        f"{name}: {complaint}"
        for name, state in tasks(load(path))
        if integration(state).service != "lambda"
        for parameters in walked(path).parameters[name]
        for complaint in complaints(integration(state), _as_sent(parameters))
    ]
    assert faults == []


def _as_sent(parameters: dict[str, Any]) -> dict[str, Any]:
    # Step Functions turns these objects into the JSON text that the service takes.
    return {
        key: json.dumps(value) if key in ("Input", "Message") and isinstance(value, dict) else value
        for key, value in parameters.items()
    }


SPOILT: dict[str, dict[str, Any]] = {
    "TrainModels": {"HyperParameters": {"horizon": 28}},
    "PrepareData": {"Environment": {"FLEETCAST_RUN_ID": "x" * 257}},
    "CreateEndpointConfig": {"ProductionVariant": []},
    "RegisterScalableTarget": {"ServiceNamespace": "sage"},
    "UpdateEndpoint": {"RetainAllVariantProperties": "true"},
    "BuildServingImage": {"EnvironmentVariablesOverride": [{"Name": "IMAGE_TAG"}]},
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_parameter_that_the_service_refuses_is_noticed(name: str) -> None:
    state = _state(load(DEFINITIONS[0]), name)
    parameters = walked(DEFINITIONS[0]).parameters[name][0]

    assert complaints(integration(state), parameters) == []
    assert complaints(integration(state), {**parameters, **SPOILT[name]})


@machine
def test_every_selected_answer_is_promised_by_its_service(path: Path) -> None:
    """What a model leaves optional may be absent one day, and then the execution ends at once."""
    for name, state in tasks(load(path)):
        if integration(state).service == "lambda":
            continue
        for selected in state.get("ResultSelector", {}).values():
            assert selected in PROMISED or is_required(integration(state), selected), f"{name}: {selected}"


@machine
def test_job_names_fit_for_the_longest_stack_name(path: Path) -> None:
    """SageMaker's names end at 63 characters, and a tenth retry needs two digits."""
    legal = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
    named = ("TrainingJobName", "ProcessingJobName", "ModelName", "EndpointConfigName")
    made = [
        parameters[field]
        for sent in walked(path).parameters.values()
        for parameters in sent
        for field in named
        if field in parameters
    ]
    assert any(name.startswith(LONGEST_STACK) for name in made)
    assert all(legal.fullmatch(name) and len(name) <= 62 for name in made), made


@machine
def test_no_subject_is_longer_than_sns_allows(path: Path) -> None:
    for name, state in tasks(load(path)):
        for parameters in walked(path).parameters[name] if integration(state).service == "sns" else ():
            subject = parameters["Subject"].replace(STACK_NAME, LONGEST_STACK)
            assert len(subject) < 100, name
            assert subject.isascii()
            assert "\n" not in subject


def test_the_loop_knows_every_status_of_an_endpoint() -> None:
    """A status that a new API version adds must be decided on, not fall through."""
    state = load(DEFINITIONS[0])["States"]["IsEndpointInService"]
    known = {c["StringEquals"] for c in choices(state) if c["Variable"] == "$.endpoint.current.status"}

    assert known == set(service("sagemaker").shape_for("EndpointStatus").enum)


def test_every_action_of_the_endpoint_plan_has_its_branch() -> None:
    state = load(DEFINITIONS[0])["States"]["IsEndpointCurrent"]

    assert {c["StringEquals"] for c in choices(state) if "StringEquals" in c} == set(get_args(Action))
