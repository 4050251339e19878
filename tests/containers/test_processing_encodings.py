"""A file may hold lines in several encodings; none of them may invent a customer."""

import contextlib
import gzip
import io
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.containers.processing_support import HEADER, ProcessingRoot, process

from fleetcast_processing import csv_rows
from fleetcast_processing.decoding import Utf8Lines


def test_one_line_that_is_not_utf8_leaves_the_others_as_they_are(root: ProcessingRoot) -> None:
    """Two exports in one file: `Köln` must not become a second customer called `KÃ¶ln`."""
    lines = ["Köln,2024-01-01,1".encode(), "Köln,2024-01-02,2".encode("cp1252"), "Köln,2024-01-03,3".encode()]
    root.put("a.csv", HEADER.encode() + b"\n".join(lines))

    outcome = process(root)

    assert {name: [value for _, value in rows] for name, rows in outcome.series.items()} == {
        "Köln": [1.0, 2.0, 3.0]
    }
    assert outcome.file("raw/a.csv")["reason"] == "lines that are not valid UTF-8: 1 read as Windows-1252"


def test_the_note_counts_lines_by_what_they_were_read_as(root: ProcessingRoot) -> None:
    lines = [b"\xe9\x81,2024-01-01,1", b"\xe9,2024-01-01,1", b"\xfc,2024-01-01,1", "é,2024-01-02,1".encode()]
    root.put("a.csv.gz", gzip.compress(HEADER.encode() + b"\r\n".join(lines)))

    outcome = process(root)

    assert list(outcome.quality) == ["é", "é\x81", "ü"]
    assert outcome.file("raw/a.csv.gz")["reason"] == (
        "lines that are not valid UTF-8: 2 read as Windows-1252, 1 read as Latin-1"
    )


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_lines_are_judged_one_by_one_across_blocks(
    root: ProcessingRoot, monkeypatch: pytest.MonkeyPatch, newline: bytes
) -> None:
    monkeypatch.setattr(csv_rows, "_BLOCK_BYTES", 4096)
    lines = [
        f"Köln,{1_700_000_000 + number},{number}".encode("cp1252" if number % 100 == 99 else "utf-8")
        for number in range(5000)
    ]
    root.put("a.csv", newline.join([HEADER.strip().encode(), *lines]))

    outcome = process(root)

    assert {name: row["rows_kept"] for name, row in outcome.quality.items()} == {"Köln": 5000}
    assert ": 50 read as Windows-1252" in outcome.file("raw/a.csv")["reason"]


def test_a_byte_order_mark_does_not_promise_that_every_line_is_utf8(root: ProcessingRoot) -> None:
    root.put("a.csv", HEADER.encode("utf-8-sig") + "ü,2024-01-01,1\n".encode("cp1252"))

    assert list(process(root).quality) == ["ü"]


def test_a_mapped_column_may_have_a_name_in_windows_1252(root: ProcessingRoot) -> None:
    root.put("a.csv", "Zähler,timestamp,kWh/m²\nü,2024-01-01,1\n".encode("cp1252"))

    outcome = root.run(FLEETCAST_CUSTOMER_COLUMN="Zähler", FLEETCAST_VALUE_COLUMN="kWh/m²")

    assert list(outcome.quality) == ["ü"]


def test_a_malformed_line_that_is_not_utf8_is_counted_like_any_other(root: ProcessingRoot) -> None:
    root.put("a.csv", HEADER.encode() + b"\xfc,2024-01-01,1,surplus\n1,2024-01-01,5\n")

    outcome = process(root)

    assert list(outcome.quality) == ["1"]
    assert outcome.summary["rows_without_customer_by_reason"]["malformed"] == 1


def test_utf8_passes_as_it_is_block_by_block() -> None:
    text = b"\xef\xbb\xbf" + "Köln\n\n\r\nÜ".encode() * 10_000
    with pa.input_stream(io.BytesIO(text)) as source:
        lines = Utf8Lines(source, 4096)
        beginning = lines.read(100)
        held = source.tell()
        rest = lines.read()

    assert beginning + rest == text
    assert held == 4096
    assert not lines.foreign


PIECES = st.sampled_from([b"a", b",", b"\xfc", b"\xc3\xb6", b"\xc3", b"\x81", b"\n", b"\r\n", b"\r"])


@settings(max_examples=300, deadline=None)
@given(pieces=st.lists(PIECES, max_size=40), block=st.integers(40, 90))
def test_a_line_is_read_as_it_would_be_alone(pieces: list[bytes], block: int) -> None:
    text = b"".join(pieces)
    expected, foreign = b"", Counter[str]()
    for line in text.splitlines(keepends=True):
        for encoding in ("utf-8", "cp1252", "latin-1"):
            with contextlib.suppress(UnicodeDecodeError):
                expected += line.decode(encoding).encode()
                foreign[encoding] += 1
                break

    with pa.input_stream(io.BytesIO(text)) as source:
        lines = Utf8Lines(source, block)
        assert lines.read() == expected
    assert lines.foreign["Windows-1252"] == foreign["cp1252"]
    assert lines.foreign["Latin-1"] == foreign["latin-1"]
