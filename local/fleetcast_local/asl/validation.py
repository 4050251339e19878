"""Finds what is wrong with a state machine's definition before anything runs it, as CreateStateMachine does."""

import json
from collections.abc import Iterator
from typing import Any

from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

from fleetcast_local.asl import maps

Diagnostic = dict[str, str]

_END_TYPES = ("Succeed", "Fail")


def diagnose(definition: str) -> list[Diagnostic]:
    """Return the errors of a definition, none if it can be run."""
    try:
        document = json.loads(definition)
    except ValueError as error:
        return [_diagnostic("INVALID_JSON_DESCRIPTION", f"it is not JSON: {error}", "/")]
    if not isinstance(document, dict):
        return [_diagnostic("SCHEMA_VALIDATION_FAILED", "a definition must be a JSON object", "/")]
    return [*_scope_faults(document, ""), *_grammar_faults(definition)]


def explain(diagnostics: list[Diagnostic]) -> str:
    """Return the text with which CreateStateMachine refuses a definition."""
    faults = "; ".join(f"{fault['code']}: {fault['message']} at {fault['location']}" for fault in diagnostics)
    return f"Invalid State Machine Definition: '{faults}'"


def _grammar_faults(definition: str) -> Iterator[Diagnostic]:
    try:
        AmazonStateLanguageParser.parse(maps.take_batchers(definition)[0])
    except Exception as error:  # noqa: BLE001 - the parser raises whatever its grammar does
        yield _diagnostic("SCHEMA_VALIDATION_FAILED", str(error) or repr(error), "/")


def _scope_faults(scope: dict[str, Any], path: str) -> Iterator[Diagnostic]:
    states = scope.get("States")
    if not isinstance(states, dict) or not states:
        yield _diagnostic("SCHEMA_VALIDATION_FAILED", "States must hold at least one state", f"{path}/States")
        return
    start = scope.get("StartAt")
    if start not in states:
        yield _diagnostic("MISSING_TRANSITION_TARGET", f"StartAt names no state: {start}", f"{path}/StartAt")
    for name, state in states.items():
        yield from _state_faults(states, name, state, f"{path}/States/{name}")
    for name in states.keys() - _reachable(states, start):
        yield _diagnostic("UNREACHABLE_STATE", f"no path leads to {name}", f"{path}/States/{name}")


def _state_faults(
    states: dict[str, Any], name: str, state: dict[str, Any], path: str
) -> Iterator[Diagnostic]:
    for target in targets(state):
        if target not in states:
            yield _diagnostic(
                "MISSING_TRANSITION_TARGET", f"{name} leads to a state that does not exist: {target}", path
            )
    ends = state.get("End") is True or state.get("Type") in (*_END_TYPES, "Choice")
    if not ends and "Next" not in state:
        yield _diagnostic("SCHEMA_VALIDATION_FAILED", f"{name} has neither Next nor End", path)
    for inner in (state.get("ItemProcessor"), state.get("Iterator"), *state.get("Branches", ())):
        if isinstance(inner, dict):
            yield from _scope_faults(inner, path)


def targets(state: dict[str, Any]) -> list[str]:
    steps = [state, *state.get("Choices", ()), *state.get("Catch", ())]
    targets = [step["Next"] for step in steps if "Next" in step]
    return [*targets, state["Default"]] if "Default" in state else targets


def _reachable(states: dict[str, Any], start: Any) -> set[str]:
    found: set[str] = set()
    todo = [start]
    while todo:
        name = todo.pop()
        if name in states and name not in found:
            found.add(name)
            todo += targets(states[name])
    return found


def _diagnostic(code: str, message: str, location: str) -> Diagnostic:
    return {"severity": "ERROR", "code": code, "message": message, "location": location}
