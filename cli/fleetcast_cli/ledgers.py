"""The ledgers of past runs: Parquet in S3, one row per customer and run."""

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from botocore.exceptions import ClientError
from pyarrow import parquet

from fleetcast.domain.runs import ledger_key
from fleetcast_cli.errors import CommandFailed
from fleetcast_cli.session import Cloud

# pyarrow 26 aborts one process in ten at its end when its thread pools were used for so short a time.
_ONE_THREAD: dict[str, Any] = {"use_threads": False, "pre_buffer": False}


def read_ledger(cloud: Cloud, run_id: str) -> pa.Table:
    """Return a run's ledger, or raise CommandFailed if the run never came that far."""
    body = _fetch(cloud, run_id)
    if body is None:
        raise CommandFailed(f"run {run_id} has no ledger: it was never judged; see fleetcast runs")
    return parquet.read_table(io.BytesIO(body), **_ONE_THREAD)


def customer_row(cloud: Cloud, run_id: str, customer: str) -> dict[str, Any] | None:
    """Return what a run did for one customer, None when the run did not know the customer."""
    body = _fetch(cloud, run_id)
    if body is None:
        return None
    rows = parquet.read_table(
        io.BytesIO(body), filters=[("customer_id", "=", customer)], **_ONE_THREAD
    ).to_pylist()
    return rows[0] if rows else None


def _fetch(cloud: Cloud, run_id: str) -> bytes | None:
    try:
        answer = cloud.client("s3").get_object(Bucket=cloud.outputs.data_bucket, Key=ledger_key(run_id))
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return None
        raise
    return bytes(answer["Body"].read())


def only(ledger: pa.Table, column: str, values: Sequence[str]) -> pa.Table:
    """Keep the rows whose column has one of the values; all rows when none is given."""
    return ledger.filter(pc.is_in(ledger[column], value_set=pa.array(values))) if values else ledger


def count(ledger: pa.Table, column: str) -> dict[str, int]:
    """Return customers by a column's value, the most frequent first; empty cells are not counted."""
    tally = pc.value_counts(ledger[column].drop_null()).to_pylist()
    ordered = sorted(tally, key=lambda entry: (-entry["counts"], entry["values"]))
    return {entry["values"]: entry["counts"] for entry in ordered}


def with_ratio(ledger: pa.Table) -> pa.Table:
    """Add `ratio`: the error against the seasonal naive's, null where either is missing or zero."""
    comparable = pc.and_(pc.greater(ledger["mae"], 0), pc.greater(ledger["naive_mae"], 0))
    ratio = pc.if_else(comparable, pc.divide(ledger["mae"], ledger["naive_mae"]), None)
    return ledger.append_column("ratio", ratio)


def mean_ratio(rated: pa.Table) -> float | None:
    """Return the geometric mean of the ratios, as the gate computes it; None without any."""
    mean = pc.mean(pc.ln(rated["ratio"].drop_null())).as_py()
    return None if mean is None else float(pc.exp(mean).as_py())


def worst_first(rated: pa.Table) -> pa.Table:
    """Sort: customers without a model first, then by falling ratio."""
    lacks = pc.if_else(pc.equal(rated["status"], "trained"), 1, 0)
    keys = [("lacks", "ascending"), ("ratio", "descending"), ("customer_id", "ascending")]
    return rated.append_column("lacks", lacks).sort_by(keys).drop_columns(["lacks"])
