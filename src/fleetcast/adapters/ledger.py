"""The ledger as Parquet: one row per customer per run, for Athena, DuckDB or pandas."""

import io
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from fleetcast.adapters.storage import read_bytes, write_bytes
from fleetcast.domain.gate import LedgerRow


@cache
def _schema() -> pa.Schema:
    # A type such as `float | None` is a nullable column of the first part.
    types = {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}
    return pa.schema([(field.name, types[_type_name(field.type)]) for field in fields(LedgerRow)])


def _type_name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).split(" ")[0]


def to_parquet(rows: Sequence[LedgerRow]) -> bytes:
    table = pa.Table.from_pylist([row.to_document() for row in rows], _schema())
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def write_ledger(uri: str, rows: Sequence[LedgerRow]) -> None:
    write_bytes(uri, to_parquet(rows))


def read_ledger(uri: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(
        io.BytesIO(read_bytes(uri)), use_threads=False
    ).to_pylist()
    return rows
