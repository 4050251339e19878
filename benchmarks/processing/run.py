"""Rows per second and peak memory of the processing container, next to pandas on the same files."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.record import record, versions_of

from fleetcast_cli.synth import generate

PEER = Path(__file__).parent / "pandas_peer.py"
OURS, PANDAS = "fleetcast_processing", "pandas: read_csv, groupby, to_parquet"


@dataclass(frozen=True)
class Run:
    seconds: float
    mebibytes: float
    objects: int


def measure(folder: Path, customers: int, days: int, repeats: int) -> dict[str, dict[str, float]]:
    """Return the figures of each program on the same rows in one file and in many."""
    figures = {}
    for layout, per_file in (("one file", customers), ("many files", max(1, customers // 1000))):
        raw = folder / "raw"
        report = generate(raw, customers=customers, days=days, customers_per_file=per_file)
        ours, pandas = [], []
        for _ in range(repeats):  # interleaved, so that a busy machine is unfair to both
            ours.append(_processing(raw, folder / "ml", customers))
            pandas.append(_pandas(raw, folder / "out"))
        shutil.rmtree(raw)
        files = f"{layout} ({len(report.files):,})"
        figures[f"{OURS}, {files}"] = _figures(report.rows, ours, pandas)
        figures[f"{PANDAS}, {files}"] = _figures(report.rows, pandas, pandas)
    return figures


def _figures(rows: int, runs: list[Run], peer: list[Run]) -> dict[str, float]:
    seconds = median(run.seconds for run in runs)
    return {
        "rows": rows,
        "objects written": runs[0].objects,
        "seconds": round(seconds, 2),
        "rows per second": round(rows / seconds),
        "peak MiB": round(max(run.mebibytes for run in runs)),
        "times as fast as pandas": round(median(run.seconds for run in peer) / seconds, 2),
    }


def _processing(raw: Path, ml_root: Path, customers: int) -> Run:
    processing = ml_root / "processing"
    (processing / "input").mkdir(parents=True)
    (processing / "input" / "raw").symlink_to(raw)
    settings = {
        "FLEETCAST_ML_ROOT": str(ml_root),
        "FLEETCAST_RUN_ID": "r20260101000000-000000",
        # One object a customer, as the peer writes: the default would be fewer, and faster.
        "FLEETCAST_MAX_OBJECTS": str(customers),
    }
    seconds, mebibytes = _timed([sys.executable, "-m", "fleetcast_processing"], settings)
    return _finished(seconds, mebibytes, processing / "series", ml_root)


def _pandas(raw: Path, out: Path) -> Run:
    out.mkdir()
    seconds, mebibytes = _timed([sys.executable, str(PEER), str(raw), str(out)], {})
    return _finished(seconds, mebibytes, out, out)


def _timed(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    started = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return seconds, usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def _finished(seconds: float, mebibytes: float, written: Path, removed: Path) -> Run:
    run = Run(seconds, mebibytes, len(list(written.iterdir())))
    shutil.rmtree(removed)
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fleetcast-benchmark-") as folder:
        figures = measure(Path(folder), arguments.customers, arguments.days, arguments.repeats)
    record("processing", figures, versions_of("pyarrow", "numpy", "pandas"))


if __name__ == "__main__":
    main()
