"""One host's share of a training job, from the channel to the artifacts and the ledger."""

import json
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Event

from fleetcast.domain.names import artifact_name
from fleetcast.errors import DataError
from fleetcast_engine import Series, unpack
from fleetcast_engine.errors import ArtifactError, SeriesError
from fleetcast_engine.model import FittedModel
from fleetcast_training.channel import Channel, CustomerRows
from fleetcast_training.files import remove_leftovers, write_atomically
from fleetcast_training.ledger import NAME_COLLISION, Ledger, LedgerRow
from fleetcast_training.pool import WorkerPool
from fleetcast_training.progress import Progress
from fleetcast_training.settings import Host, TrainingSettings
from fleetcast_training.worker import Result

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
        self._folders.checkpoints.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self._folders.checkpoints)
        remove_leftovers(self._folders.checkpoints / "_ledger")
        finished = self._ledger.resume()
        progress = Progress(self._channel.count())
        with WorkerPool(self._settings, self._workers(progress.total)) as pool:
            self._train_all(pool, progress, finished)
        progress.finish()
        self._write_summary(progress)
        self._check_outcome(progress)

    def _workers(self, customers: int) -> int:
        cores = self._settings.workers or os.cpu_count() or 1
        return 0 if self._channel.is_empty else min(cores, max(customers, 1))

    def _train_all(self, pool: WorkerPool, progress: Progress, finished: set[str]) -> None:
        for customer in self._to_train(progress, finished):
            while not pool.is_free and not self._stop.is_set():
                self._store(pool.collect(), progress)
            if self._stop.is_set():
                break
            pool.hand_out(customer)
        last_moment = time.monotonic() + _FINISH_SECONDS
        while pool.is_busy and not (self._stop.is_set() and time.monotonic() > last_moment):
            if not self._stop.is_set():
                last_moment = time.monotonic() + _FINISH_SECONDS
            self._store(pool.collect(), progress)
        if self._stop.is_set():
            raise Stopped

    def _to_train(self, progress: Progress, finished: set[str]) -> Iterator[CustomerRows]:
        """Yield the customers that need a fit; the others are settled on the way."""
        for customer in self._channel.customers():
            if customer.customer_id in self._seen:
                print(
                    f"fleetcast: {customer.customer_id!r} appears twice; its later rows are ignored",
                    flush=True,
                )
                continue
            self._seen.add(customer.customer_id)
            row = self._settled(customer)
            if row is None:
                yield customer
                continue
            if row.status == NAME_COLLISION or customer.customer_id not in finished:
                self._ledger.append(row)
            progress.note(row)

    def _settled(self, customer: CustomerRows) -> LedgerRow | None:
        """Return the row of a customer whose artifact is there already, or None if it has to be trained."""
        path = self._folders.checkpoints / artifact_name(customer.customer_id)
        model = _stored_model(path)
        if model is None:
            return None
        if model.customer_id != customer.customer_id:
            return _collision(customer.customer_id, len(customer.values), path, model)
        if model.run_id != self._settings.run_id:
            return None
        return _row_again(model, customer).stored(path.name, path.stat().st_size)

    def _store(self, results: list[Result], progress: Progress) -> None:
        for result in results:
            row = result.row
            if result.artifact is not None:
                row = self._store_artifact(row, result.artifact)
            self._ledger.append(row)
            progress.note(row)

    def _store_artifact(self, row: LedgerRow, artifact: bytes) -> LedgerRow:
        path = self._folders.checkpoints / artifact_name(row.customer_id)
        # Asked again: where file names ignore case, another customer may have taken the name meanwhile.
        stored = _stored_model(path)
        if stored is not None and stored.customer_id != row.customer_id:
            return _collision(row.customer_id, row.rows, path, stored)
        # The artifact before the row: a job that dies in between rebuilds the row from it.
        write_atomically(path, artifact)
        return row.stored(path.name, len(artifact))

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


def _stored_model(path: Path) -> FittedModel | None:
    """Return the model of an artifact; one that is missing or broken is none."""
    try:
        return unpack(path.read_bytes()).model
    except (FileNotFoundError, ArtifactError):
        return None


def _collision(customer_id: str, rows: int | None, path: Path, owner: FittedModel) -> LedgerRow:
    reason = f"{path.name} is already the model of another customer, {owner.customer_id!r}"
    return LedgerRow(customer_id, NAME_COLLISION, reason, rows=rows)


def _row_again(model: FittedModel, customer: CustomerRows) -> LedgerRow:
    try:
        rows = len(Series.from_arrays(customer.customer_id, customer.timestamps, customer.values))
    except SeriesError:
        rows = 0
    return LedgerRow.of_model(model, rows)


def _versions() -> dict[str, str | None]:
    return {"python": platform.python_version(), **{name: _version(name) for name in ("prophet", "numpy")}}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
