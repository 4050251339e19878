"""The whole fleet path, next to stock Prophet: from raw CSV to one stored model per customer, on two processes.

Three questions: how many customers a second without tuning, against stock Prophet doing the same from the same CSV;
how long the whole pipeline takes for 1,000 customers of two years; and what a customer costs when there are many.
"""

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from statistics import median
from threading import Event
from typing import Any

from benchmarks.engine.fleet_data import write_fleet, write_shape
from benchmarks.engine.fleet_memory import PeakMemory
from benchmarks.engine.fleet_picture import draw, save_svg
from benchmarks.engine.fleet_stock import stock_models, warm_up_stock
from benchmarks.engine.shapes import daily, hourly, irregular
from benchmarks.record import RESULTS, record, versions_of

from fleetcast_engine import Series
from fleetcast_processing.job import Folders as ProcessingFolders
from fleetcast_processing.job import run as process
from fleetcast_processing.settings import ProcessingSettings
from fleetcast_training.job import Folders as TrainingFolders
from fleetcast_training.job import TrainingJob
from fleetcast_training.pool import WorkerPool
from fleetcast_training.settings import Host, TrainingSettings

RUN_ID = "r20260131020000-0a1b2c"
PROCESSES = 2
UNTUNED, TUNED = 0, 26
# Shape, how many customers ours gets in a turn, and how many stock Prophet.
SHAPES: dict[str, tuple[Callable[[int], Series], int, int]] = {
    "365 daily": (daily, 4000, 12),
    "1,000 irregular over 2 years": (irregular, 1500, 6),
    "8,760 hourly": (hourly, 300, 2),
}
WHOLE_CUSTOMERS, WHOLE_DAYS = 1000, 730
FLEETS = (1_000, 10_000, 100_000)
FLEET_DAYS = 365


class OurFleet:
    """The two containers' own code with workers that are already running."""

    def __init__(self, root: Path, origins: int) -> None:
        self._root = root
        self._turn = 0
        self._settings = TrainingSettings(RUN_ID, origins=origins, workers=PROCESSES)
        self._folders = TrainingFolders(root)
        self._pool = WorkerPool(self._settings, "algo-1", self._folders.checkpoints, PROCESSES)
        while not all(worker.ready for worker in self._pool._workers):  # noqa: SLF001 - warmed, as stock is
            self._pool.collect()

    def close(self) -> None:
        self._pool.__exit__()

    def train(self, raw: Path) -> dict[str, float]:
        """Return the seconds of each half; the models lie below the root's checkpoints."""
        self._clear(raw)
        began = time.perf_counter()
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123 - a device
            summary = process(
                ProcessingSettings(RUN_ID, customers_per_object=500), ProcessingFolders.below(self._root)
            )
            prepared = time.perf_counter()
            job = TrainingJob(self._folders, self._settings, Host("algo-1", 1), Event())
            job.run_with(self._pool, summary.ready)
        done = time.perf_counter()
        made = sum(1 for _ in self._folders.checkpoints.glob("*.tar.gz"))
        if made != summary.customers:
            raise RuntimeError(f"{made} models for {summary.customers} customers")
        return {"prepare": prepared - began, "train": done - prepared, "all": done - began}

    def _clear(self, raw: Path) -> None:
        """Begin in new folders. The old ones stay: where files were just deleted, ext4 makes new ones slowly."""
        self._turn += 1
        for name in ("processing", "input", "checkpoints", "model"):
            link, folder = self._root / name, self._root / f"turn-{self._turn}" / name
            folder.mkdir(parents=True)
            link.unlink(missing_ok=True)
            link.symlink_to(folder)
        (self._root / "processing" / "input").mkdir()
        (self._root / "processing" / "input" / "raw").symlink_to(raw)
        (self._root / "input" / "data").mkdir()
        (self._root / "input" / "data" / "series").symlink_to(self._root / "processing" / "series")


@contextlib.contextmanager
def our_fleet(folder: Path, origins: int) -> Iterator[OurFleet]:
    root = Path(tempfile.mkdtemp(dir=folder))
    fleet = OurFleet(root, origins)
    try:
        yield fleet
    finally:
        fleet.close()


