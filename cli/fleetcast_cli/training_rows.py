"""How many customers each training host is done with, counted from the rows it writes to S3."""

import json
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from fleetcast.adapters.storage import split_uri


@dataclass
class HostRows:
    """The rows of one host: `read` bytes of its file have been counted."""

    etag: str = ""
    read: int = 0
    done: int = 0
    failed: int = 0


class TrainingRows:
    """Counts the rows below a run's models; only what is new in a file is fetched."""

    def __init__(self, s3: Any, models_uri: str, quality_uri: str) -> None:
        self._s3 = s3
        self._bucket, prefix = split_uri(models_uri)
        self._prefix = f"{prefix}_ledger/"
        self._summary = split_uri(f"{quality_uri}summary.json")
        self.total: int | None = None
        self.hosts: dict[str, HostRows] = {}

    @property
    def done(self) -> int:
        return sum(host.done for host in self.hosts.values())

    def refresh(self) -> None:
        if self.total is None:
            self.total = self._read_total()
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        for page in pages:
            for entry in page.get("Contents", []):
                self._count(entry["Key"], entry["ETag"], entry["Size"])

    def _read_total(self) -> int | None:
        bucket, key = self._summary
        try:
            summary = json.loads(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        except ClientError:  # not prepared yet
            return None
        return int(summary["ready"])

    def _count(self, key: str, etag: str, size: int) -> None:
        name = key.removeprefix(self._prefix).removesuffix(".jsonl")
        host = self.hosts.setdefault(name, HostRows())
        if host.etag == etag:
            return
        if size < host.read:  # a host that starts again rewrites its file
            host = self.hosts[name] = HostRows()
        for line in self._new_lines(key, host):
            host.done += 1
            host.failed += json.loads(line).get("status") != "trained"
        host.etag = etag

    def _new_lines(self, key: str, host: HostRows) -> list[bytes]:
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=key, Range=f"bytes={host.read}-")
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 416:  # it became shorter meanwhile
                return []
            raise
        whole = bytes(answer["Body"].read()).rpartition(b"\n")[0]  # the last line may be half written
        host.read += len(whole) + 1 if whole else 0
        return whole.splitlines()
