"""From files to models: whatever lies in a folder is a model that answers, or a named reason why not."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.containers.artifact_support import document_of, signed, text_of
from tests.containers.engine_models import of_each_kind, regressors_for
from tests.containers.serving_support import naive_model

from fleetcast_engine import forecast, pack, unpack
from fleetcast_serving.errors import LoadFailed
from fleetcast_serving.repository import decode, read_document

GOLDEN = sorted((Path(__file__).parent / "golden").glob("format-*/*.tar.gz"))
KINDS = of_each_kind()


def laid_out(folder: Path, text: bytes) -> str:
    (folder / "model.json").write_bytes(text)
    return str(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_read_from_its_folder_answers_as_its_artifact_does(tmp_path: Path, kind: str) -> None:
    artifact, regressors = pack(KINDS[kind]), regressors_for(KINDS[kind], 40)

    model = decode(read_document(laid_out(tmp_path, text_of(artifact))))

    assert model.customer_id == KINDS[kind].customer_id
    assert model.size > unpack(artifact).size
    answer = forecast(model.loaded, 40, regressors=regressors)
    assert answer.upper.tolist() == forecast(unpack(artifact), 40, regressors=regressors).upper.tolist()


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}-{path.name[:-7]}")
def test_a_model_of_any_former_format_still_loads(tmp_path: Path, path: Path) -> None:
    document = read_document(laid_out(tmp_path, text_of(path.read_bytes())))

    assert decode(document).customer_id == "Ünï ¢ode/7"


def test_what_is_read_is_the_document_as_it_lies(tmp_path: Path) -> None:
    """So that one process can keep the bytes for all others, which decode them when they are asked."""
    text = text_of(pack(naive_model("7")))

    assert read_document(laid_out(tmp_path, text)) == text


NEWER = text_of(signed({**document_of(naive_model("7")), "format": 3}))
NAN = text_of(pack(naive_model("7"))).replace(b'"mae":0.4', b'"mae":NaN')
BROKEN = {
    "empty": (b"", "is not JSON"),
    "cut off": (text_of(pack(naive_model("7")))[:-100], "is not JSON"),
    "a list": (b"[]", "is not a JSON object"),
    "no format": (b"{}", "has no format number"),
    "newer": (NEWER, "has format 3; this release reads up to 2, so update it"),
    "not a number": (NAN, "every number of a model is finite"),
    "oversized": (b" " * 300_000, "has 300000 bytes; a model has at most 262144"),
    "nested": (b"[" * 200_000, "is not JSON"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_document_is_not_loaded_and_says_why(tmp_path: Path, name: str) -> None:
    text, message = BROKEN[name]

    with pytest.raises(LoadFailed, match=message):
        read_document(laid_out(tmp_path, text))
    if name != "oversized":
        with pytest.raises(LoadFailed, match=message):
            decode(text)


def test_a_changed_byte_is_not_loaded(tmp_path: Path) -> None:
    text = text_of(pack(naive_model("7"))).replace(b'"horizon":28', b'"horizon":29')

    with pytest.raises(LoadFailed, match="does not match its checksum"):
        read_document(laid_out(tmp_path, text))


def test_a_folder_without_a_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match=r"there is no model\.json in"):
        read_document(str(tmp_path))
    with pytest.raises(LoadFailed, match=r"there is no model\.json in"):
        read_document(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe", "device"])
def test_what_is_no_ordinary_file_is_not_touched(tmp_path: Path, kind: str) -> None:
    """A link leads to the host's files, and a pipe would keep its reader waiting for ever."""
    path, real = tmp_path / "model.json", tmp_path / "real.json"
    real.write_bytes(text_of(pack(naive_model("7"))))
    make = {
        "link": lambda: path.symlink_to(real),
        "dangling link": lambda: path.symlink_to(tmp_path / "nowhere"),
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
    }
    make[kind]()

    with pytest.raises(LoadFailed, match="is not an ordinary file"):
        read_document(str(tmp_path))


def test_a_file_of_ten_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "model.json").open("wb") as file:
        file.truncate(10 * 2**30)
    tracemalloc.start()
    with pytest.raises(LoadFailed, match="has 10737418240 bytes"):
        read_document(str(tmp_path))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < 2**20


@pytest.mark.parametrize("url", ["a\0b", "x" * 5000, "\udcff"])
def test_a_url_that_is_no_path_is_no_model(url: str) -> None:
    with pytest.raises(LoadFailed):
        read_document(url)


def test_a_model_says_how_much_memory_it_takes() -> None:
    small, large = naive_model("7"), naive_model("7", season=150)

    sizes = [decode(text_of(pack(model))).size for model in (small, large)]

    assert sizes[1] - sizes[0] == (150 - 7) * np.float64().nbytes


@given(st.binary(max_size=300) | st.integers(0, 10**6).map(lambda place: NEWER[: place % len(NEWER)]))
def test_any_bytes_are_a_model_or_a_reason_why_not(document: bytes) -> None:
    with pytest.raises(LoadFailed, match=r"model\.json"):
        decode(document)
