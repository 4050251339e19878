"""Rows and files in S3."""

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fleetcast.adapters.clients import client


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of `s3://bucket/key`."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def read_bytes(uri: str) -> bytes:
    bucket, key = split_uri(uri)
    return bytes(client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())


def write_bytes(uri: str, body: bytes) -> None:
    bucket, key = split_uri(uri)
    client("s3").put_object(Bucket=bucket, Key=key, Body=body)


def list_uris(prefix: str) -> list[str]:
    bucket, key = split_uri(prefix)
    pages = client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
    return [f"s3://{bucket}/{entry['Key']}" for page in pages for entry in page.get("Contents", [])]


def exists(uri: str) -> bool:
    return uri in list_uris(uri)


def read_json(uri: str) -> Any:
    return json.loads(read_bytes(uri))


def read_rows(uri: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON lines of a file, gzipped or not; a last line cut off by a killed host is left out."""
    body = read_bytes(uri)
    lines = (gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).split(b"\n")
    for line in lines[:-1]:
        if line.strip():
            yield json.loads(line)


def write_rows(uri: str, rows: Iterable[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
    write_bytes(uri, gzip.compress(text.encode(), compresslevel=5, mtime=0))
