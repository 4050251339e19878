"""What started an execution: the schedule, new data, a changed parameter, or a person."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Kind = Literal["schedule", "data", "parameter", "queued", "manual"]


@dataclass(frozen=True)
class Trigger:
    """Why a run starts.

    Attributes:
        kind: `manual` when nothing else is recognised: a person or a client started the execution.
        reason: one sentence for emails and the run table.
        event_id: EventBridge's id, by which a second delivery is known; empty for people.
        arrived_at: when new data was stored, for a run that began to read later already has it.
    """

    kind: Kind
    reason: str
    event_id: str = ""
    arrived_at: datetime | None = None

    @property
    def settles(self) -> bool:
        """Whether more of the same may be about to arrive, so that waiting a little saves a run."""
        return self.kind in ("data", "parameter")

    @property
    def may_queue(self) -> bool:
        """Whether a run in progress makes this one wait its turn; a person is told instead."""
        return self.kind != "manual"


def parse_trigger(event: Any) -> Trigger:
    """Recognise the input of an execution; see `events/` for one sample of each kind."""
    event_id = str(_at(event, "id") or "")
    if event_id.startswith("<"):  # a scheduler that does not fill in its context attributes
        event_id = ""
    match _at(event, "source"):
        case "aws.s3":
            key = _at(event, "detail", "object", "key")
            return Trigger("data", f"new data: {key or 'unknown key'}", event_id, _time(_at(event, "time")))
        case "aws.ssm":
            return Trigger(
                "parameter", f"changed parameter: {_at(event, 'detail', 'name') or 'unknown'}", event_id
            )
        case "fleetcast.schedule":
            return Trigger("schedule", f"schedule at {_at(event, 'time') or 'unknown time'}", event_id)
        case "fleetcast.queue":
            return Trigger(
                "queued", f"asked for during execution {_at(event, 'after') or 'unknown'}", event_id
            )
    return Trigger("manual", str(_at(event, "reason") or "started by hand"))


def _time(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _at(event: Any, *path: str) -> Any:
    """Return what lies at a path, or None: an execution can be started with any JSON."""
    for step in path:
        event = event.get(step) if isinstance(event, Mapping) else None
    return event
