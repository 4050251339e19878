"""Finding the raw files and judging, by name and by content, what each of them is."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

from fleetcast.errors import DataError

HEAD_BYTES = 65_536

_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"


class RejectedFile(DataError):
    """No row of this file is used; the text says why."""


@dataclass(frozen=True)
class RawFile:
    key: str
    """Its object key in the data bucket: where its owner finds it."""
    path: Path


def find_raw_files(folder: Path) -> list[RawFile]:
    """Return every file below the folder in the order of their keys: it decides which duplicate is last."""
    found = (RawFile(f"raw/{path.relative_to(folder).as_posix()}", path) for path in folder.rglob("*"))
    return sorted((file for file in found if file.path.is_file()), key=lambda file: file.key)


def kind_of(path: Path) -> str:
    """Return `csv`, `gzip` or `parquet`, or raise RejectedFile when name and content do not agree."""
    named = _kind_by_name(path.name.lower())
    head = _first_bytes(path)
    if not head:
        raise RejectedFile("the file is empty")
    found = "gzip" if head.startswith(_GZIP) else "parquet" if head.startswith(_PARQUET) else "csv"
    if found != named:
        raise RejectedFile(f"its name says {_TITLES[named]}, but its content is {_CONTENT[found]}")
    return named


_TITLES = {"csv": "CSV", "gzip": "gzip", "parquet": "Parquet"}
_CONTENT = {"csv": "neither gzip nor Parquet", "gzip": "gzip", "parquet": "Parquet"}


def _kind_by_name(name: str) -> str:
    for suffix, kind in ((".csv", "csv"), (".gz", "gzip"), (".parquet", "parquet")):
        if name.endswith(suffix):
            return kind
    raise RejectedFile("its name must end in .csv, .csv.gz or .parquet")


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError as error:
        raise RejectedFile(f"it cannot be opened: {error.strerror}") from error


def brief(error: Exception) -> str:
    """Return the first line of a library's message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def text_head(path: Path, kind: str) -> bytes:
    """Return the beginning of a CSV file, unpacked."""
    try:
        with gzip.open(path) if kind == "gzip" else path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except (EOFError, zlib.error, OSError) as error:
        raise RejectedFile(f"it cannot be read: {brief(error)}") from error
