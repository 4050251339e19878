"""What an endpoint does with archives that nobody should have uploaded: it says so, writes nothing else, serves on."""

import gzip
import io
import os
import subprocess
import sys
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from tests.contract.lab import Lab, wait_until
from tests.contract.toys import SERVER, content, error, serve, tar_gz

from fleetcast_local.sagemaker import archive
from fleetcast_local.sagemaker.archive import fetch_archive
from fleetcast_local.sagemaker.transfer import Transfer, TransferError

GIGABYTE = 1 << 30
MEGABYTE = 1 << 20


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


def with_attributes(name: str, **attributes: str) -> bytes:
    """Return the headers of an empty file that much is said of."""
    info = entry(name)
    info.pax_headers = attributes
    return info.tobuf(tarfile.PAX_FORMAT)


def sparse(numbers: int) -> bytes:
    """Return an archive of a file whose map, which comes after its header, has so many numbers."""
    header = with_attributes("model.txt", **{"GNU.sparse.major": "1", "GNU.sparse.minor": "0"})
    return gzip.compress(header + f"{numbers // 2}\n".encode() + b"1\n" * numbers)


GOOD = tar_gz("model good")
UNPACKED = gzip.decompress(GOOD)
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
        "one of its headers is larger",
    ),
    "sparse file": (sparse(2), "is a link, a device or a sparse file"),
    "bomb in a sparse file's map": (sparse(10_000_000), "one of its headers"),
    "truncated": (GOOD[: len(GOOD) // 2], "must be a valid tar.gz"),
    "wrong checksum": (GOOD[:-8] + bytes(4) + GOOD[-4:], "must be a valid tar.gz (CRC check failed"),
    "missing tail": (GOOD[:-8], "must be a valid tar.gz"),
    "cut after a file": (gzip.compress(UNPACKED[:1024]), "must be a valid tar.gz"),
    "damaged after a file": (
        gzip.compress(UNPACKED[:1024] + b"?" * 512 + UNPACKED[1536:]),
        "must be a valid tar.gz",
    ),
    "damaged": (GOOD[:30] + bytes(20) + GOOD[50:], "must be a valid tar.gz"),
    "cut before packing": (gzip.compress(UNPACKED[:515]), "must be a valid tar.gz"),
    "plain text": (b"period,7\n", "must be a valid tar.gz"),
    "no bytes": (b"", "must be a valid tar.gz"),
}


@pytest.fixture
def endpoint(lab: Lab) -> Lab:
    serve(lab, "good")
    return lab


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_named_leaves_nothing_and_stops_nobody(endpoint: Lab, case: str) -> None:
    uploaded, sentence = HOSTILE[case]
    endpoint.put("models/hostile", uploaded)
    before = files(endpoint.store)

    failure = error(endpoint.invoke("hostile"))

    assert failure["Code"] == "ValidationError"
    assert sentence in failure["Sentence"]
    assert f"{endpoint.uri('models/hostile')}" in failure["Sentence"]
    assert files(endpoint.store) == before
    assert content(endpoint.invoke("good"))["content"] == "model good"


def files(folder: Path) -> set[Path]:
    return {path for path in folder.parent.rglob("*") if path.is_file()}


def test_small_files_that_add_up_to_a_bomb_are_stopped_before_they_fill_the_disk(
    lab: Lab, tmp_path: Path
) -> None:
    """Each header is honest, their sum is not."""
    part = entry("0", size=MEGABYTE).tobuf() + bytes(MEGABYTE)
    lab.put("bomb", gzip.compress(part * 64))

    assert "larger than the 4194304 bytes" in refusal(lab, tmp_path, limit=4 * MEGABYTE)


def test_what_is_said_of_many_files_is_not_kept(lab: Lab, tmp_path: Path) -> None:
    own = [with_attributes(str(number), comment="c" * 200_000) for number in range(150)]
    shared = [
        tarfile.TarInfo.create_pax_global_header({f"FLEETCAST.{number}": "c" * 200_000}) + entry("x").tobuf()
        for number in range(150)
    ]
    lab.put("bomb", gzip.compress(b"".join(own + shared) + bytes(1024), 1))
    del own, shared

    tracemalloc.start()
    try:
        fetch_archive(Transfer(lab.client), lab.bucket, "bomb", tmp_path / "model")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 20 * MEGABYTE


def test_an_archive_of_too_many_files_is_refused(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_MAX_MEMBERS", 3)
    lab.put("bomb", packed(*(entry(str(number)) for number in range(4))))

    assert "it holds more than 3 files and folders" in refusal(lab, tmp_path)


def test_an_archive_that_goes_on_after_its_end_is_read_so_far_and_no_further(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_OVERHEAD", MEGABYTE)
    lab.put("bomb", gzip.compress(UNPACKED + bytes(8 * MEGABYTE)))

    assert "it unpacks to more than 2097152 bytes" in refusal(lab, tmp_path, limit=MEGABYTE)


def refusal(lab: Lab, folder: Path, limit: int = GIGABYTE) -> str:
    """Return why the archive named bomb is not extracted, having seen that nothing of it is left."""
    with pytest.raises(TransferError) as refused:
        fetch_archive(Transfer(lab.client), lab.bucket, "bomb", folder / "models" / "bomb", limit)
    assert list((folder / "models").iterdir()) == []
    return str(refused.value)


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


FETCH_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
import boto3
from fleetcast_local.sagemaker.archive import fetch_archive
from fleetcast_local.sagemaker.transfer import Transfer, TransferError
_, bucket, folder = sys.argv
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    fetch_archive(Transfer(boto3.client), bucket, "large", Path(folder))
except TransferError as error:
    print(error)
"""


def test_a_full_disk_is_called_that_and_nothing_stays_on_it(
    lab: Lab, aws_endpoint: str, tmp_path: Path
) -> None:
    """A limit on the size of files stands in for the disk: in a process of its own, since it holds for all of it."""
    lab.put("large", tar_gz("x" * 200_000))
    folder = tmp_path / "models" / "large"
    settings = {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": aws_endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "000000000000",
        "AWS_SECRET_ACCESS_KEY": "local",
    }

    done = subprocess.run(
        [sys.executable, "-c", FETCH_ON_A_FULL_DISK, lab.bucket, folder],
        env=settings,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "the instance's disk is full" in done.stdout
    assert list(folder.parent.iterdir()) == []
    fetch_archive(Transfer(lab.client), lab.bucket, "large", folder)
    assert (folder / "model.txt").read_text() == "x" * 200_000


def test_an_endpoint_of_one_hostile_model_never_comes_into_service(lab: Lab) -> None:
    lab.put("single/model.tar.gz", HOSTILE["parent"][0])
    lab.model(lab.image(SERVER), "single", ModelDataUrl=lab.uri("single/model.tar.gz"))

    endpoint = lab.endpoint(lab.endpoint_config("single", "single"))

    assert endpoint["EndpointStatus"] == "Failed"
    assert "leads out of the model's folder" in endpoint["FailureReason"]
    wait_until(lambda: not list((lab.store / "endpoints").glob("*/*/opt")))
