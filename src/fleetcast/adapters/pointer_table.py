"""The pointer table in DynamoDB: one item per customer."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from fleetcast.adapters.clients import client
from fleetcast.adapters.items import from_item, to_value
from fleetcast.domain.pointers import Release
from fleetcast.errors import UnknownCustomer

_WRITERS = 16


class PointerTable:
    """Reads and moves pointers; every move is one conditional write, so a repeated one changes nothing."""

    def __init__(self, table: str) -> None:
        self._table = table

    def get(self, customer_id: str) -> Release:
        """Return the champion of a customer, or raise UnknownCustomer."""
        answer = client("dynamodb").get_item(TableName=self._table, Key={"customer_id": {"S": customer_id}})
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
                ConditionExpression="attribute_not_exists(champion) OR champion.run_id <> :run",
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
