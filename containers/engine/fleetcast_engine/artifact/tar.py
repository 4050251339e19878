"""A tar archive of one small file: written in one way, and read without `tarfile`.

`tarfile` believes what a header says of sizes, and some of them it follows for ever (CVE-2025-8194).
"""

import re
import tarfile
from functools import lru_cache

from fleetcast_engine.errors import NotAModel

_BLOCK = tarfile.BLOCKSIZE
_END = 2 * _BLOCK
_NAME, _SIZE, _SUM, _TYPE, _PREFIX = slice(100), slice(124, 136), slice(148, 156), slice(156, 157), 345
# The checksum counts itself as blanks.
_BLANK_SUM = 8 * ord(" ")
_OCTAL = re.compile(rb" *([0-7]+)[ \0]*")
_ORDINARY = {tarfile.REGTYPE, tarfile.AREGTYPE}
# What `tarfile` and POSIX tar say ahead of a file whose time has a fraction.
_TIMES = re.compile(rb"(?:[0-9]+ [acm]time=[0-9.]+\n)+")


def write(name: str, content: bytes) -> bytes:
    """Return an archive of one file, which says nothing of its time and its writer."""
    return _header(name, len(content)) + content + bytes(-len(content) % _BLOCK + _END)


@lru_cache(maxsize=256)
def _header(name: str, size: int) -> bytes:
    header = tarfile.TarInfo(name)
    header.size = size
    return header.tobuf(tarfile.USTAR_FORMAT)


def read(archive: bytes, name: str, most: int) -> bytes:
    """Return what is in the only file of an archive, as GNU tar and `tarfile` write it.

    Raises:
        NotAModel: this is not an archive of one ordinary file of that name with at most that many bytes.
    """
    return _own_content(archive, name, most) or _content(_without_times(archive), name, most)


def _own_content(archive: bytes, name: str, most: int) -> bytes:
    """Return what `write` was given, nothing if another program wrote: our own are told by one look."""
    try:
        size = int(archive[_SIZE.start : _SIZE.stop - 1], 8)
    except ValueError:
        return b""
    end, rest = _BLOCK + size, -size % _BLOCK + _END
    if not 0 <= size <= most or len(archive) != end + rest or archive.count(0, end) != rest:
        return b""
    return archive[_BLOCK:end] if archive.startswith(_header(name, size)) else b""


def _content(archive: bytes, name: str, most: int) -> bytes:
    header = archive[:_BLOCK]
    size = _size(header)
    end = _BLOCK + size
    if header[_TYPE] not in _ORDINARY or _name(header) != name.encode():
        raise NotAModel(f"the artifact must hold one ordinary file, {name}, and nothing else")
    if size > most:
        raise NotAModel(f"{name} has {size} bytes; a model has at most {most}")
    if len(archive) < end + _END:
        raise NotAModel("the artifact's archive is cut off")
    if archive.count(0, end) != len(archive) - end:
        raise NotAModel(f"the artifact must hold one ordinary file, {name}, and nothing else")
    return archive[_BLOCK:end]


def _without_times(archive: bytes) -> bytes:
    header = archive[:_BLOCK]
    if header[_TYPE] != tarfile.XHDTYPE:
        return archive
    end = _BLOCK + _size(header)
    if not _TIMES.fullmatch(archive, _BLOCK, end):
        raise NotAModel("the artifact's archive has extended headers; the format ustar has none")
    return archive[end + -end % _BLOCK :]


def _size(header: bytes) -> int:
    checksum, size = _OCTAL.fullmatch(header[_SUM]), _OCTAL.fullmatch(header[_SIZE])
    found = sum(header) - sum(header[_SUM]) + _BLANK_SUM
    if len(header) < _BLOCK or checksum is None or int(checksum[1], 8) != found:
        raise NotAModel("the artifact is not a tar archive, or a damaged one")
    if size is None:
        raise NotAModel("the artifact's archive does not say in octal digits how large its file is")
    return int(size[1], 8)


def _name(header: bytes) -> bytes:
    # What a prefix would add makes it another name.
    return header[_NAME].partition(b"\0")[0] if header[_PREFIX] == 0 else b""
