"""Walks every path of a state machine with sample documents, and notes every field that finds nothing.

A path that leads nowhere is `States.Runtime`: the execution ends at once, past every Catch.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.static.asl_paths import Missing, OneOf, evaluate, fill, get, put
from tests.static.machines import comparisons, integration
from tests.static.service_models import named_result

_CAUGHT = {"Error": "SampleError", "Cause": "a sample cause"}
_NUMERIC, _TEXT, _BOOLEAN = "Numeric", "String", "Boolean"
Answers = Mapping[str, list[Any]]


@dataclass
class Walk:
    """What was seen on all paths.

    Attributes:
        answers: what each function answers, by its state's name, in every shape it has.
        faults: one sentence for each field that finds nothing, or finds the wrong thing.
        parameters: what each Task would send, once per way to get there.
        ends: the states in which paths end.
    """

    answers: Answers
    faults: set[str] = field(default_factory=set)
    parameters: dict[str, list[Any]] = field(default_factory=dict)
    ends: set[str] = field(default_factory=set)

    def run(self, definition: Mapping[str, Any], documents: list[Any]) -> list[Any]:
        """Follow every path from StartAt and return the documents with which the scope ends."""
        states, finished, seen = definition["States"], [], set[str]()
        todo = [(definition["StartAt"], document) for document in documents]
        while todo:
            name, document = todo.pop()
            key = f"{name} {_shape(document)}"
            if key in seen:
                continue
            seen.add(key)
            try:
                for following, output in self._step(name, states[name], document):
                    if following:
                        todo.append((following, output))
                    else:
                        self.ends.add(name)
                        finished.append(output)
            except Missing as error:
                self.faults.add(f"{name}: {error}")
        return finished

    def _step(self, name: str, state: Mapping[str, Any], document: Any) -> Iterator[tuple[str | None, Any]]:
        for catcher in state.get("Catch", []):
            yield catcher["Next"], put(document, catcher.get("ResultPath", "$"), _CAUGHT)
        match state["Type"]:
            case "Choice":
                yield from self._choose(name, state, document)
            case "Fail":
                yield None, self._fail(name, state, document)
            case "Succeed":
                yield None, document
            case "Wait":
                self._expect(name, get(document, state["SecondsPath"]), _NUMERIC)
                yield state.get("Next"), document
            case _:
                for output in self._work(name, state, document):
                    yield state.get("Next"), output

    def _work(self, name: str, state: Mapping[str, Any], document: Any) -> Iterator[Any]:
        given = get(document, state.get("InputPath", "$"))
        parameters = fill(state["Parameters"], given) if "Parameters" in state else given
        for answer in self._results(name, state, parameters):
            selected = fill(state["ResultSelector"], answer) if "ResultSelector" in state else answer
            path = state.get("ResultPath", "$")
            yield get(
                document if path is None else put(document, path, selected), state.get("OutputPath", "$")
            )

    def _results(self, name: str, state: Mapping[str, Any], parameters: Any) -> list[Any]:
        match state["Type"]:
            case "Pass":
                return [state.get("Result", parameters)]
            case "Parallel":
                outputs = [self.run(branch, [parameters]) for branch in state["Branches"]]
                return [
                    [output[index % len(output)] for output in outputs] for index in range(_most(outputs))
                ]
        self.parameters.setdefault(name, []).append(parameters)
        called = integration(state)
        if called.service == "lambda":
            function = parameters["FunctionName"].rpartition(":")[2].removesuffix("Function")
            return [{"StatusCode": 200, "Payload": answer} for answer in self.answers[function]]
        return [named_result(called, parameters)]

    def _choose(self, name: str, state: Mapping[str, Any], document: Any) -> Iterator[tuple[str, Any]]:
        open_ended = True
        for choice in state["Choices"]:
            outcomes = [self._compare(name, comparison, document) for comparison in comparisons(choice)]
            if False not in outcomes or "Or" in choice:
                yield choice["Next"], document
            if outcomes == [True]:
                open_ended = False
                break
        if open_ended:
            yield state["Default"], document

    def _compare(self, name: str, comparison: Mapping[str, Any], document: Any) -> bool | None:
        """Return the outcome where it is certain: of booleans, which the samples give in both forms."""
        value = get(document, comparison["Variable"])
        operator = next(key for key in comparison if key not in ("Variable", "Next", "Comment"))
        kind = next((kind for kind in (_NUMERIC, _TEXT, _BOOLEAN) if operator.startswith(kind)), "")
        self._expect(name, value, kind)
        expected = comparison[operator]
        if operator.endswith("Path"):
            self._expect(name, get(document, expected), kind)
            return None
        if isinstance(value, OneOf) and expected not in value.values:
            self.faults.add(
                f"{name}: {comparison['Variable']} is never {expected!r}, but one of {value.values}"
            )
        return value == expected if kind == _BOOLEAN else None

    def _fail(self, name: str, state: Mapping[str, Any], document: Any) -> Any:
        for path in (state.get("ErrorPath"), state.get("CausePath")):
            if path:
                self._expect(name, evaluate(path, document), _TEXT)
        return document

    def _expect(self, name: str, value: Any, kind: str) -> None:
        kinds = {_NUMERIC: (int, float), _TEXT: (str, OneOf), _BOOLEAN: (bool,)}
        if not isinstance(value, kinds.get(kind, (object,))) or (
            kind == _NUMERIC and isinstance(value, bool)
        ):
            self.faults.add(f"{name}: {value!r} is compared or used as {kind}")


def _most(outputs: list[list[Any]]) -> int:
    return max(len(output) for output in outputs) if all(outputs) else 0


def _shape(document: Any) -> str:
    """Return the document without what grows: a counter that counts is the same document."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [plain(inner) for inner in value]
        return value if isinstance(value, bool) else type(value).__name__

    return json.dumps(plain(document), sort_keys=True)
