"""Reading CSV in a stream: separators, encodings, quotation marks and all that can be wrong with them.

The separator is the one of `,` `;` and tab with which the header has the three columns. Where it is `;`, a value
may have a decimal comma (`100,45`). Thousands are never separated: beside `1.234,5`, `1.234` could be either.
Encodings are UTF-8 with or without a byte order mark, and UTF-16 with one; a line that is not UTF-8 is read as
Windows-1252, and where that has no character for a byte, as Latin-1, and the file's report counts such lines.

What is plain throughout takes a faster way to the same rows, see plain_csv.
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

from fleetcast_processing.decoding import Rest, Utf8Lines, as_utf8, note_on
from fleetcast_processing.plain_csv import PlainBlocks, PlainForm
from fleetcast_processing.raw_files import HEAD_BYTES, RejectedFile, brief, text_head
from fleetcast_processing.settings import Columns

_BLOCK_BYTES = 4 * 1024 * 1024
_SEPARATORS = (",", ";", "\t")
_OPEN_QUOTATION = "a quotation mark opens and does not close where its field ends"
_WRONG_ENCODING = "its bytes are not text in the encoding that its first bytes announce"
_DECIMAL_COMMA = r"^\s*[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?\s*$"


class CsvRows:
    """One pass over a CSV file; without `latest`, the last possible moment of a reading, never the faster way."""

    def __init__(self, path: Path, kind: str, latest: int | None = None) -> None:
        self.malformed = 0
        self.note: str | None = None
        self._path = path
        self._compression = "gzip" if kind == "gzip" else None
        self._head = text_head(path, kind)
        self._utf16 = self._head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        self._open_quotation = False
        self._latest = latest

    def batches(self, columns: Columns) -> Iterator[pa.RecordBatch]:
        """Yield batches of three columns: customer, timestamp, value; text, or from the faster way also numbers.

        Raises:
            RejectedFile: the file cannot be read to its end.
        """
        if b"\0" in self._head and not self._utf16:
            raise RejectedFile("it is not text: it contains NUL bytes")
        with pa.input_stream(str(self._path), compression=self._compression) as stream:
            separator, names = _header(self._head_text(), columns)
            rest: pa.NativeFile | Rest = stream
            if form := self._plain_form(separator, names):
                header = stream.read(self._head.index(b"\n") + 1)
                blocks = PlainBlocks(stream, form)
                plain = blocks.batches()
                while (batch := self._guarded(lambda: next(plain))) is not None:
                    yield batch
                if not blocks.rest:
                    return
                rest = Rest(header + blocks.rest, stream)
            lines = Utf8Lines(rest, _BLOCK_BYTES)
            source = stream if self._utf16 else lines
            reader = self._guarded(lambda: self._reader(source, separator, names))
            while reader is not None and (batch := self._guarded(reader.read_next_batch)) is not None:
                if self._open_quotation or _has_line_break(batch):
                    raise RejectedFile(_OPEN_QUOTATION)
                yield _plain_numbers(batch, separator)
            self.note = "read as UTF-16" if self._utf16 else note_on(lines.foreign)
        if self._open_quotation:
            raise RejectedFile(_OPEN_QUOTATION)

    def _plain_form(self, separator: str, names: list[str]) -> PlainForm | None:
        """Return what the file's blocks should look like to be plain, or None if its header is not."""
        first = self._head.partition(b"\n")[0]
        columns = _first_record(first.decode("ascii", "replace"), separator)
        # A decimal comma may come with the semicolon.
        if (
            self._latest is None
            or separator == ";"
            or b"\n" not in self._head
            or sorted(columns) != sorted(names)
        ):
            return None
        return PlainForm(separator, columns, names, self._latest)

    def _head_text(self) -> str:
        if self._utf16:
            return self._head.decode("utf-16", errors="replace")
        return as_utf8(self._head).decode()

    def _reader(
        self, source: pa.NativeFile | Utf8Lines, separator: str, names: list[str]
    ) -> arrow_csv.CSVStreamingReader:
        return arrow_csv.open_csv(
            source,
            read_options=arrow_csv.ReadOptions(
                block_size=_BLOCK_BYTES, encoding="utf-16" if self._utf16 else "utf8"
            ),
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
            raise RejectedFile(_WRONG_ENCODING) from error
        except pa.ArrowInvalid as error:
            return _judge(error)
        except OSError as error:
            raise RejectedFile(f"it cannot be read to its end: {brief(error)}") from error


def _judge(error: pa.ArrowInvalid) -> None:
    message = brief(error)
    if "invalid UTF8" in message:
        raise RejectedFile(_WRONG_ENCODING)
    if "straddling object" in message:
        raise RejectedFile(f"a line is longer than {_BLOCK_BYTES} bytes, or {_OPEN_QUOTATION}")
    if "Empty CSV" not in message:  # a header without any row: nothing to read, nothing wrong
        raise RejectedFile(f"it cannot be parsed as CSV: {message}")


def _has_line_break(batch: pa.RecordBatch) -> bool:
    return any(pc.any(pc.match_substring(batch.column(index), "\n")).as_py() for index in (1, 2))


def _plain_numbers(batch: pa.RecordBatch, separator: str) -> pa.RecordBatch:
    customer, timestamp, value = batch.columns
    if separator == ";":
        with_comma = pc.match_substring_regex(value, _DECIMAL_COMMA)
        value = pc.if_else(with_comma, pc.replace_substring(value, ",", "."), value)
    return pa.record_batch([customer, timestamp, value], names=["customer", "timestamp", "value"])


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
