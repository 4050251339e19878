"""Whatever happens to an artifact, by accident or on purpose: a named error, never a wrong answer."""

import gzip
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.containers.artifact_support import (
    artifact_of_text,
    ask,
    documents_of_each_kind,
    header_of,
    put,
    signed,
    text_of,
)
from tests.containers.engine_models import of_each_kind

from fleetcast_engine import pack, unpack
from fleetcast_engine.errors import ArtifactError, NotAModel

KINDS = of_each_kind()
DOCUMENTS = documents_of_each_kind()


@given(st.binary(max_size=300))
def test_any_bytes_are_a_model_or_a_named_error(content: bytes) -> None:
    for artifact in (content, gzip.compress(content), artifact_of_text(content)):
        with pytest.raises(ArtifactError):
            unpack(artifact)


ARTIFACTS = {name: pack(model) for name, model in KINDS.items()}


@given(st.sampled_from(sorted(ARTIFACTS)), st.integers(0, 10**6), st.integers(1, 255))
def test_a_damaged_byte_is_a_named_error_or_harmless(kind: str, place: int, change: int) -> None:
    artifact = bytearray(ARTIFACTS[kind])
    artifact[place % len(artifact)] ^= change

    with suppress(ArtifactError):
        # The time and the system in gzip's header mean nothing.
        assert pack(unpack(bytes(artifact)).model) == ARTIFACTS[kind]


@given(st.sampled_from(sorted(ARTIFACTS)), st.integers(0, 10**6), st.integers(1, 255))
def test_a_damaged_byte_of_an_extracted_model_is_a_named_error(kind: str, place: int, change: int) -> None:
    text = bytearray(text_of(ARTIFACTS[kind]))
    text[place % len(text)] ^= change

    with pytest.raises(ArtifactError):
        unpack(artifact_of_text(bytes(text)))


@given(st.sampled_from(sorted(ARTIFACTS)), st.integers(0, 10**6))
def test_an_artifact_that_is_cut_off_anywhere_is_a_named_error(kind: str, place: int) -> None:
    whole, text = ARTIFACTS[kind], text_of(ARTIFACTS[kind])

    with pytest.raises(ArtifactError):
        unpack(whole[: place % len(whole)])
    with pytest.raises(ArtifactError):
        unpack(artifact_of_text(text[: place % len(text)]))


FIRST = header_of(b"00000000001\0") + b"x" + bytes(511)
# Beyond what octal digits can say: the first bit, and a number of 95 bits in two's complement.
SIZES = st.one_of(
    st.integers(-(2**80), 2**80).map(lambda size: (size & (2**96 - 1) | 1 << 95).to_bytes(12, "big")),
    st.sampled_from([-512, -1024, 2**63, 2**80]).map(
        lambda size: (size & (2**96 - 1) | 1 << 95).to_bytes(12, "big")
    ),
    st.integers(0, 8**11 - 1).map(lambda size: b"%011o\0" % size),
    st.binary(min_size=12, max_size=12),
)


@given(SIZES, st.sampled_from([b"", FIRST]), st.sampled_from([b"0", b"\0", b"x", b"g", b"L", b"K", b"S"]))
def test_any_size_in_a_header_is_a_named_error(size: bytes, before: bytes, kind: bytes) -> None:
    """Of a file of -512 bytes the next header is the same one again: reading would never end."""
    archive = before + header_of(size, kind=kind) + b"x" * 512 + bytes(1024)

    with pytest.raises(ArtifactError):
        unpack(gzip.compress(archive))


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (header_of(b"00000000001\0")[:300], "not a tar archive"),
        (bytes(10240), "not a tar archive"),
        (FIRST, "cut off"),
        (header_of(b"00000000001\0"), "cut off"),
        (header_of(b"77777777777\0"), "has 8589934591 bytes"),
        (b"y" + FIRST[1:] + bytes(1024), "damaged"),
        (FIRST + bytes(1024) + b"x", "nothing else"),
        (FIRST + bytes(512) + FIRST + bytes(1024), "nothing else"),
        (header_of(b"00000000001\0", "a/model.json") + FIRST[512:] + bytes(1024), "one ordinary file"),
        (header_of(b"00000000022\0", kind=b"x") + b"18 path=model.json\n", "extended headers"),
    ],
)
def test_what_is_no_archive_of_one_file_is_told_so(archive: bytes, message: str) -> None:
    with pytest.raises(NotAModel, match=message):
        unpack(gzip.compress(archive))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


def _places(document: dict[str, Any], path: str = "") -> list[str]:
    found = []
    for name, value in document.items():
        found.append(path + name)
        if isinstance(value, dict):
            found += _places(value, f"{path}{name}.")
    return found


def _leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the places of all values, those in lists too."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, (*path, key))
    else:
        yield path


@pytest.mark.parametrize("value", [10**30, -(10**30), 2**63, 1e30, -1e-320, "\ud800", None, [], {}, [[[]]]])
@pytest.mark.parametrize("kind", DOCUMENTS)
def test_an_absurd_value_anywhere_is_a_model_or_a_named_error(kind: str, value: Any) -> None:
    for *parents, last in list(_leaves(DOCUMENTS[kind])):
        changed = inner = json.loads(json.dumps(DOCUMENTS[kind]))
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
        with suppress(ArtifactError):
            ask(unpack(signed(changed)), 5)


@pytest.mark.parametrize("version", [b"1", b"2"])
def test_a_document_of_any_depth_is_a_named_error(version: bytes) -> None:
    """What can just be read may be too deep to be written again, which the checksum of format 1 needs."""
    for depth in range(1, sys.getrecursionlimit() + 10):
        deep = b'{"format":%b,"checksum":"","x":%b%b}' % (version, b"[" * depth, b"]" * depth)
        with pytest.raises(ArtifactError):
            unpack(artifact_of_text(deep))


PLACES = [(kind, path) for kind, document in DOCUMENTS.items() for path in _places(document)]


@given(st.sampled_from(PLACES), JSON)
def test_any_value_in_any_field_is_a_model_or_a_named_error(place: tuple[str, str], value: Any) -> None:
    kind, path = place
    document = json.loads(json.dumps(DOCUMENTS[kind]))
    put(document, path, value)

    with suppress(ArtifactError):
        ask(unpack(signed(document)), 5)
