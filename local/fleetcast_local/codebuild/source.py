"""A build's source: an archive or a prefix in S3, or nothing."""

import io
import stat
import zipfile
from pathlib import Path
from typing import Any

from fleetcast_local.images import Clients
from fleetcast_local.sagemaker.transfer import Transfer, TransferError


class SourceError(Exception):
    """The source cannot be had; the text says why."""


def fetch_source(clients: Clients, source: dict[str, Any], version: str | None, folder: Path) -> None:
    """Put the project's source into the folder."""
    if source["type"] == "NO_SOURCE":
        return
    if source["type"] != "S3":
        raise SourceError(f"The local CodeBuild takes sources of type S3 or NO_SOURCE, not {source['type']}")
    bucket, _, key = source.get("location", "").removeprefix("arn:aws:s3:::").partition("/")
    if not bucket or not key:
        raise SourceError(f"The source location must be bucket/key, not '{source.get('location', '')}'")
    try:
        _copy(Transfer(clients), bucket, key, version, folder)
    except (TransferError, zipfile.BadZipFile) as error:
        raise SourceError(f"{error} for primary source and source version {version or key}") from error


def _copy(transfer: Transfer, bucket: str, key: str, version: str | None, folder: Path) -> None:
    if key.endswith("/"):
        transfer.download(transfer.source("S3Prefix", f"s3://{bucket}/{key}"), folder)
        return
    with zipfile.ZipFile(io.BytesIO(transfer.read(bucket, key, version))) as archive:
        for entry in archive.infolist():
            extracted = Path(archive.extract(entry, folder))
            # zipfile forgets permissions, and a source without its executables does not build.
            mode = entry.external_attr >> 16
            if stat.S_ISREG(mode):
                extracted.chmod(stat.S_IMODE(mode) | stat.S_IRUSR | stat.S_IWUSR)
