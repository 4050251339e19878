"""House rules of state machines: each returns a sentence for everything that breaks it."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.static.machines import (
    CATCH_ALL,
    choices,
    integration,
    reachable,
    scopes,
    states,
    successors,
    tasks,
)

Definition = Mapping[str, Any]
Rule = Callable[[Definition], Iterator[str]]

_VERBS = {
    *("Build", "Close", "Confirm", "Count", "Create", "Delete", "Deregister", "Describe", "End"),
    *("Evaluate", "Explain", "Fail", "Find", "Initiate", "Keep", "Name", "Notify", "Plan", "Prepare"),
    *(
        "Promote",
        "Put",
        "Record",
        "Refuse",
        "Register",
        "Reject",
        "Report",
        "Restore",
        "Settle",
        "Skip",
        "Start",
    ),
    *("Train", "Update", "Wait"),
}
# Errors that no retry cures, or that are retried by asking for States.ALL and thereby hide a bug.
_UNNAMED = frozenset(("States.ALL", "States.TaskFailed", "States.Runtime"))
_NAME_PATTERNS = {
    "createTrainingJob": "TrainingJobName.$",
    "createProcessingJob": "ProcessingJobName.$",
    "createTransformJob": "TransformJobName.$",
    "createModel": "ModelName.$",
    "createEndpointConfig": "EndpointConfigName.$",
}


def leads_somewhere(definition: Definition) -> Iterator[str]:
    """Every Next, Default and Catch names a state, and every other state ends."""
    for scope in scopes(definition):
        for name, state in scope.states.items():
            for target in successors(state):
                if target not in scope.states:
                    yield f"{name} leads to {target}, which does not exist"
            if not successors(state) and not state.get("End") and state["Type"] not in ("Succeed", "Fail"):
                yield f"{name} neither leads on nor ends"


def no_orphans(definition: Definition) -> Iterator[str]:
    for scope in scopes(definition):
        if scope.start not in scope.states:
            yield f"StartAt names {scope.start}, which does not exist"
        for name in scope.states.keys() - reachable(scope.states, scope.start):
            yield f"no path leads to {name}"


def always_can_end(definition: Definition) -> Iterator[str]:
    """From every state an end is in reach: a loop has a way out."""
    for scope in scopes(definition):
        for name in scope.states:
            found = (scope.states[other] for other in reachable(scope.states, name))
            if not any(state.get("End") or state["Type"] in ("Succeed", "Fail") for state in found):
                yield f"{name} never reaches an end"


def tasks_time_out(definition: Definition) -> Iterator[str]:
    for name, state in tasks(definition):
        if "TimeoutSeconds" not in state:
            yield f"{name} has no TimeoutSeconds"
    if "TimeoutSeconds" not in definition:
        yield "the machine has no TimeoutSeconds"


def tasks_retry(definition: Definition) -> Iterator[str]:
    """Retries name their errors, are bounded in number and pause, and are spread by jitter."""
    for name, state in tasks(definition):
        if not state.get("Retry"):
            yield f"{name} has no Retry"
        for retry in state.get("Retry", []):
            if _UNNAMED & set(retry["ErrorEquals"]):
                yield f"{name} retries {retry['ErrorEquals']}, which names no error"
            if not 1 <= retry.get("MaxAttempts", 0) <= 10:
                yield f"{name} retries without a bound"
            if not 1 <= retry.get("MaxDelaySeconds", 0) <= 600:
                yield f"{name} lets the pause between retries grow without a bound"
            if retry.get("JitterStrategy") != "FULL" or retry.get("BackoffRate", 1) <= 1:
                yield f"{name} retries in step with everybody else"


def errors_are_caught(definition: Definition) -> Iterator[str]:
    """Every Task keeps any error, here or around its branch, and ends in Fail after it."""
    for scope in scopes(definition):
        for name, state in scope.states.items():
            if state["Type"] not in ("Task", "Parallel", "Map"):
                continue
            catch_all = [c for c in state.get("Catch", []) if CATCH_ALL in c["ErrorEquals"]]
            if not catch_all and not scope.caught:
                yield f"{name} has no catch-all"


def catchers_keep_the_error(definition: Definition) -> Iterator[str]:
    for name, state in states(definition):
        for catcher in state.get("Catch", []):
            if not str(catcher.get("ResultPath", "$")).startswith("$."):
                yield f"{name} loses the state when it catches {catcher['ErrorEquals']}"
            elif CATCH_ALL in catcher["ErrorEquals"] and catcher["ResultPath"] != f"$.failed.{name}":
                yield f"{name} keeps its error in {catcher['ResultPath']} instead of $.failed.{name}"


def unexpected_errors_end_red(definition: Definition) -> Iterator[str]:
    """Only an error caught by its own name may end green; after a catch-all no success is in reach."""
    for scope in scopes(definition):
        for name, state in scope.states.items():
            for catcher in state.get("Catch", []):
                if CATCH_ALL not in catcher["ErrorEquals"]:
                    continue
                after = {n: scope.states[n] for n in reachable(scope.states, catcher["Next"])}
                if not any(s["Type"] == "Fail" for s in after.values()):
                    yield f"{name} -> {catcher['Next']} never fails"
                green = [n for n, s in after.items() if s["Type"] == "Succeed" or s.get("End")]
                if green:
                    yield f"{name} -> {catcher['Next']} can end green in {green}"


def failures_say_why(definition: Definition) -> Iterator[str]:
    for name, state in states(definition):
        if state["Type"] == "Fail" and not (
            {"Error", "ErrorPath"} & state.keys() and {"Cause", "CausePath"} & state.keys()
        ):
            yield f"{name} ends without Error and Cause"


def names_are_spoken(definition: Definition) -> Iterator[str]:
    """PascalCase; verb and object, or a question that only a Choice asks."""
    for name, state in states(definition):
        words = re.findall(r"[A-Z][a-z0-9]+", name)
        if "".join(words) != name or len(words) < 2:
            yield f"{name} is not PascalCase of verb and object"
        elif (words[0] in ("Is", "Any", "Are")) != (state["Type"] == "Choice"):
            yield f"{name} must be a question if, and only if, it is a Choice"
        elif state["Type"] != "Choice" and words[0] not in _VERBS:
            yield f"{name} does not begin with a verb that these machines use: {sorted(_VERBS)}"


def names_are_unique(definition: Definition) -> Iterator[str]:
    """A name is one state, in branches too: logs and emails mention it alone."""
    seen = set[str]()
    for name, _ in states(definition):
        if name in seen:
            yield f"{name} is there twice"
        seen.add(name)


def choices_have_a_default(definition: Definition) -> Iterator[str]:
    for name, state in states(definition):
        if state["Type"] == "Choice" and "Default" not in state:
            yield f"{name} has no Default: States.NoChoiceMatched is the worst way to say it"


def comparisons_are_exact(definition: Definition) -> Iterator[str]:
    """`IsPresent` and wildcards would hide a misspelt path."""
    for name, state in states(definition):
        for comparison in choices(state):
            operators = comparison.keys() - {"Variable", "Next", "Comment"}
            if len(operators) != 1 or {"IsPresent", "StringMatches"} & operators:
                yield f"{name} compares with {sorted(operators)}"


def created_names_are_new(definition: Definition) -> Iterator[str]:
    """A name works once only: without the retry count a retry meets its own first attempt."""
    for name, state in tasks(definition):
        field = _NAME_PATTERNS.get(integration(state).operation)
        if field and "$$.State.RetryCount" not in state["Parameters"].get(field, ""):
            yield f"{name} asks for the same {field} again when it is retried"


def updates_keep_the_capacity(definition: Definition) -> Iterator[str]:
    """An update leaves the instances that autoscaling has added; without them the load meets the initial count."""
    for name, state in tasks(definition):
        retains = state.get("Parameters", {}).get("RetainAllVariantProperties")
        if integration(state).operation == "updateEndpoint" and not retains:
            yield f"{name} sets the capacity back to the initial count"


def endpoints_are_polled(definition: Definition) -> Iterator[str]:
    for name, state in tasks(definition):
        called = integration(state)
        if called.sync and "ndpoint" in called.operation:
            yield f"{name} uses .sync, which Step Functions does not have for endpoints"


def jobs_are_waited_for(definition: Definition) -> Iterator[str]:
    """After a job comes a Choice on its real status: a job that ran out of time is stopped, not failed."""
    for scope in scopes(definition):
        for name, state in scope.states.items():
            if state["Type"] != "Task" or not re.fullmatch(r"create\w+Job", integration(state).operation):
                continue
            if not integration(state).sync:
                yield f"{name} does not wait for its job"
            following = scope.states.get(state.get("Next", ""), {})
            asked = {comparison["Variable"] for comparison in choices(following)}
            if f"{state.get('ResultPath')}.status" not in asked:
                yield f"{name} is not followed by a Choice on the job's status"


def substitutions_stay_in_strings(definition: Definition) -> Iterator[str]:
    """No key and no path is made by substitution: the file reads as it runs."""
    for name, state in states(definition):
        for key in _keys(state):
            if "${" in key:
                yield f"{name} has the key {key}"


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield key
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


RULES: tuple[Rule, ...] = (
    leads_somewhere,
    no_orphans,
    always_can_end,
    tasks_time_out,
    tasks_retry,
    errors_are_caught,
    catchers_keep_the_error,
    unexpected_errors_end_red,
    failures_say_why,
    names_are_spoken,
    names_are_unique,
    choices_have_a_default,
    comparisons_are_exact,
    created_names_are_new,
    endpoints_are_polled,
    updates_keep_the_capacity,
    jobs_are_waited_for,
    substitutions_stay_in_strings,
)
