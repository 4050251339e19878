"""What an endpoint does with archives that nobody should have uploaded: it says so, writes nothing else, serves on."""

import gzip
import io
import resource
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.contract.lab import Lab, wait_until
from tests.contract.toys import SERVER, content, error, serve, tar_gz

from fleetcast_local.sagemaker.archive import fetch_archive
from fleetcast_local.sagemaker.transfer import Transfer, TransferError

GIGABYTE = 1 << 30


def entry(name: str, kind: bytes = tarfile.REGTYPE, *, size: int = 0, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info


def packed(*entries: tarfile.TarInfo, padding: int = 0) -> bytes:
    """Return an archive of bare headers, each followed by that many blocks of zeros."""
    block = bytes(tarfile.BLOCKSIZE)
    raw = b"".join(info.tobuf() + block * padding for info in entries)
    return gzip.compress(raw + 2 * block)


def with_a_header_of(kind: bytes, size: int) -> bytes:
    return gzip.compress(entry("x", kind, size=size).tobuf(tarfile.GNU_FORMAT))


GOOD = tar_gz("model good")
HOSTILE = {
    "parent": (packed(entry("../escaped")), "leads out of the model's folder"),
    "parent inside": (packed(entry("a/../../escaped")), "leads out of the model's folder"),
    "absolute": (packed(entry("/tmp/escaped")), "leads out of the model's folder"),
    "symbolic link": (packed(entry("model.txt", tarfile.SYMTYPE, link="/etc/passwd")), "is a link, a device"),
    "hard link": (packed(entry("model.txt", tarfile.LNKTYPE, link="../../other")), "is a link, a device"),
    "character device": (packed(entry("model.txt", tarfile.CHRTYPE)), "is a link, a device"),
    "pipe": (packed(entry("model.txt", tarfile.FIFOTYPE)), "is a link, a device"),
    "bomb": (packed(entry("model.txt", size=10 * GIGABYTE)), "larger than the 1073741824 bytes"),
    "bomb in another format": (
        with_a_header_of(tarfile.REGTYPE, 10 * GIGABYTE),
        "larger than the 1073741824 bytes",
    ),
    "bomb in two files": (
        packed(entry("a", size=512), entry("model.txt", size=GIGABYTE), padding=1),
        "larger than the 1073741824 bytes",
    ),
    "bomb in a name": (with_a_header_of(tarfile.GNUTYPE_LONGNAME, 10 * GIGABYTE), "one of its headers"),
    "bomb in an attribute": (with_a_header_of(tarfile.XHDTYPE, 10 * GIGABYTE), "one of its headers"),
    "negative size": (packed(entry("model.txt", size=-(1 << 40))), "larger than the 1073741824 bytes"),
    "headers without end": (
        gzip.compress(entry("x", tarfile.XHDTYPE, size=0).tobuf() * 20_000),
        "must be a valid tar.gz",
    ),
    "truncated": (GOOD[: len(GOOD) // 2], "must be a valid tar.gz"),
    "damaged": (GOOD[:30] + bytes(20) + GOOD[50:], "must be a valid tar.gz"),
    "cut before packing": (gzip.compress(gzip.decompress(GOOD)[:515]), "must be a valid tar.gz"),
    "plain text": (b"period,7\n", "must be a valid tar.gz"),
    "no bytes": (b"", "must be a valid tar.gz"),
}


@pytest.fixture
def endpoint(lab: Lab) -> Lab:
    serve(lab, "good")
    return lab


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_named_leaves_nothing_and_stops_nobody(endpoint: Lab, case: str) -> None:
    archive, sentence = HOSTILE[case]
    endpoint.put("models/hostile", archive)
    before = files(endpoint.store)

    failure = error(endpoint.invoke("hostile"))

    assert failure["Code"] == "ValidationError"
    assert sentence in failure["Sentence"]
    assert f"{endpoint.uri('models/hostile')}" in failure["Sentence"]
    assert files(endpoint.store) == before
    assert content(endpoint.invoke("good"))["content"] == "model good"


def files(folder: Path) -> set[Path]:
    return {path for path in folder.parent.rglob("*") if path.is_file()}


def test_a_bomb_of_a_kilobyte_is_stopped_before_it_fills_the_disk(lab: Lab, tmp_path: Path) -> None:
    """Ten gigabytes of zeros in small files: each header is honest, their sum is not."""
    part = entry("0", size=1 << 20).tobuf() + bytes(1 << 20)
    lab.put("bomb", gzip.compress(part * 64))
    folder = tmp_path / "models" / "bomb"

    with pytest.raises(TransferError, match="larger than the 4194304 bytes"):
        fetch_archive(Transfer(lab.client), lab.bucket, "bomb", folder, limit=4 << 20)

    assert list(folder.parent.iterdir()) == []


def test_an_archive_without_files_is_refused_by_the_container(endpoint: Lab) -> None:
    endpoint.put("models/empty", packed())

    failure = error(endpoint.invoke("empty"))

    assert (failure["Code"], failure["OriginalStatusCode"]) == ("ModelError", 500)


def test_folders_and_long_names_are_extracted_as_they_are(lab: Lab, tmp_path: Path) -> None:
    name = f"./deep/{'long-' * 40}/model.txt"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.addfile(entry("./deep", tarfile.DIRTYPE))
        tar.addfile(entry(name, size=5), io.BytesIO(b"hello"))
    lab.put("archive", buffer.getvalue())

    fetch_archive(Transfer(lab.client), lab.bucket, "archive", tmp_path / "model")

    assert (tmp_path / "model" / name).read_bytes() == b"hello"


def test_a_full_disk_is_called_that_and_the_endpoint_serves_on(endpoint: Lab) -> None:
    endpoint.put("models/large", tar_gz("x" * 200_000))

    with no_file_larger_than(100_000):
        failure = error(endpoint.invoke("large"))
        assert content(endpoint.invoke("good"))["content"] == "model good"

    assert (failure["Code"], "disk is full" in failure["Sentence"]) == ("ValidationError", True)
    assert content(endpoint.invoke("large"))["content"] == "x" * 200_000


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Stand in for a full disk: the container already runs and is not limited."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_an_endpoint_of_one_hostile_model_never_comes_into_service(lab: Lab) -> None:
    lab.put("single/model.tar.gz", HOSTILE["parent"][0])
    lab.model(lab.image(SERVER), "single", ModelDataUrl=lab.uri("single/model.tar.gz"))

    endpoint = lab.endpoint(lab.endpoint_config("single", "single"))

    assert endpoint["EndpointStatus"] == "Failed"
    assert "leads out of the model's folder" in endpoint["FailureReason"]
    wait_until(lambda: not list((lab.store / "endpoints").glob("*/*/opt")))
