"""The state machines as graphs."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.static.stack import ROOT, Template, of_type, resolve

DEFINITIONS = sorted((ROOT / "statemachine").glob("*.asl.json"))
CATCH_ALL = "States.ALL"
States = Mapping[str, Any]
_RESOURCE = re.compile(r"arn:(?:\$\{Partition\}|aws):states:::(?:(aws-sdk):)?([\w-]+):(\w+)(\.sync)?(?::2)?")


@dataclass(frozen=True)
class Scope:
    """The states of a machine, or of one branch; `caught` when an error leaves it into a catch-all around it."""

    start: str
    states: States
    caught: bool = False


@dataclass(frozen=True)
class Integration:
    """What a Task calls."""

    service: str
    operation: str
    sdk: bool
    sync: bool


def load(path: Path) -> dict[str, Any]:
    definition: dict[str, Any] = json.loads(path.read_text())
    return definition


def scopes(definition: Mapping[str, Any], *, caught: bool = False) -> Iterator[Scope]:
    """Yield the machine, and every branch and item processor inside it."""
    yield Scope(definition["StartAt"], definition["States"], caught)
    for state in definition["States"].values():
        around = caught or any(CATCH_ALL in catcher["ErrorEquals"] for catcher in state.get("Catch", []))
        for inner in (*state.get("Branches", []), state.get("ItemProcessor")):
            if inner:
                yield from scopes(inner, caught=around)


def states(definition: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for scope in scopes(definition):
        yield from scope.states.items()


def tasks(definition: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((name, state) for name, state in states(definition) if state["Type"] == "Task")


def integration(state: Mapping[str, Any]) -> Integration:
    found = _RESOURCE.fullmatch(state["Resource"])
    assert found, f"{state['Resource']} is no service integration"
    return Integration(found[2], found[3], bool(found[1]), bool(found[4]))


def choices(state: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every comparison of a Choice, those inside And, Or and Not included."""
    for choice in state.get("Choices", []):
        yield from comparisons(choice)


def comparisons(rule: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    inner = [*rule.get("And", []), *rule.get("Or", []), *([rule["Not"]] if "Not" in rule else [])]
    if inner:
        for part in inner:
            yield from comparisons(part)
    else:
        yield dict(rule)


def successors(state: Mapping[str, Any], *, errors: bool = True) -> list[str]:
    rules = [*state.get("Choices", []), *(state.get("Catch", []) if errors else [])]
    names = [state.get("Next"), state.get("Default"), *(rule["Next"] for rule in rules)]
    return [name for name in names if name]


def reachable(states: States, start: str, *, errors: bool = True) -> set[str]:
    found, todo = set[str](), [start]
    while todo:
        name = todo.pop()
        if name not in found and name in states:
            found.add(name)
            todo += successors(states[name], errors=errors)
    return found


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\$\{(\w+)\}", text))


def machine_of(template: Template, path: Path) -> str:
    """Return the logical id of the state machine that is defined by a file."""
    uri = str(path.relative_to(ROOT))
    found = of_type(template, "AWS::Serverless::StateMachine").items()
    return next(name for name, body in found if body["Properties"]["DefinitionUri"] == uri)


def substituted(template: Template, path: Path) -> dict[str, Any]:
    """Return the definition as CloudFormation hands it to Step Functions."""
    given = template["Resources"][machine_of(template, path)]["Properties"]["DefinitionSubstitutions"]
    text = path.read_text()
    for name, value in given.items():
        text = text.replace(f"${{{name}}}", resolve(template, value))
    definition: dict[str, Any] = json.loads(text)
    return definition
