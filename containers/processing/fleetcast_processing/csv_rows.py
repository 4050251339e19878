"""Reading CSV in a stream: separators, encodings, quotation marks and all that can be wrong with them.

The separator is the one of `,` `;` and tab with which the header has the three columns. Encodings are UTF-8
with or without a byte order mark, and UTF-16 with one; a file that turns out not to be UTF-8 is read again as
Windows-1252, and where that has no character for a byte, as Latin-1, and its report says so.
"""

import codecs
import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from fleetcast_processing.raw_files import HEAD_BYTES, RejectedFile, brief, text_head
from fleetcast_processing.settings import Columns

_BLOCK_BYTES = 4 * 1024 * 1024
_SEPARATORS = (",", ";", "\t")
_OPEN_QUOTATION = "a quotation mark opens and does not close where its field ends"


class WrongEncoding(Exception):
    """The file is not in the encoding tried."""


class CsvRows:
    """One pass over a CSV file in one encoding."""

    def __init__(self, path: Path, kind: str, head: bytes, encoding: str, note: str | None = None) -> None:
        self.note = note
        self.malformed = 0
        self._path = path
        self._compression = "gzip" if kind == "gzip" else None
        self._head = head
        self._encoding = encoding
        self._open_quotation = False

    def batches(self, columns: Columns) -> Iterator[pa.RecordBatch]:
        """Yield batches of three text columns: customer, timestamp, value.

        Raises:
            RejectedFile: the file cannot be read to its end.
            WrongEncoding: its bytes are not text in this encoding.
        """
        separator, names = _header(self._head.decode(self._encoding, errors="replace"), columns)
        with pa.input_stream(str(self._path), compression=self._compression) as stream:
            reader = self._guarded(lambda: self._reader(stream, separator, names))
            while reader is not None and (batch := self._guarded(reader.read_next_batch)) is not None:
                if self._open_quotation or _has_line_break(batch):
                    raise RejectedFile(_OPEN_QUOTATION)
                yield batch.rename_columns(["customer", "timestamp", "value"])
        if self._open_quotation:
            raise RejectedFile(_OPEN_QUOTATION)

    def _reader(
        self, stream: pa.NativeFile, separator: str, names: list[str]
    ) -> arrow_csv.CSVStreamingReader:
        return arrow_csv.open_csv(
            stream,
            read_options=arrow_csv.ReadOptions(block_size=_BLOCK_BYTES, encoding=self._encoding),
            parse_options=arrow_csv.ParseOptions(
                delimiter=separator, newlines_in_values=True, invalid_row_handler=self._skip
            ),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=names,
                column_types=dict.fromkeys(names, pa.string()),
                # Only an empty cell is missing: `NA` and `null` are legal customer ids.
                null_values=[""],
                strings_can_be_null=True,
            ),
        )

    def _skip(self, row: arrow_csv.InvalidRow) -> str:
        self.malformed += 1
        self._open_quotation |= "\n" in row.text.strip()
        return "skip"

    def _guarded(self, step: Callable[[], Any]) -> Any:
        try:
            return step()
        except StopIteration:
            return None
        except UnicodeDecodeError as error:
            raise WrongEncoding from error
        except pa.ArrowInvalid as error:
            return _judge(error)
        except OSError as error:
            raise RejectedFile(f"it cannot be read to its end: {brief(error)}") from error


def csv_passes(path: Path, kind: str) -> list[CsvRows]:
    """Return the ways to read the file, likeliest first; the next is for when one raises WrongEncoding."""
    head = text_head(path, kind)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return [CsvRows(path, kind, head, "utf-16", "read as UTF-16")]
    if b"\0" in head:
        raise RejectedFile("it is not text: it contains NUL bytes")
    passes = [CsvRows(path, kind, head, "utf8")]
    if not head.startswith(codecs.BOM_UTF8):
        for encoding, title in (("cp1252", "Windows-1252"), ("latin-1", "Latin-1")):
            note = f"read as {title}, because it is not valid UTF-8"
            passes.append(CsvRows(path, kind, head, encoding, note))
    return passes


def _judge(error: pa.ArrowInvalid) -> None:
    message = brief(error)
    if "invalid UTF8" in message:
        raise WrongEncoding
    if "straddling object" in message:
        raise RejectedFile(f"a line is longer than {_BLOCK_BYTES} bytes, or {_OPEN_QUOTATION}")
    if "Empty CSV" not in message:  # a header without any row: nothing to read, nothing wrong
        raise RejectedFile(f"it cannot be parsed as CSV: {message}")


def _has_line_break(batch: pa.RecordBatch) -> bool:
    return any(pc.any(pc.match_substring(batch.column(index), "\n")).as_py() for index in (1, 2))


def _header(text: str, columns: Columns) -> tuple[str, list[str]]:
    """Return the separator and the three columns' names exactly as the file writes them."""
    if len(text) >= HEAD_BYTES and "\n" not in text and "\r" not in text:
        raise RejectedFile(f"its first line is longer than {HEAD_BYTES} bytes")
    headers = {separator: _first_record(text.lstrip("\ufeff"), separator) for separator in _SEPARATORS}
    for separator, header in headers.items():
        if set(columns.names()) <= {name.strip() for name in header}:
            return separator, [_only(header, name) for name in columns.names()]
    raise missing_columns(max(headers.values(), key=len), columns)


def _first_record(text: str, separator: str) -> list[str]:
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return next((record for record in lines if record), [])


def _only(header: list[str], name: str) -> str:
    written = [column for column in header if column.strip() == name]
    if len(written) > 1:
        raise RejectedFile(f"it has the column {name!r} {len(written)} times")
    return written[0]


def missing_columns(found: list[str], columns: Columns) -> RejectedFile:
    """Say which columns a file has instead of those it needs."""
    shown = ", ".join(repr(name[:40]) for name in found[:12]) + (" …" if len(found) > 12 else "")
    return RejectedFile(
        f"it needs the columns {', '.join(map(repr, columns.names()))}; it has {shown or 'none'}"
    )
