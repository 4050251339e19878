"""The files of one run: quality and training rows coming in, ledger, decisions and metrics going out."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from fleetcast.adapters.storage import list_uris, read_json, read_rows, write_bytes, write_rows
from fleetcast.domain.gate import LedgerRow, Verdict
from fleetcast.domain.intake import Intake
from fleetcast.domain.pointers import Release
from fleetcast.domain.runs import decisions_key, ledger_key, metrics_key


def read_quality(prefix: str) -> tuple[list[dict[str, Any]], Intake]:
    """Return the quality rows of all customers, and what became of the raw files as a whole."""
    return list(read_rows(f"{prefix}quality.jsonl.gz")), Intake.from_document(
        read_json(f"{prefix}summary.json")
    )


def read_customers(bucket: str, run_id: str) -> list[str]:
    """Return the customers that a run found in the data."""
    from fleetcast.adapters.ledger import read_ledger  # noqa: PLC0415  # as below

    rows = read_ledger(f"s3://{bucket}/{ledger_key(run_id)}")
    return [row["customer_id"] for row in rows if row["status"] != "absent"]


def read_training(checkpoints: str) -> Iterator[dict[str, Any]]:
    """Yield the training rows that the hosts of a run wrote."""
    for uri in list_uris(f"{checkpoints}_ledger/"):
        yield from read_rows(uri)


def write_report(bucket: str, run_id: str, ledger: Sequence[LedgerRow], verdict: Verdict) -> None:
    from fleetcast.adapters.ledger import write_ledger  # noqa: PLC0415  # pyarrow: 0.3 s that only this function needs

    promotions = (
        {"customer_id": row.customer_id, **Release.from_ledger(row.to_document()).to_document()}
        for row in ledger
        if row.decision == "promote"
    )
    write_ledger(f"s3://{bucket}/{ledger_key(run_id)}", ledger)
    write_rows(f"s3://{bucket}/{decisions_key(run_id)}", promotions)
    write_bytes(f"s3://{bucket}/{metrics_key(run_id)}", json.dumps(verdict.to_document()).encode())


def read_promotions(bucket: str, run_id: str) -> list[tuple[str, Release]]:
    """Return the releases that EvaluateRun decided on, in its order."""
    rows = read_rows(f"s3://{bucket}/{decisions_key(run_id)}")
    return [(row["customer_id"], Release.from_document(row)) for row in rows]
