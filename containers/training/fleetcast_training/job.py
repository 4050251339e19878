"""One host's share of a training job, from the channel to the artifacts and the ledger."""

import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Event
from typing import Any

from fleetcast.errors import DataError
from fleetcast_training.artifacts import ArtifactFolder
from fleetcast_training.batches import Batches, CustomerRows
from fleetcast_training.channel import Channel
from fleetcast_training.files import remove_leftovers, write_atomically
from fleetcast_training.ledger import Ledger
from fleetcast_training.pool import WorkerPool
from fleetcast_training.progress import Progress
from fleetcast_training.settings import Host, TrainingSettings

# SIGTERM leaves 20 seconds: what is being fitted may use half of them.
_FINISH_SECONDS = 10.0


class Stopped(Exception):
    """The platform asked the job to stop; what was finished is stored."""


@dataclass(frozen=True)
class Folders:
    """Where SageMaker lays the job's input and collects its output."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "input" / "config"

    @property
    def series(self) -> Path:
        return self.root / "input" / "data" / "series"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def failure(self) -> Path:
        return self.root / "output" / "failure"


class TrainingJob:
    """Trains every customer of this host that has no model of this run yet."""

    def __init__(self, folders: Folders, settings: TrainingSettings, host: Host, stop: Event) -> None:
        self._folders = folders
        self._settings = settings
        self._host = host
        self._stop = stop
        self._ledger = Ledger(folders.checkpoints / "_ledger", host.name)
        self._channel = Channel(folders.series)
        self._seen: set[str] = set()

    def run(self) -> None:
        """Train, and store the job's summary.

        Raises:
            DataError: there was nothing to train in the whole job, or an object could not be read.
            PlatformError: workers cannot be started.
            Stopped: the stop event was set.
        """
        total = self._channel.count()
        with WorkerPool(
            self._settings, self._host.name, self._folders.checkpoints, self._workers(total)
        ) as pool:
            self.run_with(pool, total)

    def run_with(self, pool: WorkerPool, customers: int) -> None:
        """Do the same with workers that run already; `customers` are in the channel."""
        self._folders.checkpoints.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self._folders.checkpoints)
        remove_leftovers(self._folders.checkpoints / "_ledger")
        stored = ArtifactFolder(self._folders.checkpoints, self._settings.run_id)
        finished = self._ledger.resume(lambda customer_id: stored.model_of(customer_id) is not None)
        progress = Progress(customers)
        self._train_all(pool, progress, finished)
        progress.finish()
        self._write_summary(progress)
        self._check_outcome(progress)

    def _workers(self, customers: int) -> int:
        cores = self._settings.workers or os.cpu_count() or 1
        return 0 if self._channel.is_empty else min(cores, max(customers, 1))

    def _train_all(
        self, pool: WorkerPool, progress: Progress, finished: Mapping[str, Mapping[str, Any]]
    ) -> None:
        batches = Batches(pool.scratch, max(pool.size, 1), lambda: progress.total - len(self._seen))
        for batch in batches.of(self._to_train(progress, finished)):
            while not pool.is_free and not self._stop.is_set():
                self._note(pool.collect(), progress)
            if self._stop.is_set():
                break
            pool.hand_out(batch)
        while pool.is_busy and not self._stop.is_set():
            self._note(pool.collect(), progress)
        if self._stop.is_set():
            self._note(pool.finish(_FINISH_SECONDS), progress)
            raise Stopped

    def _note(self, lines: list[bytes], progress: Progress) -> None:
        self._ledger.append(lines)
        for row in json.loads(b"[%b]" % b",".join(lines)):
            progress.note(row)

    def _to_train(
        self, progress: Progress, finished: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[CustomerRows]:
        """Yield the customers that have no model yet, each once."""
        for customer in self._channel.customers():
            if customer.customer_id in self._seen:
                print(
                    f"fleetcast: {customer.customer_id!r} appears twice; its later rows are ignored",
                    flush=True,
                )
                continue
            self._seen.add(customer.customer_id)
            # An artifact whose row is lost is made again, byte for byte, for the row's sake.
            if customer.customer_id in finished:
                progress.note(finished[customer.customer_id])
            else:
                yield customer

    def _write_summary(self, progress: Progress) -> None:
        summary = {
            "run_id": self._settings.run_id,
            "host": self._host.name,
            "customers": progress.done,
            "trained": progress.trained,
            "failed": progress.failed,
            "settings": asdict(self._settings),
            "versions": _versions(),
        }
        self._folders.model.mkdir(parents=True, exist_ok=True)
        path = self._folders.model / f"run-{self._host.name}.json"
        write_atomically(path, json.dumps(summary, indent=1).encode())

    def _check_outcome(self, progress: Progress) -> None:
        if self._channel.unreadable:
            others = len(self._channel.unreadable) - 1
            raise DataError(
                self._channel.unreadable[0] + (f" (and {others} other objects)" if others else "")
            )
        if progress.done == 0 and self._host.count == 1:
            raise DataError("the channel `series` holds no customer; there is nothing to train")


def _versions() -> dict[str, str | None]:
    return {"python": platform.python_version(), **{name: _version(name) for name in ("prophet", "numpy")}}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
