"""The fast lane for CSV that leaves nothing to judge: block by block straight into numbers, on all cores.

A block is plain when every cell of its three columns is what most files hold throughout: ASCII without quotation
marks, an id, a date or a date with `hh:mm:ss`, a finite number. Arrow then reads it as the careful path would have.
The first block about which there is any doubt ends the lane; it and all that follow are read carefully.
"""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from fleetcast_processing.rows import LARGEST_VALUE

# Small enough for a core's own cache, and for memory to be used again instead of asked for.
_BLOCK_BYTES = 1024 * 1024
_DOUBTFUL = (b'"', b"\r", b"\0")
_DATE = "0000-00-00"
_EARLIEST = int(datetime(1900, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000


@dataclass(frozen=True)
class PlainForm:
    """What the blocks of a file have to look like.

    Attributes:
        columns: the file's three columns, in their order.
        names: the same, customer, timestamp and value.
        latest: the last possible moment of a reading, in microseconds since 1970.
    """

    separator: str
    columns: list[str]
    names: list[str]
    latest: int


class PlainBlocks:
    """Reads ahead of its reader, in as many threads as there are cores.

    Attributes:
        rest: what was read from the stream and is not plain, or comes after that; to be read carefully.
    """

    def __init__(self, stream: pa.NativeFile, form: PlainForm) -> None:
        self.rest = b""
        self._stream = stream
        self._form = form
        self._unfinished = b""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield batches of customer, timestamp and value, as long as all is plain."""
        ahead = os.cpu_count() or 1
        waiting: deque[tuple[bytes, Future[pa.Table | None]]] = deque()
        blocks = self._blocks()
        with ThreadPoolExecutor(ahead) as threads:
            while True:
                while len(waiting) <= ahead and (block := next(blocks, None)) is not None:
                    waiting.append((block, threads.submit(_read, block, self._form)))
                if not waiting:
                    self.rest = self._unfinished
                    return
                block, future = waiting.popleft()
                table = future.result()
                if table is None:
                    self.rest = b"".join([block, *(later for later, _ in waiting), self._unfinished])
                    return
                yield from table.to_batches()

    def _blocks(self) -> Iterator[bytes]:
        """Yield whole lines; what follows the last of them stays in `_unfinished` meanwhile."""
        while block := self._stream.read(_BLOCK_BYTES):
            end = block.rfind(b"\n") + 1
            if not end:
                # No line is that long: whoever reads carefully will say what is wrong.
                self._unfinished += block
                return
            whole = self._unfinished + block[:end]
            self._unfinished = block[end:]
            yield whole
        last, self._unfinished = self._unfinished, b""
        if last:
            yield last


def _read(block: bytes, form: PlainForm) -> pa.Table | None:
    """Return the block's rows, or None if there is any doubt about them."""
    if not block.isascii() or any(mark in block for mark in _DOUBTFUL):
        return None
    dated = _is_date(block, form)
    try:
        table = _parse(block, form, pa.date32() if dated else pa.timestamp("us"))
    except pa.ArrowInvalid:
        return None
    return table if _is_plain(table, form) and (dated or _has_colons(block, table)) else None


def _has_colons(block: bytes, table: pa.Table) -> bool:
    """Say whether every time of day is written `hh:mm:ss`: Arrow would also read `hhmmss`."""
    ids = table.column("customer").chunk(0).dictionary
    # bytes.count would take five times as long.
    colons = np.count_nonzero(np.frombuffer(block, np.uint8) == ord(":"))
    return colons == 2 * table.num_rows and not pc.any(pc.match_substring(ids, ":")).as_py()


def _is_date(block: bytes, form: PlainForm) -> bool:
    cells = block.partition(b"\n")[0].split(form.separator.encode())
    place = form.columns.index(form.names[1])
    return place < len(cells) and len(cells[place]) == len(_DATE)


def _parse(block: bytes, form: PlainForm, moment: pa.DataType) -> pa.Table:
    types = dict(zip(form.names, (pa.string(), moment, pa.float64()), strict=True))
    table = arrow_csv.read_csv(
        pa.BufferReader(block),
        read_options=arrow_csv.ReadOptions(
            block_size=len(block) + 1, use_threads=False, column_names=form.columns
        ),
        parse_options=arrow_csv.ParseOptions(delimiter=form.separator),
        convert_options=arrow_csv.ConvertOptions(
            include_columns=form.names, column_types=types, null_values=[""], strings_can_be_null=True
        ),
    )
    customer, timestamp, value = table.columns
    return pa.table([customer.dictionary_encode(), timestamp, value], ["customer", "timestamp", "value"])


def _is_plain(table: pa.Table, form: PlainForm) -> bool:
    customer, moment, value = table.columns
    if not table.num_rows or customer.null_count or moment.null_count or value.null_count:
        return False
    moments, numbers = moment.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy(), value.to_numpy()
    return bool(
        moments.min() >= _EARLIEST
        and moments.max() <= form.latest
        and numbers.min() >= -LARGEST_VALUE
        and numbers.max() <= LARGEST_VALUE
    )
