"""Paths, context and intrinsic functions of the Amazon States Language, on sample documents."""

import functools
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]")
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:\\.|[^'\\])*')|(?P<call>States\.\w+)\(|(?P<path>\$\$?(?:\.\w+|\[\d+\])*)"
    r"|(?P<number>-?\d+(?:\.\d+)?)|(?P<sign>[,)]))"
)
CONTEXT: Any = {
    "Execution": {
        "Id": "arn:aws:states:us-east-1:000000000000:execution:fleetcast-retrain:sample",
        "Name": "sample",
        "StartTime": "2026-01-31T02:00:00.000Z",
        "RoleArn": "arn:aws:iam::000000000000:role/retrain",
    },
    "State": {"Name": "Sample", "EnteredTime": "2026-01-31T02:00:00.000Z", "RetryCount": 0},
    "StateMachine": {
        "Id": "arn:aws:states:us-east-1:000000000000:stateMachine:fleetcast-retrain",
        "Name": "x",
    },
}


class Missing(Exception):
    """A path leads nowhere: States.Runtime, which no Catch sees."""


@dataclass(frozen=True)
class OneOf:
    """A text that a service takes from a list."""

    values: tuple[str, ...]

    def __str__(self) -> str:
        return max(self.values, key=len)


def get(document: Any, path: str) -> Any:
    """Return what a path finds, or raise Missing."""
    found, rest = (CONTEXT, path[2:]) if path.startswith("$$") else (document, path[1:])
    for step in _steps(rest, path):
        try:
            found = found[step]
        except (KeyError, IndexError, TypeError) as error:
            raise Missing(f"{path}: nothing at {step!r}") from error
    return found


def put(document: Any, path: str, value: Any) -> Any:
    """Return a copy of the document in which the path holds the value, as ResultPath does."""
    steps = [str(step) for step in _steps(path[1:], path)]
    return _put(document, steps, value, path)


def _put(document: Any, steps: list[str], value: Any, path: str) -> Any:
    if not steps:
        return value
    if not isinstance(document, Mapping):
        raise Missing(f"{path}: cannot be put into {document!r}")
    return {**document, steps[0]: _put(document.get(steps[0], {}), steps[1:], value, path)}


def _steps(rest: str, path: str) -> list[str | int]:
    steps: list[str | int] = []
    position = 0
    while position < len(rest):
        found = _STEP.match(rest, position)
        if not found:
            raise Missing(f"{path}: cannot be read from {rest[position:]!r} on")
        steps.append(found[1] or int(found[2]))
        position = found.end()
    return steps


def fill(template: Any, document: Any) -> Any:
    """Return Parameters or a ResultSelector with every `.$` field replaced by what it finds."""
    if isinstance(template, Mapping):
        return {
            key.removesuffix(".$"): evaluate(value, document) if key.endswith(".$") else fill(value, document)
            for key, value in template.items()
        }
    return [fill(item, document) for item in template] if isinstance(template, list) else template


def evaluate(expression: str, document: Any) -> Any:
    """Return the value of a path or of an intrinsic function."""
    value, position = _expression(expression, 0, document)
    if expression[position:].strip():
        raise Missing(f"{expression}: cannot be read from {expression[position:]!r} on")
    return value


def _expression(text: str, position: int, document: Any) -> tuple[Any, int]:
    token = _TOKEN.match(text, position)
    if not token or token["sign"]:
        raise Missing(f"{text}: cannot be read from {text[position:]!r} on")
    if token["text"] is not None:
        return re.sub(r"\\(.)", r"\1", token["text"][1:-1]), token.end()
    if token["number"] is not None:
        return float(token["number"]) if "." in token["number"] else int(token["number"]), token.end()
    if token["path"] is not None:
        return get(document, token["path"]), token.end()
    arguments, end = _arguments(text, token.end(), document)
    return _call(token["call"], arguments, text), end


def _arguments(text: str, position: int, document: Any) -> tuple[list[Any], int]:
    arguments = []
    while True:
        value, position = _expression(text, position, document)
        arguments.append(value)
        sign = _TOKEN.match(text, position)
        if not sign or not sign["sign"]:
            raise Missing(f"{text}: cannot be read from {text[position:]!r} on")
        position = sign.end()
        if sign["sign"] == ")":
            return arguments, position


def _call(name: str, arguments: list[Any], text: str) -> Any:
    match name, arguments:
        case "States.Format", [str(template), *values] if template.count("{}") == len(values):
            if any(isinstance(value, (dict, list)) for value in values):
                raise Missing(f"{text}: States.Format takes no objects")
            return functools.reduce(lambda made, value: made.replace("{}", str(value), 1), values, template)
        case "States.Hash", [str(value), "SHA-1"]:
            return hashlib.sha1(value.encode(), usedforsecurity=False).hexdigest()
        case "States.MathAdd", [int(left), int(right)]:
            return left + right
        case "States.JsonToString", [_]:
            return "{}"
        case "States.StringSplit", [str(value), str(separator)]:
            return value.split(separator)
        case "States.ArrayGetItem", [list(items), int(index)] if index < len(items):
            return items[index]
    raise Missing(f"{text}: {name} does not take {arguments!r}")
