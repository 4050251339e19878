"""What all List* operations share: filters, order and pages."""

from collections.abc import Callable
from typing import Any

from botocore.utils import parse_to_aware_datetime

from fleetcast_local.records import Record
from fleetcast_local.service_model import ApiError

_DEFAULT_PAGE = 10
_TIMES = {"CreationTime": "CreationTime", "LastModifiedTime": "LastModifiedTime"}


def page(records: list[Record], kind: str, params: dict[str, Any]) -> tuple[list[Record], dict[str, str]]:
    """Return one page of the records that the parameters ask for, and the NextToken if more follow."""
    kept = [record for record in records if _wanted(record, kind, params)]
    kept.sort(key=_order(kind, params.get("SortBy", "CreationTime")))
    if params.get("SortOrder", "Descending") == "Descending":
        kept.reverse()
    start = _offset(params.get("NextToken"))
    stop = start + params.get("MaxResults", _DEFAULT_PAGE)
    return kept[start:stop], {"NextToken": str(stop)} if stop < len(kept) else {}


def _wanted(record: Record, kind: str, params: dict[str, Any]) -> bool:
    name, status = record.get(f"{kind}Name", ""), record.get(f"{kind}Status")
    return (
        params.get("NameContains", "").lower() in name.lower()
        and params.get("StatusEquals", status) == status
        and all(_in_range(record.get(member, 0), prefix, params) for prefix, member in _TIMES.items())
    )


def _in_range(moment: float, prefix: str, params: dict[str, Any]) -> bool:
    after, before = params.get(f"{prefix}After"), params.get(f"{prefix}Before")
    return (after is None or moment > _seconds(after)) and (before is None or moment < _seconds(before))


def _seconds(moment: Any) -> float:
    return float(parse_to_aware_datetime(moment).timestamp())


def _order(kind: str, sort_by: str) -> Callable[[Record], tuple[Any, ...]]:
    member = {"Name": f"{kind}Name", "Status": f"{kind}Status"}.get(sort_by, "CreationTime")
    return lambda record: (record.get(member, ""), record.get(f"{kind}Name", ""))


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    if not token.isdecimal():
        raise ApiError("ValidationException", f"Invalid NextToken: {token}")
    return int(token)