def compare(folder: Path, stock: Pool, shape: str, repeats: int, share: float) -> dict[str, float]:
    """Return customers per second from CSV to tar.gz, ours untuned and stock Prophet, interleaved."""
    make, ours_count, stock_count = SHAPES[shape]
    ours_count = max(20, int(ours_count * share))
    raw = folder / shape.replace(" ", "-").replace(",", "")
    raw.mkdir()
    write_shape(raw / "fleet.csv", make, range(ours_count))
    parts = [folder / f"{raw.name}-stock-{part}.csv" for part in range(PROCESSES)]
    for part, path in enumerate(parts):
        write_shape(path, make, range(1000 * part, 1000 * part + stock_count))
    ours, prepare, theirs = [], [], []
    with our_fleet(folder, UNTUNED) as fleet:
        fleet.train(raw)  # the first turn imports and reads from the disk, as stock Prophet's did
        for _ in range(repeats):
            took = fleet.train(raw)
            ours.append(ours_count / took["all"])
            prepare.append(took["prepare"] / took["all"])
            began = time.perf_counter()
            stock.map(stock_models, parts, chunksize=1)
            theirs.append(PROCESSES * stock_count / (time.perf_counter() - began))
    return {
        "stock Prophet, customers/s": round(median(theirs), 2),
        "ours, customers/s": round(median(ours)),
        "times as fast": round(median(a / b for a, b in zip(ours, theirs, strict=True))),
        "share of reading and checking, %": round(100 * median(prepare)),
    }


def whole(folder: Path, stock: Pool, customers: int, repeats: int) -> dict[str, float]:
    """Return the seconds of the tuned pipeline, and those of one untuned fit each by stock Prophet."""
    raw = folder / "whole"
    raw.mkdir()
    write_fleet(raw, customers, WHOLE_DAYS)
    sample = folder / "whole-stock.csv"
    write_shape(sample, lambda seed: daily(seed, WHOLE_DAYS), range(6))
    took, rates = [], []
    with our_fleet(folder, TUNED) as fleet:
        for _ in range(repeats):
            took.append(fleet.train(raw))
            began = time.perf_counter()
            stock.map(stock_models, [sample] * PROCESSES, chunksize=1)
            rates.append(6 * PROCESSES / (time.perf_counter() - began))
    ours, theirs = median(one["all"] for one in took), customers / median(rates)
    return {
        "customers": customers,
        "days each": WHOLE_DAYS,
        "seconds": round(ours, 1),
        "of them reading and checking": round(median(one["prepare"] for one in took), 1),
        "stock Prophet, one untuned fit each, seconds": round(theirs, 1),
        "share of stock Prophet's time": round(ours / theirs, 2),
    }


def many(folder: Path, customers: int, origins: int) -> dict[str, float]:
    """Return what a customer of a fleet costs, and the most memory that all processes held together."""
    raw = folder / f"fleet-{customers}"
    raw.mkdir()
    write_fleet(raw, customers, FLEET_DAYS)
    with our_fleet(folder, origins) as fleet, PeakMemory() as memory:
        took = fleet.train(raw)
    return {
        "customers": customers,
        "seconds": round(took["all"], 1),
        "ms per customer": round(1000 * took["all"] / customers, 3),
        "peak MiB of all processes": round(memory.mebibytes),
    }


def _file_system(folder: Path) -> str:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return max((point, kind) for _, point, kind, *_ in mounts if folder.is_relative_to(point))[1]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a tenth of the customers, once; no 100,000")
    parser.add_argument("--most", type=int, default=FLEETS[-1], help="no fleet larger than this")
    parser.add_argument(
        "--scratch", type=Path, help="where data and models lie; making files is part of the figures"
    )
    parser.add_argument("--tuned", action="store_true", help="tune the large fleets too: hours")
    given = parser.parse_args(arguments)
    repeats, share = (1, 0.1) if given.quick else (given.repeats, 1.0)
    fleets = [size for size in FLEETS if size <= (10_000 if given.quick else given.most)]
    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(dir=given.scratch) as scratch:
        folder = Path(scratch)
        system = _file_system(folder)
        with get_context("spawn").Pool(PROCESSES) as stock:
            stock.map(warm_up_stock, range(PROCESSES), chunksize=1)
            for shape in SHAPES:
                figures[f"{shape}, CSV to tar.gz"] = compare(folder, stock, shape, repeats, share)
            figures["the whole, tuned"] = whole(folder, stock, int(WHOLE_CUSTOMERS * share), repeats)
        # Only now: stock Prophet's processes are not to be counted.
        for size in fleets:
            figures[f"a fleet of {size:,}"] = many(folder, size, TUNED if given.tuned else UNTUNED)
    versions = versions_of("prophet", "numpy", "numba", "pyarrow")
    record("engine-fleet", figures, {**versions, "file system": system})
    points = [figures[f"a fleet of {size:,}"] for size in fleets]
    print(draw(points))
    save_svg(points, RESULTS / "engine-fleet.svg")


if __name__ == "__main__":
    main()
