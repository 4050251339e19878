"""The event that Step Functions puts on the default bus whenever an execution's status changes."""

from datetime import datetime
from typing import Any

SOURCE = "aws.states"
DETAIL_TYPE = "Step Functions Execution Status Change"
# EventBridge's own limit: longer inputs and outputs are left out, and the details say so.
_INCLUDED_BYTES = 248 * 1024


def detail(record: dict[str, Any]) -> dict[str, Any]:
    """Return the event's detail for an execution in its present status."""
    status = record["status"]
    entered, input_details = _included(record["input"])
    output, output_details = _included(record["output"] if status == "SUCCEEDED" else None)
    again = status in ("FAILED", "TIMED_OUT", "ABORTED")
    return {
        "executionArn": record["executionArn"],
        "stateMachineArn": record["stateMachineArn"],
        "name": record["name"],
        "status": status,
        "startDate": _milliseconds(record["startDate"]),
        "stopDate": _milliseconds(record["stopDate"]),
        "input": entered,
        "inputDetails": input_details,
        "output": output,
        "outputDetails": output_details,
        "error": record.get("error") if again else None,
        "cause": record.get("cause") if again else None,
        "stateMachineVersionArn": None,
        "stateMachineAliasArn": None,
        "redriveCount": 0,
        "redriveDate": None,
        "redriveStatus": "REDRIVABLE" if again else "NOT_REDRIVABLE",
        "redriveStatusReason": None if again else f"Execution is {status} and cannot be redriven",
    }


def _included(text: str | None) -> tuple[str | None, dict[str, bool] | None]:
    if text is None:
        return None, None
    if len(text.encode()) > _INCLUDED_BYTES:
        return None, {"included": False}
    return text, {"included": True}


def _milliseconds(stamp: str | None) -> int | None:
    return int(datetime.fromisoformat(stamp).timestamp() * 1000) if stamp else None
