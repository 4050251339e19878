"""What started an execution: the schedule, new data, a changed parameter, or a person."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["schedule", "data", "parameter", "queued", "manual"]


@dataclass(frozen=True)
class Trigger:
    """Why a run starts.

    Attributes:
        kind: `manual` when nothing else is recognised: a person or a client started the execution.
        reason: one sentence for emails and the run table.
        event_id: EventBridge's id, by which a second delivery is known; empty for people.
    """

    kind: Kind
    reason: str
    event_id: str = ""

    @property
    def settles(self) -> bool:
        """Whether more of the same may be about to arrive, so that waiting a little saves a run."""
        return self.kind in ("data", "parameter")

    @property
    def may_queue(self) -> bool:
        """Whether a run in progress makes this one wait its turn; a person is told instead."""
        return self.kind != "manual"


def parse_trigger(event: Mapping[str, Any]) -> Trigger:
    """Recognise the input of an execution; see `events/` for one sample of each kind."""
    detail = event.get("detail") or {}
    event_id = str(event.get("id", ""))
    if event_id.startswith("<"):  # a scheduler that does not fill in its context attributes
        event_id = ""
    match event.get("source"), event.get("detail-type"):
        case "aws.s3", _:
            return Trigger(
                "data", f"new data: {detail.get('object', {}).get('key', 'unknown key')}", event_id
            )
        case "aws.ssm", _:
            return Trigger("parameter", f"changed parameter: {detail.get('name', 'unknown')}", event_id)
        case "fleetcast.schedule", _:
            return Trigger("schedule", f"schedule at {event.get('time', 'unknown time')}", event_id)
        case "fleetcast.queue", _:
            return Trigger("queued", f"asked for during run {event.get('after', 'unknown')}", event_id)
    return Trigger("manual", str(event.get("reason") or "started by hand"))
