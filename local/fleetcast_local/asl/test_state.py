"""TestState: one state on the same interpreter that runs executions, in a machine made for it."""

import json
from typing import Any

from fleetcast_local.asl import validation
from fleetcast_local.asl.engine import Machine, Outcome, Run
from fleetcast_local.layout import ACCOUNT, REGION

_NAME = "TestState"


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run a state and say how it ended and which state would follow.

    Raises:
        ValueError: the definition cannot be run.
    """
    state = json.loads(request["definition"])
    machine = _around(state)
    faults = validation.diagnose(machine)
    if faults:
        raise ValueError(validation.explain(faults))
    outcomes: list[Outcome] = []
    arn = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{_NAME}:{_NAME}"
    role = request.get("roleArn", f"arn:aws:iam::{ACCOUNT}:role/{_NAME}")
    test = Run(arn, _NAME, Machine(arn, _NAME, machine, role), request.get("input") or "{}", outcomes.append)
    test.execute()
    return _answer(outcomes[0], test.events)


def _around(state: dict[str, Any]) -> str:
    """Return a machine of the state and, for each state it may lead to, one that only ends."""
    ends = {target: {"Type": "Succeed"} for target in validation.targets(state)}
    return json.dumps({"StartAt": _NAME, "States": {_NAME: state, **ends}})


def _answer(outcome: Outcome, events: list[dict[str, Any]]) -> dict[str, Any]:
    entered = [event["stateEnteredEventDetails"] for event in events if "stateEnteredEventDetails" in event]
    answer: dict[str, Any] = {"status": outcome.status}
    if outcome.output is not None:
        answer["output"] = outcome.output
    if len(entered) > 1:
        answer["nextState"] = entered[1]["name"]
        failed = _failure(events)
        if failed:
            answer |= {"status": "CAUGHT_ERROR", **failed}
    if outcome.status != "SUCCEEDED":
        answer |= {"status": "FAILED", "error": outcome.error or "", "cause": outcome.cause or ""}
    return answer


def _failure(events: list[dict[str, Any]]) -> dict[str, str]:
    for event in events:
        for name, details in event.items():
            if name.endswith(("FailedEventDetails", "TimedOutEventDetails")):
                return {"error": details.get("error", ""), "cause": details.get("cause", "")}
    return {}
