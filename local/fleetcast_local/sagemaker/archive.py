"""Model archives: downloaded and extracted so that a folder is there whole, harmless, or not at all."""

import errno
import gzip
import shutil
import tarfile
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fleetcast_local.sagemaker.transfer import S3Object, Transfer, TransferError

MAX_CONTENT = 1 << 30
_MAX_MEMBERS = 100_000
# Two headers for each, and as much again for what stands between the files.
_OVERHEAD = _MAX_MEMBERS * 4 * tarfile.BLOCKSIZE
# All that is said of one file before its content: names, attributes. None needs more, and tarfile parses all of it
# before it lets anybody look.
_MAX_HEADERS = 1 << 18
_COPIED = 1 << 16
_LONG_HEADERS = "one of its headers is larger than any name or attribute needs"
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_DAMAGED = (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError)


class _Refused(Exception):
    """The archive holds what no model holds; the text says what."""


def fetch_archive(transfer: Transfer, bucket: str, key: str, folder: Path, limit: int = MAX_CONTENT) -> None:
    """Download a tar.gz and extract it.

    Args:
        transfer: gets the object.
        bucket: where the archive is.
        key: where in the bucket.
        folder: what the archive's content becomes; replaced when it is there.
        limit: the most bytes that the content may take on the disk.

    Raises:
        TransferError: there is no such object, it is no archive, it must not be extracted, or the disk is full.
    """
    draft = folder.with_name(f".{folder.name}.{threading.get_ident()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        [archive] = transfer.download([S3Object(bucket, key, "archive.tar.gz")], draft)
        _extract(archive, draft / "content", limit, f"s3://{bucket}/{key}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        (draft / "content").rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _extract(archive: Path, content: Path, limit: int, uri: str) -> None:
    failed = f"Failed to extract model data archive from {uri}"
    try:
        content.mkdir()
        with (
            _Bounded(archive, limit + _OVERHEAD) as unzipped,
            tarfile.open(fileobj=unzipped, mode="r:") as tar,
        ):
            _write(tar, unzipped, content, limit)
            unzipped.finish()
    except _Refused as error:
        raise TransferError(f"{failed}: {error}") from error
    except RecursionError as error:
        # tarfile calls itself for a header that follows a header; how often it may is not ours to say.
        raise TransferError(f"{failed}: {_LONG_HEADERS}") from error
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise TransferError(f"{failed}: the instance's disk is full ({error.strerror})") from error
        raise TransferError(f"{failed}: it must be a valid tar.gz ({error})") from error


def _write(tar: tarfile.TarFile, unzipped: "_Bounded", content: Path, limit: int) -> None:
    written = 0
    for member in _members(tar, unzipped):
        target = content / _checked_path(member)
        # What a header announces is added up before a byte of it is unpacked.
        written += member.size
        if not 0 <= member.size <= limit or written > limit:
            raise _Refused(f"its content is larger than the {limit} bytes that a model may take")
        source = tar.extractfile(member)
        if source is None:
            target.mkdir(parents=True, exist_ok=True)
            continue
        unzipped.allow(member.size)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            shutil.copyfileobj(source, file, _COPIED)


def _members(tar: tarfile.TarFile, unzipped: "_Bounded") -> Iterator[tarfile.TarInfo]:
    for number, member in enumerate(iter(tar.next, None)):
        if number >= _MAX_MEMBERS:
            raise _Refused(f"it holds more than {_MAX_MEMBERS} files and folders")
        yield member
        # tarfile would keep every header until the end, and nobody asks for owners and times.
        tar.members.clear()  # type: ignore[attr-defined] # documented, but not in the stubs
        tar.pax_headers = {}
        unzipped.allow(_MAX_HEADERS)


def _checked_path(member: tarfile.TarInfo) -> PurePosixPath:
    name = member.name[:100]
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise _Refused(f"{name!r} is a link, a device or a sparse file; a model holds files and folders only")
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\0" in member.name:
        raise _Refused(f"{name!r} leads out of the model's folder")
    return path


class _Bounded(gzip.GzipFile):
    """An archive as tarfile reads it, that neither gives too much at once nor goes on for too long."""

    def __init__(self, file: Path, limit: int) -> None:
        super().__init__(file, "rb")
        self._limit = limit
        self._allowed = _MAX_HEADERS
        self._last = b""

    def allow(self, size: int) -> None:
        """Give so many bytes from here on, and not those that were left."""
        self._allowed = size

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= self._allowed:
            raise _Refused(_LONG_HEADERS)
        self._allowed -= size
        self._last = self._bounded_read(size)
        return self._last

    def finish(self) -> None:
        """Read on to the end, where the checksum is, or raise TarError when tarfile did not come to its end mark."""
        # tarfile takes whatever is no header, and a file that just stops, for the end.
        if self._last != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("it does not end as an archive does")
        while self._bounded_read(_COPIED):
            pass

    def _bounded_read(self, size: int) -> bytes:
        if self.tell() > self._limit:
            raise _Refused(f"it unpacks to more than {self._limit} bytes")
        return super().read(size)
