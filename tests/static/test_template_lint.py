"""cfn-lint, which nobody here wrote, on the template as written, as translated, and with the state machine inside.

`sam validate --lint` does not read a definition behind DefinitionUri; here it is substituted and inlined.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint  # type: ignore[import-untyped]
from tests.static.machines import DEFINITIONS, substituted
from tests.static.stack import TEMPLATE, load, translated

Definition = dict[str, Any]


def _complaints(text: str) -> list[str]:
    return [f"{match.rule.id} line {match.linenumber}: {match.message}" for match in lint(text)]


def _inlined(definition: Definition) -> str:
    role = "arn:aws:iam::000000000000:role/retrain"
    machine = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {"RoleArn": role, "Definition": definition},
    }
    return json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Machine": machine}})


def test_the_template_as_it_is_written() -> None:
    assert _complaints(TEMPLATE.read_text()) == []


def test_the_template_as_cloudformation_gets_it() -> None:
    assert _complaints(json.dumps(translated())) == []


@pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.name)
def test_the_state_machine_as_step_functions_gets_it(path: Path) -> None:
    assert _complaints(_inlined(substituted(load(), path))) == []


@pytest.mark.parametrize(
    ("state", "change"),
    [
        ("InitiateRun", {"Resource": 7}),
        ("SettleIntake", {"Secs": 10}),
        ("TrainModels", {"Retry": [{"MaxAttempts": 3}]}),
        ("IsRunStarted", {"Choices": [{"Variable": "$.started", "BooleanIs": True, "Next": "SkipRun"}]}),
        ("RecordRun", {"Type": "Tsak"}),
    ],
)
def test_a_broken_definition_is_noticed(state: str, change: Definition) -> None:
    definition = substituted(load(), DEFINITIONS[0])
    definition["States"][state].update(change)

    assert any(complaint.startswith("E3601") for complaint in _complaints(_inlined(definition)))
