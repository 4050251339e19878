"""How a run ended: told by the state machine itself, or by the event that AWS sends when an execution ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Ending:
    """The last words of one execution; `facts` go into the run's record as they are, `run_id` is None if unknown."""

    execution_arn: str
    status: str
    facts: dict[str, Any] = field(default_factory=dict)
    run_id: str | None = None


def parse_ending(event: Mapping[str, Any]) -> Ending:
    """Read the state machine's own call, or a `Step Functions Execution Status Change` event."""
    if event.get("source") == "aws.states":
        detail = event["detail"]
        silence = "the execution ended without a word of its own; its history says where"
        facts = {"error": detail.get("error") or "Unreported", "cause": detail.get("cause") or silence}
        return Ending(detail["executionArn"], detail["status"], facts)
    facts = {name: event[name] for name in ("summary", "error", "cause") if name in event}
    return Ending(event["execution"], event["status"], facts, event.get("run_id"))
