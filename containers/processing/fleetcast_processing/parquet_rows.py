"""Reading Parquet in a stream."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fleetcast_processing.csv_rows import missing_columns
from fleetcast_processing.raw_files import RejectedFile, brief
from fleetcast_processing.settings import Columns

_BATCH_ROWS = 131_072
# A column that is empty throughout has the type null.
_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
_NUMBERS = (pa.types.is_integer, pa.types.is_floating)


class ParquetRows:
    """One pass over a Parquet file."""

    note: str | None = None
    malformed = 0

    def __init__(self, path: Path) -> None:
        self._path = path

    def batches(self, columns: Columns) -> Iterator[pa.RecordBatch]:
        """Yield batches of customer (text), timestamp (any type that timestamps are read from), value.

        Raises:
            RejectedFile: the file cannot be read to its end, or a column's type has no meaning for us.
        """
        try:
            with pq.ParquetFile(self._path) as file:
                _check_schema(file.schema_arrow, columns)
                yield from _ordered(file, columns)
        except (pa.ArrowException, OSError) as error:
            raise RejectedFile(f"it cannot be read as Parquet: {brief(error)}") from error


def _ordered(file: pq.ParquetFile, columns: Columns) -> Iterator[pa.RecordBatch]:
    for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=list(columns.names())):
        customer, timestamp, value = (_plain(batch.column(name)) for name in columns.names())
        yield pa.record_batch(
            [customer.cast(pa.string()), timestamp, value], names=["customer", "timestamp", "value"]
        )


def _plain(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.string()) if _is_any_of(column.type, *_TEXT) else column


def _check_schema(schema: pa.Schema, columns: Columns) -> None:
    if not set(columns.names()) <= set(schema.names):
        raise missing_columns(schema.names, columns)
    checks = (_is_id, _is_timestamp, _is_value)
    for name, check in zip(columns.names(), checks, strict=True):
        _check_type(schema, name, check)


def _check_type(schema: pa.Schema, name: str, check: Callable[[pa.DataType], bool]) -> None:
    if schema.names.count(name) > 1:
        raise RejectedFile(f"it has the column {name!r} {schema.names.count(name)} times")
    kind = schema.field(name).type
    if not check(kind.value_type if pa.types.is_dictionary(kind) else kind):
        raise RejectedFile(f"its column {name!r} has the type {kind}, which cannot be read")


def _is_id(kind: pa.DataType) -> bool:
    return _is_any_of(kind, *_TEXT, pa.types.is_integer)


def _is_timestamp(kind: pa.DataType) -> bool:
    return _is_any_of(kind, *_TEXT, *_NUMBERS, pa.types.is_timestamp, pa.types.is_date)


def _is_value(kind: pa.DataType) -> bool:
    return _is_any_of(kind, *_TEXT, *_NUMBERS, pa.types.is_decimal)


def _is_any_of(kind: pa.DataType, *checks: Callable[[pa.DataType], bool]) -> bool:
    return any(check(kind) for check in checks)
