"""Raw files on their way to raw/: what is there already is known by its content and never silently replaced."""

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from fleetcast_cli.errors import UsageMistake
from fleetcast_cli.session import Cloud

SUFFIXES = (".csv", ".csv.gz", ".parquet")
_DIGEST = "fleetcast-sha256"  # under this name the digest travels with the object
_CHUNK = 1 << 20
_MULTIPART = TransferConfig(multipart_threshold=32 << 20, multipart_chunksize=16 << 20)
_FILES_AT_ONCE = 8

Situation = Literal["new", "unchanged", "different"]


@dataclass(frozen=True)
class RawFile:
    path: Path

    @property
    def key(self) -> str:
        return f"raw/{self.path.name}"

    @property
    def size(self) -> int:
        return self.path.stat().st_size


@dataclass(frozen=True)
class PlannedUpload:
    """A file, the digest of its content, and how its key in the bucket compares."""

    file: RawFile
    digest: str
    situation: Situation


def find_raw_files(paths: Iterable[Path]) -> list[RawFile]:
    """Return the files that were named, and those directly inside the folders that were named.

    Raises:
        UsageMistake: a path does not exist or is no data, a folder holds none, or two files share a name.
    """
    files = [RawFile(path) for named in paths for path in expand(named)]
    by_key: dict[str, RawFile] = {}
    for file in files:
        other = by_key.setdefault(file.key, file)
        if other is not file and other.path.resolve() != file.path.resolve():
            raise UsageMistake(
                f"{other.path} and {file.path} would both become {file.key}: rename one of them"
            )
    return list(by_key.values())


def expand(path: Path) -> list[Path]:
    """Return a file that is raw data, or those directly inside a folder; UsageMistake where there is none."""
    if path.is_dir():
        found = sorted(child for child in path.iterdir() if child.is_file() and _is_data(child))
        if not found:
            raise UsageMistake(f"folder {path} holds no {_suffixes()} file")
        return found
    if not path.exists():
        raise UsageMistake(f"{path} does not exist")
    if not path.is_file() or not _is_data(path):
        raise UsageMistake(f"{path} is refused: raw data are files whose names end in {_suffixes()}")
    return [path]


def _is_data(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES)


def _suffixes() -> str:
    return f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"


def plan_uploads(cloud: Cloud, files: list[RawFile]) -> list[PlannedUpload]:
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        return list(pool.map(lambda file: _plan(cloud, file), files))


def _plan(cloud: Cloud, file: RawFile) -> PlannedUpload:
    digest = _file_digest(file.path)
    return PlannedUpload(file, digest, _compare(cloud, file, digest))


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _compare(cloud: Cloud, file: RawFile, digest: str) -> Situation:
    s3, bucket = cloud.client("s3"), cloud.outputs.data_bucket
    try:
        there = s3.head_object(Bucket=bucket, Key=file.key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return "new"
        raise
    if there["ContentLength"] != file.size:
        return "different"
    known = there.get("Metadata", {}).get(_DIGEST) or _object_digest(cloud, file.key)
    return "unchanged" if known == digest else "different"


def _object_digest(cloud: Cloud, key: str) -> str:
    # Somebody else's client put it there: an ETag says nothing certain of content, so it is read once.
    body = cloud.client("s3").get_object(Bucket=cloud.outputs.data_bucket, Key=key)["Body"]
    digest = hashlib.sha256()
    for chunk in body.iter_chunks(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def upload(cloud: Cloud, uploads: list[PlannedUpload], progress: Callable[[int], None]) -> None:
    """Upload files, large ones in parts; `progress` hears of every piece of bytes."""
    s3, bucket = cloud.client("s3"), cloud.outputs.data_bucket

    def put(planned: PlannedUpload) -> None:
        s3.upload_file(
            str(planned.file.path),
            bucket,
            planned.file.key,
            ExtraArgs={"Metadata": {_DIGEST: planned.digest}},
            Callback=progress,
            Config=_MULTIPART,
        )

    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        for _ in pool.map(put, uploads):
            pass
