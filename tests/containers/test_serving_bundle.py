"""One container with the models of many customers, and whatever an archive of them may hold."""

import gzip
import os
import subprocess
import tarfile
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from tests.containers.artifact_support import archive_of, document_of, signed
from tests.containers.serving_support import lay_out, naive_model

import fleetcast_engine
from fleetcast.domain.names import artifact_name
from fleetcast.errors import RequestError
from fleetcast_engine import LoadedModel, pack, unpack
from fleetcast_serving.errors import CustomerNotFound, LoadFailed
from fleetcast_serving.repository import Models, bundle, decode, read_document, read_models
from fleetcast_serving.repository.bundling import write_bundle

CUSTOMERS = ["7", "meter/8", "..", ".hidden", "Ünï ¢ode", "x" * 128, "ü" * 128, "a~b", "A", "a"]


def put(folder: Path, customer_id: str, artifact: bytes | None = None) -> Path:
    path = folder / "bundle" / artifact_name(customer_id)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(artifact or pack(naive_model(customer_id)))
    return path


def customers_in(folder: Path, *customers: str, budget: int = 2**20) -> Models:
    for customer in customers:
        put(folder, customer)
    return read_models(folder, budget)


def refusal(models: Models, customer: str) -> str:
    with pytest.raises(LoadFailed) as raised:
        models.model(customer)
    return str(raised.value)


def test_every_customer_has_his_own_model(tmp_path: Path) -> None:
    models = customers_in(tmp_path, *CUSTOMERS)

    for customer in [*CUSTOMERS, *CUSTOMERS]:
        assert models.model(customer).customer_id == customer


@pytest.mark.parametrize("customer", ["8", "7.tar.gz", "../model.json", "a\0b", "/etc/passwd", "b" * 128])
def test_a_customer_without_a_model_is_not_found(tmp_path: Path, customer: str) -> None:
    models = customers_in(tmp_path, "7")

    with pytest.raises(CustomerNotFound, match="no model of customer"):
        models.model(customer)


def test_among_many_the_customer_has_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="customer_id is missing") as raised:
        customers_in(tmp_path, "7").model(None)

    assert raised.value.field == "customer_id"


def test_one_model_alone_need_not_be_named(tmp_path: Path) -> None:
    models = read_models(Path(lay_out(tmp_path, "7")))

    assert models.model(None) is models.model("7")
    with pytest.raises(CustomerNotFound):
        models.model("8")


