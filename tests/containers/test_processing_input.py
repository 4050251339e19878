"""Whatever raw files hold: the processing container uses what is sound, and counts and names what is not."""

import gzip
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from tests.containers.processing_support import HEADER, Outcome, ProcessingRoot, parquet, process

from fleetcast.domain.names import check_customer_id
from fleetcast.errors import RequestError
from fleetcast_processing import csv_rows, intake, spill
from fleetcast_processing.rows import to_rows

GOOD = HEADER + "good,2024-01-01,1\ngood,2024-01-02,2\n"
GOOD_GZIP = gzip.compress(GOOD.encode())


BROKEN_FILES: dict[str, tuple[bytes, str]] = {
    "empty.csv": (b"", "the file is empty"),
    "words.csv": (b"It was a dark and stormy night.\nThe rain fell.\n", "it needs the columns 'customer_id'"),
    "headless.csv": (b"17,2024-01-01,5\n", "it has '17', '2024-01-01', '5'"),
    "columns.csv": (
        b"customer_id;timestamp;kwh\n1;2024-01-01;5\n",
        "it has 'customer_id', 'timestamp', 'kwh'",
    ),
    "twice.csv": (b"customer_id,timestamp,consumption,consumption\n1,2024-01-01,5,6\n", "2 times"),
    "binary.csv": (bytes(range(256)) * 40, "not text"),
    "picture.csv": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "not text"),
    "packed.csv": (GOOD_GZIP, "its name says CSV, but its content is gzip"),
    "table.csv": (parquet(a=[1]), "its name says CSV, but its content is Parquet"),
    "plain.csv.gz": (GOOD.encode(), "its name says gzip"),
    "short.csv.gz": (GOOD_GZIP[:-9], "cannot be read"),
    "flipped.csv.gz": (GOOD_GZIP[:-6] + b"\0" + GOOD_GZIP[-5:], "cannot be read"),
    "trailing.csv.gz": (GOOD_GZIP + b"and then some", "cannot be read"),
    "text.parquet": (GOOD.encode(), "its name says Parquet"),
    "short.parquet": (
        parquet(customer_id=["good"], timestamp=["2024-01-01"], consumption=[1.0])[:-5],
        "as Parquet",
    ),
    "columns.parquet": (parquet(customer_id=["1"], x=[1]), "it has 'customer_id', 'x'"),
    "types.parquet": (parquet(customer_id=["1"], timestamp=["2024-01-01"], consumption=[[1.0]]), "type list"),
    "note.txt": (b"hello", "must end in .csv, .csv.gz or .parquet"),
    "quotation.csv": (
        GOOD.encode() + b'good,2024-01-03,"3\ngood,2024-01-04,4\ngood,2024-01-05,5\n',
        "quotation mark",
    ),
    "quoted_id.csv": (GOOD.encode() + b'"good,2024-01-03,3\ngood,2024-01-04,4\n', "quotation mark"),
    "long_line.csv": (GOOD.encode() + b"good,2024-01-03," + b"3" * 9_000_000 + b"\n", "a line is longer"),
    "long_header.csv": (b"x" * 100_000, "first line is longer"),
    "utf16_odd.csv": (GOOD.encode("utf-16")[:90] + b"\x00\xdc" * 30, "not text in the encoding"),
}


