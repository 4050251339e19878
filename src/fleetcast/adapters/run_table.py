"""The run table in DynamoDB: the lock that keeps runs apart, and one item per run."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from botocore.exceptions import ClientError

from fleetcast.adapters.clients import client
from fleetcast.adapters.items import from_item, to_item, to_value
from fleetcast.domain.triggers import Trigger
from fleetcast.errors import RunInProgress

LOCK = "lock"
_EVENT_MEMORY_SECONDS = 7 * 24 * 3600  # EventBridge delivers again for a day at most
# Data must not join a dead run; asking after it for every file of a burst would be too much.
_TRUSTED_SECONDS = 120
Outcome = Literal["acquired", "duplicate", "joined", "queued"]


class RunTable:
    """The lock item holds the running execution; `phase` is `collecting` until the run starts to read data.

    While it collects, new data joins it for nothing and a run asked for by hand takes its place.
    """

    def __init__(self, table: str) -> None:
        self._table = table

    def acquire(self, run_id: str, execution_arn: str, trigger: Trigger) -> tuple[Outcome, str]:
        """Take the lock for an execution, or say why it need not run.

        Returns:
            The outcome, and the id of the run that holds the lock now.

        Raises:
            RunInProgress: a person asked, and another run is at work.
        """
        if trigger.event_id and not self._is_first_delivery(trigger.event_id, execution_arn):
            return "duplicate", ""
        for _ in range(10):  # each turn loses a race against another execution; ten in a row do not happen
            lock = self._lock()
            if lock is None or lock["execution_arn"] == execution_arn:
                holder = lock["holder"] if lock else run_id
                if self._take(holder, execution_arn, None):
                    return "acquired", holder
            elif _covers(lock, trigger):
                return "joined", lock["holder"]
            elif lock["phase"] == "collecting":
                if self._take(run_id, execution_arn, lock):
                    return "acquired", run_id
            elif (status := _status_of(lock["execution_arn"])) != "RUNNING":
                if self._take(run_id, execution_arn, lock):
                    # Its end went unseen, perhaps because the rule that reports it failed: say so in its record.
                    self._finish(lock["holder"], {"status": status, "ended_at": _now()})
                    return "acquired", run_id
            elif not trigger.may_queue:
                raise RunInProgress(
                    f"run {lock['holder']} is in progress since {lock['since']}; wait for it, or stop its execution"
                    f" {lock['execution_arn']}"
                )
            elif self._queue(lock):
                return "queued", lock["holder"]
        raise RunInProgress("the run lock changed hands ten times while it was asked for; try again")

    def close(
        self, execution_arn: str, status: str, facts: dict[str, Any], run_id: str | None = None
    ) -> tuple[str | None, bool]:
        """Write how a run ended and release its lock; a repeated call changes nothing and answers the same.

        Returns:
            The run's id (None when this execution holds no lock), and whether another run was asked for meanwhile.
        """
        lock = self._lock()
        if lock is None or lock["execution_arn"] != execution_arn:
            return (run_id, bool(self._item(run_id).get("again"))) if run_id else (None, False)
        # The wish is kept before its lock goes: the answer to this call may get lost on its way.
        closing = {"status": status, "ended_at": _now(), "again": lock["again"], **facts}
        self._finish(lock["holder"], closing)
        return lock["holder"], self._release(execution_arn)

    def holder(self) -> dict[str, Any] | None:
        """Return the run that holds the lock, if any."""
        return self._lock()

    def last_successful(self) -> str | None:
        """Return the id of the newest run that succeeded; the table is as small as the number of runs."""
        pages = (
            client("dynamodb")
            .get_paginator("scan")
            .paginate(
                TableName=self._table,
                ProjectionExpression="run_id",
                FilterExpression="#status = :succeeded",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues={":succeeded": {"S": "SUCCEEDED"}},
            )
        )
        return max((from_item(item)["run_id"] for page in pages for item in page["Items"]), default=None)

    def _release(self, execution_arn: str) -> bool:
        """Delete the lock of an execution; return whether another run was asked for meanwhile."""
        try:
            released = client("dynamodb").delete_item(
                TableName=self._table,
                Key=_key(LOCK),
                ConditionExpression="execution_arn = :mine",
                ExpressionAttributeValues={":mine": {"S": execution_arn}},
                ReturnValues="ALL_OLD",
            )
        except ClientError as error:
            return _refused(error)  # it has changed hands since, and is not ours to release
        return bool(from_item(released["Attributes"]).get("again"))

    def _finish(self, run_id: str, facts: dict[str, Any]) -> None:
        client("dynamodb").update_item(
            TableName=self._table,
            Key=_key(run_id),
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in facts),
            ExpressionAttributeNames={f"#{name}": name for name in facts},
            ExpressionAttributeValues={f":{name}": to_value(value) for name, value in facts.items()},
        )

    def _lock(self) -> dict[str, Any] | None:
        return self._item(LOCK) or None

    def _item(self, run_id: str) -> dict[str, Any]:
        answer = client("dynamodb").get_item(TableName=self._table, Key=_key(run_id), ConsistentRead=True)
        return from_item(answer.get("Item", {}))

    def _is_first_delivery(self, event_id: str, execution_arn: str) -> bool:
        item = {"run_id": f"event#{event_id}", "execution_arn": execution_arn}
        return self._put_if(
            {**item, "expires_at": int(time.time()) + _EVENT_MEMORY_SECONDS},
            "attribute_not_exists(run_id) OR execution_arn = :mine",
            {":mine": execution_arn},
        )

    def _take(self, holder: str, execution_arn: str, former: dict[str, Any] | None) -> bool:
        item = {"run_id": LOCK, "holder": holder, "execution_arn": execution_arn}
        expected = former["execution_arn"] if former else execution_arn
        guard = "execution_arn = :expected" + (" AND phase = :phase" if former else "")
        values = {":expected": expected, **({":phase": former["phase"]} if former else {})}
        return self._put_if(
            {**item, "phase": "collecting", "again": False, "since": _now()},
            guard if former else f"attribute_not_exists(run_id) OR {guard}",
            values,
        )

    def _queue(self, lock: dict[str, Any]) -> bool:
        try:
            client("dynamodb").update_item(
                TableName=self._table,
                Key=_key(LOCK),
                UpdateExpression="SET again = :yes",
                ConditionExpression="execution_arn = :holder",
                ExpressionAttributeValues={":yes": {"BOOL": True}, ":holder": {"S": lock["execution_arn"]}},
            )
        except ClientError as error:
            return _refused(error)
        return True

    def _put_if(self, item: dict[str, Any], condition: str, values: dict[str, str]) -> bool:
        try:
            client("dynamodb").put_item(
                TableName=self._table,
                Item=to_item(item),
                ConditionExpression=condition,
                ExpressionAttributeValues=to_item(values),
            )
        except ClientError as error:
            return _refused(error)
        return True


def _refused(error: ClientError) -> bool:
    """Return False for a failed condition, which is an answer; anything else is an error."""
    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
        raise error
    return False


def _covers(lock: dict[str, Any], trigger: Trigger) -> bool:
    """Whether the run that holds the lock will do what the trigger asks for, or has it in hand."""
    since = datetime.fromisoformat(lock["since"])
    if lock["phase"] == "collecting":
        is_fresh = datetime.now(UTC) - since <= timedelta(seconds=_TRUSTED_SECONDS)
        return trigger.settles and (is_fresh or _status_of(lock["execution_arn"]) == "RUNNING")
    return trigger.arrived_at is not None and trigger.arrived_at < since


def _status_of(execution_arn: str) -> str:
    try:
        return str(client("stepfunctions").describe_execution(executionArn=execution_arn)["status"])
    except client("stepfunctions").exceptions.ExecutionDoesNotExist:
        return "ABORTED"


def _key(run_id: str) -> dict[str, Any]:
    return {"run_id": {"S": run_id}}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
