"""A folder that looks like the inside of a processing container, and the real container process run on it."""

import gzip
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fleetcast_processing.job import Folders, run
from fleetcast_processing.settings import ProcessingSettings

RUN_ID = "r20260131020000-0a1b2c"
HEADER = "customer_id,timestamp,consumption\n"
Reading = tuple[datetime, float]

# Linux counts the memory of the process that forks as the child's own. The test runner is large: something small
# has to start the job, or the runner is measured.
MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


@dataclass(frozen=True)
class Outcome:
    code: int
    message: str
    log: str
    ml_root: Path

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads((self.ml_root / "processing/quality/summary.json").read_text())
        return summary

    @property
    def quality(self) -> dict[str, dict[str, Any]]:
        return quality_in(self.ml_root)

    @property
    def objects(self) -> dict[str, pa.Table]:
        return {
            path.name: pq.read_table(path) for path in sorted((self.ml_root / "processing/series").iterdir())
        }

    @property
    def series(self) -> dict[str, list[Reading]]:
        return series_in(self.ml_root)

    def file(self, key: str) -> dict[str, Any]:
        return next(file for file in self.summary["files"] if file["key"] == key)


def quality_in(ml_root: Path) -> dict[str, dict[str, Any]]:
    lines = (
        gzip.decompress((ml_root / "processing/quality/quality.jsonl.gz").read_bytes()).decode().splitlines()
    )
    rows = [json.loads(line) for line in lines]
    assert len({row["customer_id"] for row in rows}) == len(rows)
    return {row["customer_id"]: row for row in rows}


def series_in(ml_root: Path) -> dict[str, list[Reading]]:
    series: dict[str, list[Reading]] = {}
    for path in sorted((ml_root / "processing/series").iterdir()):
        for row in pq.read_table(path).to_pylist():
            series.setdefault(row["customer_id"], []).append((row["timestamp"], row["consumption"]))
    return series


class ProcessingRoot:
    """The `/opt/ml` of a processing job."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for folder in ("processing/input/raw", "processing/series", "processing/quality", "output"):
            (path / folder).mkdir(parents=True)

    def put(self, name: str, content: str | bytes) -> None:
        """Put an object under raw/; text becomes UTF-8, and a name in .gz is packed unless it is bytes already."""
        path = self.path / "processing/input/raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = gzip.compress(content.encode()) if name.endswith(".gz") else content.encode()
        path.write_bytes(content)

    def put_rows(self, name: str, *rows: str) -> None:
        self.put(name, HEADER + "".join(f"{row}\n" for row in rows))

    def start(self, *launcher: str, **environment: str) -> subprocess.Popen[str]:
        ours = {"FLEETCAST_ML_ROOT": str(self.path), "FLEETCAST_RUN_ID": RUN_ID, "PATH": os.environ["PATH"]}
        return subprocess.Popen(
            [*launcher, sys.executable, "-m", "fleetcast_processing"],
            env=ours | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def outcome(self, process: subprocess.Popen[str]) -> Outcome:
        log, _ = process.communicate(timeout=120)
        message = (self.path / "output/message").read_bytes()
        assert len(message) <= 1024
        return Outcome(process.returncode, message.decode(), log, self.path)

    def run_measured(self) -> tuple[Outcome, int]:
        """Return the outcome and the job's peak memory in KiB."""
        outcome = self.outcome(self.start(sys.executable, "-c", MEASURE))
        *log, kibibytes = outcome.log.splitlines()
        return replace(outcome, log="\n".join(log)), int(kibibytes)

    def run(self, **environment: str) -> Outcome:
        outcome = self.outcome(self.start(**environment))
        assert "Traceback" not in outcome.log, outcome.log
        assert not list((self.path / "processing").glob(".spill*")), "the spill was left behind"
        return outcome


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def process(root: ProcessingRoot, **settings: Any) -> Outcome:
    """Run the job inside this process: for cases that need no process of their own."""
    run(ProcessingSettings(RUN_ID, **settings), Folders.below(root.path))
    return Outcome(0, "", "", root.path)
