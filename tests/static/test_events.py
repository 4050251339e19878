"""Every sample in events/ is what AWS or the state machine sends, and every one is used by a test."""

import json
from typing import Any

import pytest
from tests.static.machines import DEFINITIONS
from tests.static.stack import ROOT, folder_of, functions, load
from tests.static.test_openapi import OPERATIONS
from tests.static.test_state_machine_data import walked

SAMPLES = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "events").glob("*.json"))}
FUNCTIONS = sorted(functions(load()))


def test_every_function_has_a_sample() -> None:
    assert {folder_of(name) for name in FUNCTIONS} <= SAMPLES.keys()


def test_every_trigger_has_a_sample() -> None:
    kinds = ("changed_parameter", "manual", "new_data", "queued", "schedule")
    assert {f"execution_{kind}" for kind in kinds} == {
        name for name in SAMPLES if name.startswith("execution_")
    }


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_is_loaded_by_a_test_of_behaviour(name: str) -> None:
    tests = [path.read_text() for path in (ROOT / "tests" / "unit").glob("test_*.py")]
    assert any(f'"{name}"' in text for text in tests)


def test_every_file_in_the_folder_is_a_sample() -> None:
    assert {path.suffix for path in (ROOT / "events").iterdir()} == {".json"}


def _payloads() -> dict[str, list[Any]]:
    payloads: dict[str, list[Any]] = {}
    for parameters in walked(DEFINITIONS[0]).parameters.values():
        for sent in parameters:
            if "Payload" in sent:
                payloads.setdefault(sent["FunctionName"].rpartition(":")[2], []).append(sent["Payload"])
    return payloads


def _keys(value: Any) -> Any:
    return {key: _keys(inner) for key, inner in value.items()} if isinstance(value, dict) else None


@pytest.mark.parametrize(
    "name", ["evaluate_run", "plan_endpoint", "promote_run", "close_run", "close_run_failed"]
)
def test_a_sample_is_what_the_state_machine_sends(name: str) -> None:
    function = next(f for f in FUNCTIONS if name.startswith(folder_of(f)))
    assert _keys(SAMPLES[name]) in [_keys(payload) for payload in _payloads()[function]]


@pytest.mark.parametrize("name", ["initiate_run", "explain_failure"])
def test_a_sample_that_carries_a_whole_document_has_its_fields(name: str) -> None:
    function = next(f for f in FUNCTIONS if name == folder_of(f))
    assert all(payload.keys() == SAMPLES[name].keys() for payload in _payloads()[function])


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("execution_new_data", "NewDataRule"),
        ("execution_changed_parameter", "ChangedParameterRule"),
        ("apply_schedule", "ChangedScheduleRule"),
        ("close_run_status_change", "FailedRunRule"),
    ],
)
def test_a_sample_matches_the_rule_that_delivers_it(name: str, rule: str) -> None:
    pattern = load()["Resources"][rule]["Properties"]["EventPattern"]
    sample = SAMPLES[name]
    assert [sample["source"]] == pattern["source"]
    assert [sample["detail-type"]] == pattern["detail-type"]
    assert pattern["detail"].keys() <= sample["detail"].keys()


def test_the_schedule_sends_what_its_sample_shows() -> None:
    given = json.loads(load()["Resources"]["RetrainSchedule"]["Properties"]["Target"]["Input"])
    assert given.keys() == SAMPLES["execution_schedule"].keys()
    assert given["source"] == SAMPLES["execution_schedule"]["source"]


@pytest.mark.parametrize(
    ("path", "method", "operation"),
    OPERATIONS,
    ids=[operation["operationId"] for _, _, operation in OPERATIONS],
)
def test_a_request_sample_is_a_request_of_its_route(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    sample = SAMPLES[folder_of(operation["operationId"][0].upper() + operation["operationId"][1:])]
    assert (sample["resource"], sample["httpMethod"]) == (path, method.upper())
