"""A file's bytes as UTF-8, judged line by line: files of several origins hold lines in several encodings."""

import io
import re
from collections import Counter
from typing import Any

import pyarrow as pa

from fleetcast_processing.raw_files import RejectedFile

# Without it no line that is more than ASCII is UTF-8: a block of a Windows file need not be taken apart.
_MULTIBYTE = re.compile(rb"[\xc2-\xf4][\x80-\xbf]")


class Rest:
    """What was already read from a stream, and then the stream."""

    def __init__(self, ready: bytes, stream: pa.NativeFile) -> None:
        self._ready = ready
        self._stream = stream

    def read(self, size: int) -> bytes:
        if not self._ready:
            return bytes(self._stream.read(size))
        taken, self._ready = self._ready[:size], self._ready[size:]
        return taken


class Utf8Lines(io.RawIOBase):
    """A stream whose lines are UTF-8; those that are not are read as Windows-1252, else as Latin-1."""

    def __init__(self, stream: pa.NativeFile | Rest, block_bytes: int) -> None:
        self.foreign: Counter[str] = Counter()
        """How many lines were not UTF-8, by what they were read as."""
        self._stream = stream
        self._block_bytes = block_bytes
        self._line_so_far = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # Always filled: Arrow takes a block of nothing but the second half of CR LF for the end of the file.
        filled = 0
        while filled < len(buffer) and (self._ready or self._refill()):
            size = min(len(buffer) - filled, len(self._ready))
            buffer[filled : filled + size] = self._ready[:size]
            self._ready = self._ready[size:]
            filled += size
        return filled

    def _refill(self) -> bool:
        self._ready = memoryview(self._next_lines())
        return bool(self._ready)

    def _next_lines(self) -> bytes:
        """Return some whole lines; only at the end of the file, nothing."""
        while block := self._stream.read(self._block_bytes):
            end = max(block.rfind(b"\n"), block.rfind(b"\r")) + 1
            if end:
                lines = self._line_so_far + block[:end]
                self._line_so_far = block[end:]
                return as_utf8(lines, self.foreign)
            self._line_so_far += block
            if len(self._line_so_far) > self._block_bytes:
                raise RejectedFile(f"a line is longer than {self._block_bytes} bytes")
        rest, self._line_so_far = self._line_so_far, b""
        return as_utf8(rest, self.foreign)


def as_utf8(lines: bytes, foreign: Counter[str] | None = None) -> bytes:
    """Return the lines as UTF-8; count those that were not, by what they were read as."""
    # Nearly all blocks are UTF-8 throughout, and pass at the speed of this one check.
    if _is_utf8(lines):
        return lines
    counts = Counter() if foreign is None else foreign
    if not _MULTIBYTE.search(lines) and (text := _windows(lines)) is not None:
        counts["Windows-1252"] += sum(not line.isascii() for line in lines.splitlines())
        return text.encode()
    return b"".join(_line_as_utf8(line, counts) for line in lines.splitlines(keepends=True))


def _line_as_utf8(line: bytes, foreign: Counter[str]) -> bytes:
    if _is_utf8(line):
        return line
    text, title = _windows(line), "Windows-1252"
    if text is None:  # Latin-1 has a character for every byte
        text, title = line.decode("latin-1"), "Latin-1"
    foreign[title] += 1
    return text.encode()


def _windows(text: bytes) -> str | None:
    try:
        return text.decode("cp1252")
    except UnicodeDecodeError:
        return None


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def note_on(foreign: Counter[str]) -> str | None:
    """Return what the owner of a file should know about the lines that were not UTF-8."""
    if not foreign:
        return None
    parts = ", ".join(f"{count} read as {title}" for title, count in sorted(foreign.items(), reverse=True))
    return f"lines that are not valid UTF-8: {parts}"
