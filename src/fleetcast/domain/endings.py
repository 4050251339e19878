"""How a run ended: told by the state machine itself, or by the event that AWS sends when an execution ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Ending:
    """The last words of one execution; `facts` go into the run's record as they are."""

    execution_arn: str
    status: str
    facts: dict[str, Any] = field(default_factory=dict)


def parse_ending(event: Mapping[str, Any]) -> Ending:
    """Read the state machine's own call, or a `Step Functions Execution Status Change` event."""
    if event.get("source") == "aws.states":
        detail = event["detail"]
        sentence = "the execution ended without a word of its own; its history says where"
        return Ending(detail["executionArn"], detail["status"], {"error": "Unreported", "cause": sentence})
    facts = {name: event[name] for name in ("summary", "error", "cause") if name in event}
    return Ending(event["execution"], event["status"], facts)
