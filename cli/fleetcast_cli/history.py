"""What an execution has done so far, read a little at a time from its history."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

_PAGE = 100


@dataclass(frozen=True)
class Step:
    """A state that the execution has left."""

    state: str
    seconds: float


@dataclass
class Execution:
    """The picture of one execution; `read` brings it up to date.

    Attributes:
        current: the state it is in, the latest entered where several run side by side.
        plan: what InitiateRun gave the run: its id and its S3 prefixes. Empty until then.
        farewell: what the state that failed the run was given: the explanation that went out by email.
        steps: states left since the last call of `take_steps`.
    """

    sfn: Any
    arn: str
    current: str = ""
    plan: dict[str, Any] = field(default_factory=dict)
    farewell: dict[str, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    _seen: int = 0
    _entered: dict[str, datetime] = field(default_factory=dict)

    def read(self) -> None:
        for event in self._fresh_events():
            self._note(event)

    def take_steps(self) -> list[Step]:
        taken, self.steps = self.steps, []
        return taken

    def _fresh_events(self) -> list[dict[str, Any]]:
        # There is no way to ask for events after a certain one: from the newest back to the last one seen.
        fresh: list[dict[str, Any]] = []
        arguments: dict[str, Any] = {"executionArn": self.arn, "reverseOrder": True, "maxResults": _PAGE}
        while True:
            page = self.sfn.get_execution_history(**arguments)
            new = [event for event in page["events"] if event["id"] > self._seen]
            fresh += new
            if len(new) < len(page["events"]) or not page.get("nextToken"):
                break
            arguments["nextToken"] = page["nextToken"]
        fresh.reverse()
        self._seen = fresh[-1]["id"] if fresh else self._seen
        return fresh

    def _note(self, event: dict[str, Any]) -> None:
        entered, left = event.get("stateEnteredEventDetails"), event.get("stateExitedEventDetails")
        if entered:
            self._note_entered(event["type"], entered, event["timestamp"])
        elif left:
            self._note_left(event["type"], left, event["timestamp"])

    def _note_entered(self, kind: str, details: dict[str, Any], moment: datetime) -> None:
        self.current = details["name"]
        self._entered[details["name"]] = moment
        if kind == "FailStateEntered":
            self.farewell = _document(details.get("input"))

    def _note_left(self, kind: str, details: dict[str, Any], moment: datetime) -> None:
        name = details["name"]
        since = self._entered.get(name, moment)
        if kind.startswith(("Task", "Parallel", "Map")):
            self.steps.append(Step(name, (moment - since).total_seconds()))
        if not self.plan:
            found = _document(details.get("output"))
            self.plan = found if "run_id" in found and "uris" in found else {}


def _document(text: str | None) -> dict[str, Any]:
    try:
        document = json.loads(text or "{}")
    except ValueError:  # cut off because it is long
        return {}
    return document if isinstance(document, dict) else {}


def noteworthy(steps: Iterable[Step]) -> list[Step]:
    """Leave out what is over in a blink and says nothing to a person, such as finding and confirming."""
    plumbing = ("Find", "Confirm", "Describe", "Close", "Record", "Plan", "Notify", "Initiate")
    return [step for step in steps if step.seconds >= 1 or not step.state.startswith(plumbing)]
