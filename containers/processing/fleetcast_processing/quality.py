"""The report of a processing run: one row per customer, one summary."""

import gzip
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from fleetcast_processing.objects import object_name

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the zone is written as Z
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_COUNTS = ("rows_read", "rows_kept", "duplicates", "bad_timestamps", "bad_values", "negatives")


@dataclass(frozen=True)
class Summary:
    run_id: str
    customers: int
    ready: int
    unusable: int
    rows_read: int
    rows_kept: int
    objects: int
    rows_without_customer: int
    rows_without_customer_by_reason: dict[str, int]
    files: list[dict[str, Any]]

    def message(self) -> dict[str, int]:
        """Return what fits into a job's exit message whatever the size of the fleet."""
        names = ("customers", "ready", "unusable", "rows_read", "rows_kept", "objects")
        rejected = sum(file["status"] == "rejected" for file in self.files)
        return {name: getattr(self, name) for name in names} | {
            "files": len(self.files),
            "files_rejected": rejected,
        }


def write_quality(path: Path, customers: pa.Table) -> None:
    """Write one JSON line per customer; a customer's `object` is its number or null."""
    # No time and no name inside: the same rows give the same bytes.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
        for batch in customers.to_batches(max_chunksize=10_000):
            packed.write("".join(f"{_ENCODER.encode(_row(row))}\n" for row in batch.to_pylist()).encode())


def write_summary(path: Path, summary: Summary) -> None:
    # Keys may hold bytes that are no UTF-8; escaped, they are still JSON.
    path.write_text(json.dumps(vars(summary), indent=1) + "\n")


def _row(customer: dict[str, Any]) -> dict[str, Any]:
    ready = customer["rows_kept"] > 0
    return {
        "customer_id": customer["customer_id"],
        "status": "ready" if ready else "unusable",
        "reason": None if ready else _reason(customer),
        **{name: customer[name] for name in _COUNTS},
        "first": _iso(customer["first"]),
        "last": _iso(customer["last"]),
        "fingerprint": f"sha256:{customer['fingerprint'].hex()}",
        "object": object_name(customer["object"]) if ready else None,
    }


def _reason(customer: dict[str, Any]) -> str:
    values, timestamps = customer["bad_values"], customer["bad_timestamps"]
    return (
        f"none of its {customer['rows_read']} rows can be used: {values} without a usable value, "
        f"{timestamps} without a usable timestamp; the first has {customer['bad_cell']}"
    )


def _iso(micros: int | None) -> str | None:
    if micros is None:
        return None
    return f"{(_EPOCH + timedelta(microseconds=micros)).isoformat()}Z"