MODEL = tarfile.TarInfo("model.json")
LINK, DEVICE = tarfile.TarInfo("model.json"), tarfile.TarInfo("model.json")
LINK.type, LINK.linkname = tarfile.SYMTYPE, "/etc/passwd"
DEVICE.type = tarfile.CHRTYPE
WHOLE = pack(naive_model("7"))
HOSTILE = {
    "empty": (b"", "the artifact is cut off"),
    "no gzip": (b"model", "is not a gzip file"),
    "cut off": (WHOLE[:-20], "cut off"),
    "an empty tar": (gzip.compress(bytes(10_240)), "not a tar archive"),
    "a way out": (archive_of((tarfile.TarInfo("../model.json"), b"{}")), "one ordinary file"),
    "an absolute path": (archive_of((tarfile.TarInfo("/etc/passwd"), b"{}")), "one ordinary file"),
    "a link": (archive_of((LINK, b"")), "one ordinary file"),
    "a device": (archive_of((DEVICE, b"")), "one ordinary file"),
    "two files": (archive_of((MODEL, b"{}"), (MODEL, b"{}")), "one ordinary file"),
    "a bomb": (gzip.compress(bytes(200 * 2**20), 9), "unpacks to more than 1048576 bytes"),
    "newer": (
        signed({**document_of(naive_model("7")), "format": 3}),
        "has format 3; this release reads up to 2",
    ),
    "another's": (pack(naive_model("whose")), "holds the model of another customer"),
    "oversized": (bytes(300_000), "is not an ordinary file of at most 262144 bytes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_member_is_named_and_harms_nobody_else(tmp_path: Path, name: str) -> None:
    artifact, reason = HOSTILE[name]
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "7.tar.gz").write_bytes(artifact)
    models = customers_in(tmp_path, "9")

    tracemalloc.start()
    with pytest.raises(LoadFailed, match=r"bundle/7\.tar\.gz") as raised:
        models.model("7")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert reason in str(raised.value)
    assert "whose" not in str(raised.value), "it goes to the log, and not to who asked"
    assert models.model("9").customer_id == "9"
    assert most < 8 * 2**20


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the sizes of the artifacts that are parsed from now on."""
    sizes: list[int] = []

    def counted(artifact: bytes) -> LoadedModel:
        sizes.append(len(artifact))
        return unpack(artifact)

    monkeypatch.setattr(bundle, "unpack", counted)
    return sizes


def test_a_broken_member_is_parsed_once_however_often_it_is_asked_for(
    tmp_path: Path, unpacked: list[int]
) -> None:
    """A hundred thousand lines may name it, and 240 kB that are no model take milliseconds to refuse."""
    models = customers_in(tmp_path, "9")
    path = put(tmp_path, "7", b"no model")

    reasons = {refusal(models, "7") for _ in range(100)}

    assert reasons == {"bundle/7.tar.gz is not a model: the artifact is not a gzip file, or a damaged one"}
    assert unpacked == [8]
    path.write_bytes(pack(naive_model("7")))
    assert models.model("7").customer_id == "7", "it is another file now"


def test_no_more_refusals_are_kept_than_fit(tmp_path: Path, unpacked: list[int]) -> None:
    models = customers_in(tmp_path, "9")
    for number in range(1001):
        put(tmp_path, f"b{number}", b"no model")
        refusal(models, f"b{number}")

    for customer, parsed in (("b1000", 1001), ("b1", 1001), ("b0", 1002)):
        refusal(models, customer)
        assert len(unpacked) == parsed, customer


def test_who_is_asked_for_first_is_known_to_need_a_file(tmp_path: Path) -> None:
    """So that a slow disk keeps nobody waiting but him."""
    models, alone = customers_in(tmp_path, "7"), read_models(Path(lay_out(tmp_path, "8")))

    assert models.is_cold("7")
    models.model("7")

    assert not models.is_cold("7")
    assert not models.is_cold(None), "it is refused without one"
    assert not alone.is_cold("8")


def test_the_only_model_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    folder = Path(lay_out(tmp_path, "7"))
    monkeypatch.setattr(
        fleetcast_engine, "decode", lambda text: (decoded.append(text), fleetcast_engine.load(folder))[1]
    )

    assert read_models(folder).model("7").customer_id == "7"
    assert len(decoded) == 1


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.symlink_to("9.tar.gz"), "Too many levels of symbolic links"),
        (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
        (lambda path: path.mkdir(), "is not an ordinary file"),
        (os.mkfifo, "is not an ordinary file"),
    ],
    ids=["link", "circle", "folder", "pipe"],
)
def test_a_member_that_is_no_file_is_not_touched(
    tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    models = customers_in(tmp_path, "9")
    make(tmp_path / "bundle" / "7.tar.gz")

    with pytest.raises(LoadFailed, match=rf"bundle/7\.tar\.gz .*{reason}"):
        models.model("7")


def test_refused_members_leave_no_file_open(tmp_path: Path) -> None:
    models = customers_in(tmp_path, "9")
    (tmp_path / "bundle" / "7.tar.gz").mkdir()
    (tmp_path / "bundle" / "8.tar.gz").write_bytes(b"no model")
    before = len(list(Path("/proc/self/fd").iterdir()))

    for customer in "789" * 20:
        with suppress(LoadFailed):
            models.model(customer)

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_models_used_last_are_kept_within_the_budget(tmp_path: Path) -> None:
    size = decode(read_document(lay_out(tmp_path / "single", "a"))).size
    models = customers_in(tmp_path, *"abcd", budget=2 * size)
    for customer in "abac":
        models.model(customer)

    for path in (tmp_path / "bundle").iterdir():
        path.unlink()

    assert models.model("a").customer_id == "a"
    assert models.model("c").customer_id == "c"
    for forgotten in "bd":
        with pytest.raises(CustomerNotFound):
            models.model(forgotten)


def test_a_model_larger_than_the_budget_is_answered_all_the_same(tmp_path: Path) -> None:
    models = customers_in(tmp_path, "a", "b", budget=1)

    assert [models.model(customer).customer_id for customer in "abab"] == list("abab")


def test_threads_share_a_bundle(tmp_path: Path) -> None:
    customers = [f"m{number}" for number in range(40)]
    models = customers_in(tmp_path, *customers, budget=10_000)

    def ask(number: int) -> bool:
        customer = customers[number * 7 % 40]
        return models.model(customer).customer_id == customer

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(2000)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "there is no model.json in .* no folder bundle"),
        (lambda folder: (folder / "bundle").mkdir(), r"there is no artifact \(\*.tar.gz\) in"),
        (lambda folder: (folder / "bundle").touch(), "is not a folder that can be read"),
        (lambda folder: (folder / "bundle").symlink_to("/etc"), "is not a folder that can be read"),
        (
            lambda folder: (put(folder, "7"), (folder / "model.json").touch()),
            "there are both model.json and bundle",
        ),
    ],
    ids=["nothing", "empty", "a file", "a link", "both"],
)
def test_a_folder_that_holds_no_models_says_so(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    make(tmp_path)

    with pytest.raises(LoadFailed, match=message):
        read_models(tmp_path)


def test_a_bundle_is_written_from_artifacts_whatever_their_files_are_called(tmp_path: Path) -> None:
    artifacts = []
    for number, customer in enumerate(CUSTOMERS):
        artifacts.append(tmp_path / f"{number}.tar.gz")
        artifacts[-1].write_bytes(pack(naive_model(customer)))
    target, folder = tmp_path / "model.tar.gz", tmp_path / "extracted"
    folder.mkdir()

    assert write_bundle(artifacts, target) == len(CUSTOMERS)

    subprocess.run(["tar", "-xzf", str(target), "-C", str(folder)], check=True)
    models = read_models(folder)
    assert [models.model(customer).customer_id for customer in CUSTOMERS] == CUSTOMERS


@pytest.mark.parametrize(
    "second", [pack(naive_model("7")), b"no model"], ids=["the same customer", "no model"]
)
def test_a_bundle_that_would_be_wrong_is_not_written(tmp_path: Path, second: bytes) -> None:
    paths = [tmp_path / "first.tar.gz", tmp_path / "second.tar.gz"]
    for path, artifact in zip(paths, (pack(naive_model("7")), second), strict=True):
        path.write_bytes(artifact)

    with pytest.raises(LoadFailed, match=r"second\.tar\.gz is "):
        write_bundle(paths, tmp_path / "model.tar.gz")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.tar.gz", "second.tar.gz"]
