"""Between S3 and a host's files: what a data source means, which host gets what, and the copying."""

import json
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from botocore.exceptions import BotoCoreError, ClientError

from fleetcast_local.images import Clients

_WORKERS = 6
_CHUNK = 1 << 20
_MULTIPART = 32 << 20


class TransferError(Exception):
    """Data that cannot be copied as asked; the text becomes the job's FailureReason."""


class Cancelled(Exception):
    """The job was stopped while its data was being copied."""


@dataclass(frozen=True)
class S3Object:
    """One object and its path relative to the place it is copied to."""

    bucket: str
    key: str
    path: str


def split_uri(uri: str) -> tuple[str, str]:
    """Return the bucket and the key of `s3://bucket/key`."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise TransferError(f"'{uri}' is not an S3 URI (s3://bucket/prefix)")
    return bucket, key


def shard(objects: list[S3Object], distribution: str | None, host: int, hosts: int) -> list[S3Object]:
    """Return the part of a host: all objects, or with ShardedByS3Key every n-th of them."""
    return objects[host::hosts] if distribution == "ShardedByS3Key" else objects


class Transfer:
    """Copies between S3 and files."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def source(self, s3_data_type: str, uri: str) -> list[S3Object]:
        """Return the objects of a job's data source, in the order of their keys."""
        found = self._manifest(uri) if s3_data_type == "ManifestFile" else self.under(uri)
        if not found:
            raise TransferError(
                f'No S3 objects found under S3 URL "{uri}" given in input data source. '
                "Please ensure that the bucket exists and that objects exist under that S3 prefix."
            )
        return found

    def under(self, uri: str) -> list[S3Object]:
        """Return the objects whose key begins with the URI's, which need not end at a folder."""
        bucket, prefix = split_uri(uri)
        try:
            pages = (
                self._clients("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            )
            keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        except (ClientError, BotoCoreError) as error:
            raise TransferError(f'Cannot list S3 URL "{uri}": {error}') from error
        # A key that ends in a slash is a folder marker of some console, not data.
        return [
            S3Object(bucket, key, _relative(key, prefix)) for key in sorted(keys) if not key.endswith("/")
        ]

    def _manifest(self, uri: str) -> list[S3Object]:
        bucket, key = split_uri(uri)
        try:
            first, *suffixes = json.loads(self.read(bucket, key))
            base_bucket, base = split_uri(first["prefix"])
        except (ValueError, TypeError, KeyError) as error:
            raise TransferError(
                f'Manifest "{uri}" must be a JSON array: an object with "prefix", then relative keys'
            ) from error
        return [S3Object(base_bucket, base + suffix, suffix.lstrip("/")) for suffix in suffixes]

    def read(self, bucket: str, key: str, version: str | None = None) -> bytes:
        which = {"Bucket": bucket, "Key": key} | ({"VersionId": version} if version else {})
        try:
            content: bytes = self._clients("s3").get_object(**which)["Body"].read()
        except (ClientError, BotoCoreError) as error:
            raise TransferError(f"Cannot read s3://{bucket}/{key}: {error}") from error
        return content

    def download(
        self, objects: Iterable[S3Object], folder: Path, cancelled: threading.Event | None = None
    ) -> list[Path]:
        """Copy objects into a folder; return the files."""
        folder.mkdir(parents=True, exist_ok=True)

        def fetch(item: S3Object) -> Path:
            if cancelled is not None and cancelled.is_set():
                raise Cancelled
            return self._fetch(item, _inside(folder, item))

        with ThreadPoolExecutor(_WORKERS) as pool:
            return list(pool.map(fetch, objects))

    def _fetch(self, item: S3Object, file: Path) -> Path:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            body = self._clients("s3").get_object(Bucket=item.bucket, Key=item.key)["Body"]
            with file.open("wb") as output:
                for chunk in body.iter_chunks(_CHUNK):
                    output.write(chunk)
        except (ClientError, BotoCoreError) as error:
            raise TransferError(f"Cannot download s3://{item.bucket}/{item.key}: {error}") from error
        except OSError as error:
            raise TransferError(
                f"Cannot write s3://{item.bucket}/{item.key} to {file.name}: {error.strerror}"
            ) from error
        return file

    def upload(self, files: Iterable[tuple[Path, str]], uri: str) -> None:
        """Copy files to keys relative to the URI's prefix."""
        bucket, prefix = split_uri(uri)
        base = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
        with ThreadPoolExecutor(_WORKERS) as pool:
            list(pool.map(lambda pair: self.put(pair[0], bucket, base + pair[1]), files))

    def put(self, file: Path, bucket: str, key: str) -> None:
        try:
            client = self._clients("s3")
            if file.stat().st_size < _MULTIPART:
                client.put_object(Bucket=bucket, Key=key, Body=file.read_bytes())
            else:
                client.upload_file(str(file), bucket, key)
        except (ClientError, BotoCoreError) as error:
            raise TransferError(f"Cannot upload {file.name} to s3://{bucket}/{key}: {error}") from error


def files_below(folder: Path, *, hidden: bool = True) -> Iterator[tuple[Path, str]]:
    """Yield the regular files and their relative names; symbolic links are not followed."""
    for file in sorted(folder.rglob("*")):
        relative = file.relative_to(folder)
        if file.is_symlink() or not file.is_file():
            continue
        if hidden or not any(part.startswith(".") for part in relative.parts):
            yield file, relative.as_posix()


def _relative(key: str, prefix: str) -> str:
    if key == prefix:
        return PurePosixPath(key).name
    folder = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    if key.startswith(folder):
        return key[len(folder) :]
    return key[prefix.rfind("/") + 1 :]


def _inside(folder: Path, item: S3Object) -> Path:
    parts = [part for part in item.path.split("/") if part]
    if not parts or any(part in {".", ".."} for part in parts):
        raise TransferError(f"s3://{item.bucket}/{item.key} has no legal path below the input's folder")
    return folder.joinpath(*parts)
