"""Which customers share a series object, and writing the objects."""

import heapq
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fleetcast_processing.series_store import StoredSeries
from fleetcast_processing.timestamps import Int64

SCHEMA = pa.schema(
    [
        pa.field("customer_id", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("timestamp", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("consumption", pa.float64(), nullable=False),
    ]
)
# Regular timestamps take hardly a byte as differences. Readings are noise to a compressor: it would take four
# times as long to write them and eight times to read them, and statistics nobody asks for.
_FORMAT: dict[str, Any] = {
    "use_dictionary": ["customer_id"],
    "column_encoding": {"timestamp": "DELTA_BINARY_PACKED"},
    "compression": "none",
    "write_statistics": False,
    "store_schema": False,
}
_ROW_GROUP_ROWS = 1_048_576
"""Bounds the memory that one object takes, however many rows it has."""


def object_name(number: int) -> str:
    return f"part-{number + 1:05d}.parquet"


def plan_objects(rows: Int64, customers_per_object: int, max_objects: int) -> Int64:
    """Return each customer's object (0, 1, …): longest series first, each to the object with the fewest rows.

    Objects are numbered in the order of their first customer, so the same customers give the same plan.
    """
    count = -(-len(rows) // customers_per_object)
    room = customers_per_object
    if count > max_objects:
        count, room = max_objects, len(rows)
    if count == len(rows):
        return np.arange(count)
    plan = np.empty(len(rows), dtype=np.int64)
    lightest = [(0, 0, number) for number in range(count)]
    for customer in np.argsort(-rows, kind="stable").tolist():
        load, members, number = heapq.heappop(lightest)
        plan[customer] = number
        if members + 1 < room:
            heapq.heappush(lightest, (load + int(rows[customer]), members + 1, number))
    return _numbered_by_first_customer(plan)


def _numbered_by_first_customer(plan: Int64) -> Int64:
    _, first, group = np.unique(plan, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    numbered: Int64 = rank[group]
    return numbered


def write_objects(folder: Path, stored: StoredSeries, plan: Int64) -> None:
    """Write every object of the plan."""
    by_object = np.argsort(plan, kind="stable")
    members = np.split(by_object, np.cumsum(np.bincount(plan))[:-1])
    executor = ThreadPoolExecutor(os.cpu_count())
    try:
        list(
            executor.map(
                lambda number: _write(folder / object_name(number), stored, members[number]),
                range(len(members)),
            )
        )
    finally:
        # A stopped job must not write thousands of objects first.
        executor.shutdown(cancel_futures=True)


def _write(path: Path, stored: StoredSeries, members: Int64) -> None:
    group = np.cumsum(stored.rows[members]) // _ROW_GROUP_ROWS
    with pq.ParquetWriter(path, SCHEMA, **_FORMAT) as writer:
        for number in np.unique(group):
            writer.write_table(_table(stored, members[group == number]))


def _table(stored: StoredSeries, members: Int64) -> pa.Table:
    starts = stored.start[members].tolist()
    counts = stored.rows[members]
    places = zip(stored.part[members].tolist(), starts, counts.tolist(), strict=True)
    series = [
        [numbers[start : start + count] for numbers in stored.parts[part]] for part, start, count in places
    ]
    instants, values = (pa.array(np.concatenate(numbers)) for numbers in zip(*series, strict=True))
    codes = np.repeat(np.arange(len(members), dtype=np.int32), counts)
    ids = pa.DictionaryArray.from_arrays(pa.array(codes), stored.customer_ids.take(pa.array(members)))
    return pa.table([ids, instants.cast(SCHEMA.field("timestamp").type), values], schema=SCHEMA)