@pytest.fixture(scope="module")
def beside_broken_files(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    root = ProcessingRoot(tmp_path_factory.mktemp("broken") / "ml")
    root.put("good.csv.gz", GOOD)
    for name, (content, _) in BROKEN_FILES.items():
        root.put(name, content)
    return root.run()


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_a_broken_file_is_rejected_with_its_reason(beside_broken_files: Outcome, name: str) -> None:
    report = beside_broken_files.file(f"raw/{name}")

    assert report["status"] == "rejected"
    assert report["rows"] == 0
    assert BROKEN_FILES[name][1] in report["reason"]


def test_broken_files_cost_nothing_but_themselves(beside_broken_files: Outcome) -> None:
    assert beside_broken_files.code == 0
    assert beside_broken_files.summary["rows_read"] == 2
    assert list(beside_broken_files.quality) == ["good"]
    assert [value for _, value in beside_broken_files.series["good"]] == [1.0, 2.0]


@pytest.mark.parametrize("held", [1, 50_000, 10**7])
def test_rows_before_a_truncation_are_not_used_even_when_already_on_disk(
    root: ProcessingRoot, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    """A file is used whole or not at all, however much of it was read before it broke."""
    monkeypatch.setattr(spill, "_HELD_BYTES", held)
    monkeypatch.setattr(intake, "_BUFFER_BYTES", 10_000)
    monkeypatch.setattr(csv_rows, "_BLOCK_BYTES", 4096)
    rows = "".join(f"ghost,{1_700_000_000 + number},{number % 977}.{number}\n" for number in range(20_000))
    root.put("a.csv", GOOD)
    root.put("b.csv.gz", gzip.compress((HEADER + ",2024-01-01,1\n" + rows).encode())[:-1000])
    root.put("c.csv", HEADER + "late,2024-01-01,3\n")

    outcome = process(root)

    assert list(outcome.quality) == ["good", "late"]
    assert outcome.summary["rows_read"] == 3
    assert outcome.summary["rows_without_customer"] == 0


def test_a_late_byte_that_is_not_utf8_does_not_double_the_rows_before_it(
    root: ProcessingRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "_BUFFER_BYTES", 10_000)
    monkeypatch.setattr(csv_rows, "_BLOCK_BYTES", 4096)
    rows = "".join(f"early,{1_700_000_000 + number},{number}\n" for number in range(5000))
    root.put("a.csv", (HEADER + rows + "Zoë,2024-01-01,1\n").encode("cp1252"))

    outcome = process(root)

    assert {name: row["rows_read"] for name, row in outcome.quality.items()} == {"early": 5000, "Zoë": 1}
    assert outcome.quality["early"]["duplicates"] == 0


@pytest.mark.parametrize(
    ("encoding", "note"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", "read as UTF-16"),
        ("cp1252", "lines that are not valid UTF-8: 2 read as Windows-1252"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_encodings_newlines_and_separators_do_not_matter(
    root: ProcessingRoot, encoding: str, note: str | None, newline: str, separator: str
) -> None:
    lines = [
        "extra,consumption,customer_id,timestamp",
        "é,1.5,Ünï ¢ode,2024-01-01",
        '"a ""b""",2,"Ünï ¢ode",2024-01-02',
    ]
    root.put("a.csv", newline.join(lines).replace(",", separator).encode(encoding))

    outcome = process(root)

    assert [value for _, value in outcome.series["Ünï ¢ode"]] == [1.5, 2.0]
    assert outcome.file("raw/a.csv")["reason"] == note


def test_bytes_without_a_windows_character_are_latin_1(root: ProcessingRoot) -> None:
    root.put("a.csv", HEADER.encode() + b"\xe9\x81,2024-01-01,1\n")

    outcome = process(root)

    assert list(outcome.quality) == ["é\x81"]
    assert "Latin-1" in outcome.file("raw/a.csv")["reason"]


def test_line_breaks_inside_a_quoted_extra_column_are_fine(root: ProcessingRoot) -> None:
    root.put("a.csv", HEADER.replace("\n", ",note\n") + '1,2024-01-01,5,"two\nlines"\n1,2024-01-02,6,\n')

    assert [value for _, value in process(root).series["1"]] == [5.0, 6.0]


def test_a_line_with_too_few_or_too_many_fields_is_counted(root: ProcessingRoot) -> None:
    root.put_rows("a.csv", "1,2024-01-01,5", "1,2024-01-02", "1,2024-01-03,5,6", "1,2024-01-04,7")

    outcome = process(root)

    assert len(outcome.series["1"]) == 2
    assert outcome.summary["rows_read"] == 4
    assert outcome.summary["rows_without_customer_by_reason"]["malformed"] == 2


@pytest.mark.parametrize(
    "cell",
    [
        "",
        '""',
        " ",
        "NaN",
        "nan",
        "inf",
        "-Infinity",
        "n/a",
        "null",
        "12 kWh",
        "1,5",
        "0x10",
        "1e16",
        "-2e15",
        "1e999",
    ],
)
def test_a_cell_without_a_usable_number_is_dropped_and_counted(root: ProcessingRoot, cell: str) -> None:
    quoted = cell if cell == '""' else f'"{cell}"'
    root.put_rows("a.csv", f"1,2024-01-01,{quoted}", "1,2024-01-02,5")

    quality = process(root).quality["1"]

    assert (quality["bad_values"], quality["rows_kept"], quality["rows_read"]) == (1, 1, 2)


@pytest.mark.parametrize(
    ("cell", "value"),
    [("5", 5.0), (" 5.25 ", 5.25), ("+.5", 0.5), ("5.", 5.0), ("1e3", 1000.0), ("-0.0", 0.0)],
)
def test_numbers_are_read_beside_cells_that_are_none(root: ProcessingRoot, cell: str, value: float) -> None:
    root.put_rows("a.csv", f"1,2024-01-01,{cell}", "1,2024-01-02,broken")

    assert process(root).series["1"][0][1] == value


def test_negatives_are_kept_and_counted(root: ProcessingRoot) -> None:
    root.put_rows("a.csv", "1,2024-01-01,-5", "1,2024-01-02,5", "1,2024-01-03,-0.5")

    outcome = process(root)

    assert [value for _, value in outcome.series["1"]] == [-5.0, 5.0, -0.5]
    assert outcome.quality["1"]["negatives"] == 2


def test_of_duplicates_the_last_usable_row_wins_in_the_order_of_keys(root: ProcessingRoot) -> None:
    root.put_rows("b.csv", "1,2024-01-01T00:00:00Z,20", "1,2024-01-01,30", "1,2024-01-01,NaN")
    root.put_rows("a.csv", "1,2024-01-01,10")

    outcome = process(root)

    assert [value for _, value in outcome.series["1"]] == [30.0]
    assert (outcome.quality["1"]["duplicates"], outcome.quality["1"]["bad_values"]) == (2, 1)


IDS = [
    "007",
    "7",
    "../../etc",
    "a/b",
    "Ünï ¢ode",
    "x" * 128,
    "é" * 128,
    "NA",
    "null",
    " ",
    " 7",
    'say "hi"',
    "a,b",
    "🔌",
]


def test_ids_are_opaque_text(root: ProcessingRoot) -> None:
    quoted = ['"' + name.replace('"', '""') + '"' for name in IDS]
    root.put_rows("a.csv", *(f"{name},2024-01-01,{number}" for number, name in enumerate(quoted)))

    outcome = process(root)

    assert {name: series[0][1] for name, series in outcome.series.items()} == dict(
        zip(IDS, map(float, range(len(IDS))), strict=True)
    )
    assert all(name.startswith("part-") for name in outcome.objects)


def test_rows_without_a_legal_id_are_counted_by_reason(root: ProcessingRoot) -> None:
    root.put_rows(
        "a.csv", ",2024-01-01,1", '"",2024-01-01,1', f"{'x' * 129},2024-01-01,1", "a\x01b,2024-01-01,1"
    )
    root.put_rows("b.csv", "ok,2024-01-01,1")

    outcome = process(root)

    assert list(outcome.quality) == ["ok"]
    assert outcome.summary["rows_without_customer"] == 4
    assert outcome.summary["rows_without_customer_by_reason"] == {
        "empty": 2,
        "too_long": 1,
        "control_character": 1,
        "malformed": 0,
    }


@pytest.mark.parametrize("name", [*IDS, "", "x" * 129, "tab\there", "a\x00b", "del\x7f", "nel\x85"])
def test_an_id_is_legal_here_exactly_where_it_is_elsewhere(name: str) -> None:
    table = pa.table({"customer": [name], "timestamp": ["2024-01-01"], "value": ["1"]})
    try:
        legal = bool(check_customer_id(name))
    except RequestError:
        legal = False

    taken = to_rows(table, "UTC", 2_000_000_000_000_000)

    assert (len(taken.rows.codes), sum(taken.strays.values())) == (1, 0) if legal else (0, 1)


def test_one_row_is_ready_and_no_usable_row_is_unusable_with_a_reason(root: ProcessingRoot) -> None:
    root.put_rows("a.csv", "one,2024-01-01,1", "none,2024-01-01,", "none,never,5", "none,2024-01-02,x")

    quality = process(root).quality

    assert (quality["one"]["status"], quality["one"]["reason"]) == ("ready", None)
    assert quality["none"]["status"] == "unusable"
    assert quality["none"]["reason"] == (
        "none of its 3 rows can be used: 2 without a usable value, 1 without a usable timestamp; "
        "the first has an empty value"
    )
    assert [quality["none"][name] for name in ("first", "last", "object", "rows_kept")] == [
        None,
        None,
        None,
        0,
    ]


DAY = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ids", "timestamps", "values"),
    [
        (pa.array(["5"]), pa.array([DAY]), pa.array([1.5])),
        (pa.array([5]), pa.array([date(2024, 1, 1)]), pa.array([1.5], pa.float32())),
        (pa.array(["5"]).dictionary_encode(), pa.array([1_704_067_200]), pa.array(["1.5"])),
        (pa.array(["5"], pa.large_string()), pa.array([1_704_067_200_000.0]), pa.array([Decimal("1.5")])),
        (pa.array([5], pa.uint8()), pa.array(["2024-01-01"]).dictionary_encode(), pa.array([1.5])),
        (pa.array(["5"]), pa.array([DAY], pa.timestamp("ns", "Asia/Tokyo")), pa.array([1.5])),
        (pa.array(["5"]), pa.array([datetime(2024, 1, 1)], pa.timestamp("s")), pa.array([1.5])),  # noqa: DTZ001
    ],
)
def test_parquet_columns_may_have_any_sensible_type(
    root: ProcessingRoot, ids: pa.Array, timestamps: pa.Array, values: pa.Array
) -> None:
    root.put("a.parquet", parquet(other=[1], consumption=values, customer_id=ids, timestamp=timestamps))

    assert process(root).series == {"5": [(DAY, 1.5)]}


def test_missing_cells_of_parquet_count_like_empty_ones(root: ProcessingRoot) -> None:
    root.put(
        "a.parquet",
        parquet(
            customer_id=["5", None, "5", "5"],
            timestamp=pa.array([DAY, DAY, None, DAY], pa.timestamp("us", "UTC")),
            consumption=[1.0, 1.0, 1.0, None],
        ),
    )

    outcome = process(root)

    assert [outcome.quality["5"][name] for name in ("rows_kept", "bad_timestamps", "bad_values")] == [1, 1, 1]
    assert outcome.summary["rows_without_customer"] == 1
