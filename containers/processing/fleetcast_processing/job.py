"""The processing job: raw files in, one clean series per customer out.

Rows pass through memory in batches, then by partition of customers, so the raw data may be larger than memory; what
fits into 64 MB never meets the disk. What has to fit is the longest single series (about 100 bytes a row) and one
report row per customer (about 300).
"""

import os
import secrets
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fleetcast.errors import DataError
from fleetcast_processing.intake import FileReport, Intake
from fleetcast_processing.objects import plan_objects, write_objects
from fleetcast_processing.quality import Summary, write_quality, write_summary
from fleetcast_processing.raw_files import RawFile, find_raw_files
from fleetcast_processing.rows import STRAY_REASONS
from fleetcast_processing.series import to_series
from fleetcast_processing.series_store import SeriesStore
from fleetcast_processing.settings import ProcessingSettings
from fleetcast_processing.spill import MAX_PARTITIONS, Spill

_PARTITION_BYTES = 4 * 1024 * 1024
_PACKED_RATIO = 5
_FUTURE_SECONDS = 2 * 86_400
"""A row later than this after the job's start has a wrong timestamp, and would move the forecast there."""


class NothingToTrain(DataError):
    """The raw data holds no customer with a usable row."""


@dataclass(frozen=True)
class Folders:
    raw: Path
    series: Path
    quality: Path
    scratch: Path

    @classmethod
    def below(cls, ml_root: Path) -> "Folders":
        processing = ml_root / "processing"
        return cls(processing / "input" / "raw", processing / "series", processing / "quality", processing)


def run(settings: ProcessingSettings, folders: Folders) -> Summary:
    """Process everything below the raw folder.

    Raises:
        NothingToTrain: after writing quality and summary, which say why in full.
    """
    for folder in (folders.series, folders.quality):
        folder.mkdir(parents=True, exist_ok=True)
    # The processing volume is sized for the data; /tmp may be small, or memory.
    scratch = folders.scratch / f".spill-{secrets.token_hex(8)}"
    try:
        scratch.mkdir(mode=0o700)
        return _run(settings, folders, scratch)
    finally:
        # Made within `try`: a job that is stopped at that very moment leaves nothing either.
        shutil.rmtree(scratch, ignore_errors=True)


def _run(settings: ProcessingSettings, folders: Folders, scratch: Path) -> Summary:
    files = find_raw_files(folders.raw)
    if not files:
        raise NothingToTrain(
            "Nothing to train: there is no object under raw/. Put .csv, .csv.gz or .parquet there."
        )
    spill = Spill(scratch, _partitions(files))
    intake = Intake(spill, settings.columns, settings.time_zone, _latest_instant())
    reports = _read(intake, files)
    customers, store = _group(spill, scratch, intake.bad_cells)
    customers = _write_series(customers, store, settings, folders.series)
    summary = _summarise(settings.run_id, customers, reports, intake.strays)
    write_quality(folders.quality / "quality.jsonl.gz", customers)
    write_summary(folders.quality / "summary.json", summary)
    _require_something_to_train(summary)
    return summary


def _latest_instant() -> int:
    # Nothing is measured tomorrow, but a wrong zone makes it look so for up to a day.
    return int((time.time() + _FUTURE_SECONDS) * 1_000_000)


def _partitions(files: list[RawFile]) -> int:
    packed = sum(file.path.stat().st_size for file in files if not file.path.name.lower().endswith(".csv"))
    plain = sum(file.path.stat().st_size for file in files) - packed
    return min(MAX_PARTITIONS, 1 + (plain + packed * _PACKED_RATIO) // _PARTITION_BYTES)


def _read(intake: Intake, files: list[RawFile]) -> list[FileReport]:
    started = time.monotonic()
    reports = []
    for file in files:
        reports.append(intake.read(file))
        if reports[-1].status == "rejected":
            log("reject", started, key=file.key, reason=reports[-1].reason)
    intake.finish()
    # Else the buffers of reading stay resident while the partitions are sorted.
    pa.default_memory_pool().release_unused()
    log("read", started, files=len(files), rows=sum(report.rows for report in reports))
    return reports


def _group(spill: Spill, scratch: Path, bad_cells: Mapping[str, str]) -> tuple[pa.Table, SeriesStore]:
    """Turn every partition into stored series; return the customers by id."""
    started = time.monotonic()
    store = SeriesStore(scratch)
    # Partitions that fit into memory together can be worked on together; a single one on disk may fill it.
    with ThreadPoolExecutor(1 if spill.on_disk else os.cpu_count()) as threads:
        tables = threads.map(
            lambda number: store.put(number, to_series(spill.read(number))), range(spill.partitions)
        )
        customers = pa.concat_tables(tables).sort_by("customer_id")
    cells = [bad_cells.get(name) for name in customers.column("customer_id").to_pylist()]
    customers = customers.append_column("bad_cell", pa.array(cells, pa.string()))
    log("group", started, customers=len(customers), rows_kept=store.rows)
    return customers, store


def _write_series(
    customers: pa.Table, store: SeriesStore, settings: ProcessingSettings, folder: Path
) -> pa.Table:
    """Write the series objects; return the customers with their object's number."""
    started = time.monotonic()
    ready = customers.filter(pc.greater(customers.column("rows_kept"), 0))
    rows = ready.column("rows_kept").to_numpy()
    plan = plan_objects(rows, settings.customers_per_object, settings.max_objects)
    if len(plan):
        write_objects(folder, store.of(ready), plan)
    log("write", started, objects=plan.max(initial=-1) + 1)
    numbers = np.full(len(customers), -1)
    numbers[customers.column("rows_kept").to_numpy() > 0] = plan
    return customers.append_column("object", pa.array(numbers))


def _summarise(
    run_id: str, customers: pa.Table, reports: list[FileReport], strays: dict[str, int]
) -> Summary:
    kept = customers.column("rows_kept").to_numpy()
    ready = int(np.count_nonzero(kept))
    return Summary(
        run_id=run_id,
        customers=len(kept),
        ready=ready,
        unusable=len(kept) - ready,
        rows_read=sum(report.rows for report in reports),
        rows_kept=int(kept.sum()),
        objects=int(customers.column("object").to_numpy().max(initial=-1)) + 1,
        rows_without_customer=sum(strays.values()),
        rows_without_customer_by_reason={
            reason: strays[reason] for reason in (*STRAY_REASONS.values(), "malformed")
        },
        files=[report.as_json() for report in reports],
    )


def _require_something_to_train(summary: Summary) -> None:
    rejected = [file for file in summary.files if file["status"] == "rejected"]
    if len(rejected) == len(summary.files):
        first = rejected[0]
        raise NothingToTrain(
            f"Nothing to train: none of the {len(rejected)} raw files can be used. "
            f"{first['key']}: {first['reason']}. Correct or replace them; summary.json lists every file."
        )
    if not summary.ready:
        raise NothingToTrain(
            f"Nothing to train: {summary.rows_read} rows of {summary.customers} customers were read, and no "
            "customer has a usable row. Check values and timestamps; quality.jsonl.gz lists every customer."
        )


def log(stage: str, started: float, **facts: object) -> None:
    """Print one line about a finished stage."""
    text = " ".join(f"{name}={value}" for name, value in facts.items())
    line = f"fleetcast: stage={stage} {text} seconds={time.monotonic() - started:.2f}"
    # An object key may hold bytes that no terminal can show.
    print(line.encode("utf-8", "backslashreplace").decode(), flush=True)
