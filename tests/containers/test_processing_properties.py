"""However the same readings arrive, the same series come out, with the same fingerprints."""

import gzip
import io
import tempfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.containers.processing_support import RUN_ID, ProcessingRoot, Reading, quality_in, series_in

from fleetcast_processing import csv_rows, intake, job, plain_csv, series_store, spill
from fleetcast_processing.job import Folders, run
from fleetcast_processing.magnitudes import are_absurd
from fleetcast_processing.settings import ProcessingSettings

Row = tuple[str, datetime, float]

IDS = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters='"'), min_size=1, max_size=12)
MOMENTS = st.integers(0, 5000).map(lambda hour: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hour))
VALUES = st.integers(-5000, 900_000).map(lambda thousandths: thousandths / 1000)
FLEETS = st.dictionaries(
    IDS, st.dictionaries(MOMENTS, VALUES, min_size=1, max_size=30), min_size=1, max_size=8
)
FORMATS = st.sampled_from([".csv", ".csv.gz", ".parquet", ".utf16.csv", ".tab.csv"])

WRITTEN = (
    lambda moment: f"{moment:%Y-%m-%dT%H:%M:%SZ}",
    lambda moment: f"{moment:%Y-%m-%d %H:%M}",
    lambda moment: moment.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat(),
    lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S.000}",
    lambda moment: str(int(moment.timestamp())),
    lambda moment: str(int(moment.timestamp()) * 1000),
)


@st.composite
def deliveries(draw: st.DrawFn, rows: list[Row]) -> list[tuple[str, bytes]]:
    """Split rows into files of any name, order and format; some rows come twice."""
    repeated = draw(st.lists(st.sampled_from(rows), max_size=5))
    shuffled = draw(st.permutations(rows + repeated))
    cuts = sorted(draw(st.lists(st.integers(0, len(shuffled)), max_size=4)))
    pieces = [shuffled[low:high] for low, high in zip([0, *cuts], [*cuts, len(shuffled)], strict=True)]
    names = draw(
        st.lists(st.text("abz/", min_size=1, max_size=4), min_size=len(pieces), max_size=len(pieces))
    )
    files = []
    for number, (name, piece) in enumerate(zip(names, pieces, strict=True)):
        suffix = draw(FORMATS)
        folder = name.replace("/", "/x").strip("/")
        files.append((f"{folder}/{number}{suffix}", encoded(suffix, draw(texts(piece)))))
    return files


@st.composite
def texts(draw: st.DrawFn, rows: list[Row]) -> list[tuple[str, str, str]]:
    return [(name, draw(st.sampled_from(WRITTEN))(moment), repr(value)) for name, moment, value in rows]


def encoded(suffix: str, rows: list[tuple[str, str, str]]) -> bytes:
    columns = ["customer_id", "timestamp", "consumption"]
    if suffix == ".parquet":
        sink = io.BytesIO()
        by_column = [pa.array([row[place] for row in rows], pa.string()) for place in range(3)]
        pq.write_table(pa.table(by_column, names=columns), sink)
        return sink.getvalue()
    separator = "\t" if suffix == ".tab.csv" else ","
    lines = [separator.join(columns), *(separator.join(f'"{cell}"' for cell in row) for row in rows)]
    content = "\r\n".join(lines).encode("utf-16" if suffix == ".utf16.csv" else "utf-8")
    return gzip.compress(content) if suffix == ".csv.gz" else content


SIZES = st.sampled_from([100, 2000, 10**7])


def processed(files: list[tuple[str, bytes]]) -> tuple[dict[str, list[Reading]], dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        root = ProcessingRoot(Path(folder) / "ml")
        for name, content in files:
            root.put(name, content)
        run(ProcessingSettings(RUN_ID), Folders.below(root.path))
        quality = quality_in(root.path)
        return series_in(root.path), {name: row["fingerprint"] for name, row in quality.items()}


@settings(max_examples=60, deadline=None)
@given(data=st.data(), fleet=FLEETS, buffer=SIZES, held=SIZES)
def test_files_order_and_format_do_not_change_series_or_fingerprints(
    data: st.DataObject, fleet: dict[str, dict[datetime, float]], buffer: int, held: int
) -> None:
    rows = [(name, moment, value) for name, series in fleet.items() for moment, value in series.items()]
    files = data.draw(deliveries(rows))
    tidy = encoded(".csv", [(name, WRITTEN[0](moment), repr(value)) for name, moment, value in sorted(rows)])

    with pytest.MonkeyPatch.context() as small:
        small.setattr(intake, "_BUFFER_BYTES", buffer)
        small.setattr(csv_rows, "_BLOCK_BYTES", 4096)
        small.setattr(plain_csv, "_BLOCK_BYTES", 4096)
        small.setattr(job, "_PARTITION_BYTES", buffer)
        small.setattr(spill, "_HELD_BYTES", held)
        small.setattr(series_store, "_HELD_BYTES", held)
        series, fingerprints = processed(files)

    assert series == {name: sorted(readings.items()) for name, readings in fleet.items()}
    assert (series, fingerprints) == processed([("tidy.csv", tidy)])


@settings(max_examples=15, deadline=None)
@given(fleet=FLEETS, data=st.data())
def test_another_value_or_moment_is_another_fingerprint(
    fleet: dict[str, dict[datetime, float]], data: st.DataObject
) -> None:
    rows: list[list[Any]] = [
        [name, moment, value] for name, series in fleet.items() for moment, value in sorted(series.items())
    ]
    changed = data.draw(st.integers(0, len(rows) - 1))
    altered = [list(row) for row in rows]
    if data.draw(st.booleans()):
        altered[changed][2] += 0.5
    else:
        altered[changed][1] += timedelta(seconds=1)

    before, after = (
        processed([("a.csv", encoded(".csv", [(n, WRITTEN[0](m), repr(v)) for n, m, v in version]))])[1]
        for version in (rows, altered)
    )

    assert {name for name in before if before[name] != after[name]} == {rows[changed][0]}


MAGNITUDES = st.sampled_from([0.0, 1e-9, 1e-3, 1.0, -1.0, 2.0, 999.0, 1e6, -1e6, 1e6 + 1, 1e9, 1e14])


@settings(max_examples=300, deadline=None)
@given(fleet=st.lists(st.lists(st.tuples(MAGNITUDES, st.booleans()), max_size=30), min_size=1, max_size=6))
def test_absurd_values_are_those_that_each_customer_alone_would_show(
    fleet: list[list[tuple[float, bool]]],
) -> None:
    codes = np.repeat(np.arange(len(fleet), dtype=np.int32), [len(rows) for rows in fleet])
    values = np.array([value for rows in fleet for value, _ in rows])
    counted = np.array([is_counted for rows in fleet for _, is_counted in rows], dtype=np.bool_)
    expected = []
    for rows in fleet:
        usual = [abs(value) for value, is_counted in rows if is_counted]
        middle = median(usual) if len(usual) >= 10 else 0
        expected += [middle > 0 and abs(value) > middle * 1e6 for value, _ in rows]

    assert are_absurd(codes, values, counted, len(fleet)).tolist() == expected
