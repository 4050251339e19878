"""The pointer table in DynamoDB: one item per customer."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fleetcast.adapters.clients import client
from fleetcast.adapters.items import from_item, to_value
from fleetcast.domain.pointers import Release
from fleetcast.errors import PlatformError, UnknownCustomer

_WRITERS = 16
# A caller waits behind this: two tries of 2.5 s at most leave the endpoint its time.
_QUICKLY: dict[str, Any] = {"read_timeout": 1.5, "connect_timeout": 1, "attempts": 2}
_BUSY = frozenset(
    (
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "InternalServerError",
    )
)


class PointerTable:
    """Reads and moves pointers; every move is one conditional write, so a repeated one changes nothing."""

    def __init__(self, table: str) -> None:
        self._table = table

    def get(self, customer_id: str) -> Release:
        """Return the champion of a customer.

        Raises:
            UnknownCustomer: none was ever released.
            PlatformError: the table does not answer in time, or is asked for too much.
        """
        key = {"customer_id": {"S": customer_id}}
        try:
            answer = client("dynamodb", **_QUICKLY).get_item(TableName=self._table, Key=key)
        except BotoCoreError as error:
            raise PlatformError("the pointer table does not answer in time") from error
        except ClientError as error:
            if error.response["Error"]["Code"] not in _BUSY:
                raise
            raise PlatformError("the pointer table is asked for too much") from error
        champion = from_item(answer.get("Item", {})).get("champion")
        if not champion:
            raise UnknownCustomer(f"customer {customer_id!r} has no released model", "customer_id")
        return Release.from_document(champion)

    def promote(self, releases: Iterable[tuple[str, Release]], by: str) -> int:
        """Make each release the champion of its customer, the former champion the previous one.

        Returns:
            How many pointers moved; those that already were there are not counted.
        """
        with ThreadPoolExecutor(_WRITERS) as pool:
            return sum(pool.map(lambda pair: self._promote(pair[0], pair[1], by), releases))

    def _promote(self, customer_id: str, release: Release, by: str) -> bool:
        try:
            client("dynamodb").update_item(
                TableName=self._table,
                Key={"customer_id": {"S": customer_id}},
                UpdateExpression="SET previous = if_not_exists(champion, :none), champion = :new,"
                " updated_at = :now, updated_by = :by",
                # Run ids sort by time: an older run that is started again must not take a customer back.
                ConditionExpression="attribute_not_exists(champion) OR champion.run_id < :run",
                ExpressionAttributeValues=_values(
                    none=None,
                    new=release.to_document(),
                    now=datetime.now(UTC).isoformat(timespec="seconds"),
                    by=by,
                    run=release.run_id,
                ),
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True


def _values(**values: Any) -> dict[str, Any]:
    return {f":{name}": to_value(value) for name, value in values.items()}
