"""What the run table tells: the runs, newest first, and the one that is at work."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fleetcast.adapters.items import from_item
from fleetcast.adapters.run_table import LOCK
from fleetcast.domain.names import RUN_ID
from fleetcast_cli.errors import CommandFailed, UsageMistake
from fleetcast_cli.session import Cloud


@dataclass(frozen=True)
class RunAtWork:
    """The run that holds the lock; while it collects data, a run asked for by hand takes its place."""

    run_id: str
    execution: str
    since: str
    collects: bool


def recent_runs(cloud: Cloud, limit: int) -> list[dict[str, Any]]:
    return _all_runs(cloud)[:limit]


def _all_runs(cloud: Cloud) -> list[dict[str, Any]]:
    # The table also holds the lock and the events of the last days; a run's id sorts by time.
    pages = (
        cloud.client("dynamodb")
        .get_paginator("scan")
        .paginate(
            TableName=cloud.outputs.run_table,
            FilterExpression="begins_with(run_id, :r)",
            ExpressionAttributeValues={":r": {"S": "r"}},
        )
    )
    runs = (from_item(item) for page in pages for item in page["Items"])
    kept = [run for run in runs if RUN_ID.fullmatch(run["run_id"]) and "status" in run]
    return sorted(kept, key=lambda run: str(run["run_id"]), reverse=True)


def successful_runs(cloud: Cloud, limit: int) -> list[str]:
    return [run["run_id"] for run in _all_runs(cloud) if run["status"] == "SUCCEEDED"][:limit]


def find_run(cloud: Cloud, run_id: str | None) -> str:
    """Return the run that was named, or the latest that succeeded."""
    if run_id is not None:
        if not RUN_ID.fullmatch(run_id):
            raise UsageMistake(
                f"{run_id!r} is no run id; run ids look like r20260131083000-0a1b2c, see fleetcast runs"
            )
        return run_id
    found = successful_runs(cloud, 1)
    if not found:
        raise CommandFailed("no run has succeeded yet: fleetcast retrain --wait, or see fleetcast runs")
    return found[0]


def run_at_work(cloud: Cloud) -> RunAtWork | None:
    """Return the run that holds the lock; a lock that an ended execution left behind holds nothing."""
    answer = cloud.client("dynamodb").get_item(
        TableName=cloud.outputs.run_table, Key={"run_id": {"S": LOCK}}, ConsistentRead=True
    )
    lock = from_item(answer.get("Item", {}))
    if not lock or not _is_running(cloud, lock["execution_arn"]):
        return None
    return RunAtWork(lock["holder"], lock["execution_arn"], lock["since"], lock["phase"] == "collecting")


def _is_running(cloud: Cloud, execution: str) -> bool:
    stepfunctions = cloud.client("stepfunctions")
    try:
        described = stepfunctions.describe_execution(executionArn=execution)
    except stepfunctions.exceptions.ExecutionDoesNotExist:
        return False
    return bool(described["status"] == "RUNNING")


def started_at(run: dict[str, Any]) -> datetime:
    """Return when a run began; one that ended before it was recorded still has its id, which tells."""
    if run.get("started_at"):
        return datetime.fromisoformat(run["started_at"])
    return datetime.strptime(run["run_id"][1:15], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
