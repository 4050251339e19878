"""The parent's side of one worker process: its batch, the rows that it has made, its deadline."""

import os
import shutil
import signal
import time
from contextlib import suppress
from ctypes import c_double
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from fleetcast_training.batches import Batch
from fleetcast_training.settings import TrainingSettings
from fleetcast_training.worker import BEGAN, STOP, Broken, Desk, Ready, Task, run_worker

# Importing Prophet takes seconds; on a machine that starves, a minute.
_START_SECONDS = 180.0


@dataclass
class _Work:
    """A batch in a worker's hands.

    Attributes:
        rows: where its rows appear, the file that is read as it grows.
        done: the customers of the batch that are done.
    """

    batch: Batch
    rows: Path
    done: int
    begun_line: bytes = b""
    read: int = 0

    def new_rows(self) -> list[bytes]:
        """Return the rows that have been written since the last call."""
        with self.rows.open("rb") as file:
            file.seek(self.read)
            fresh = file.read()
        self.read += len(fresh)
        *lines, self.begun_line = (self.begun_line + fresh).split(b"\n")
        self.done += len(lines)
        return [line + b"\n" for line in lines]


@dataclass
class WorkerProcess:
    """One process, and whatever the parent has to know to do without it."""

    settings: TrainingSettings
    host: str
    checkpoints: Path
    scratch: Path
    ready: bool = False
    work: _Work | None = None
    _started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.scratch.mkdir()
        # Spawned, not forked: numpy, Arrow and their threads do not survive a fork.
        context = get_context("spawn")
        self._shared = context.RawArray(c_double, 2)
        self.connection, far_end = context.Pipe()
        desk = Desk(self.settings, self.host, self.checkpoints, self.scratch, self._shared)
        self.process = context.Process(target=run_worker, args=(far_end, desk), daemon=True)
        self.process.start()
        far_end.close()

    @property
    def is_idle(self) -> bool:
        return self.ready and self.work is None

    @property
    def deadline(self) -> float:
        """When to lose patience, by time.monotonic: with its start, or with its present customer."""
        if self.work is not None:
            return self._shared[BEGAN] + self.settings.customer_timeout_seconds
        return float("inf") if self.ready else self._started + _START_SECONDS

    def hand_out(self, batch: Batch) -> None:
        rows = self.scratch / f"{batch.path.name}-rows"
        rows.touch()
        self.work = _Work(batch, rows, batch.first)
        self._shared[BEGAN] = time.monotonic()
        # A worker that died meanwhile is found by its silence, like one that dies later.
        with suppress(OSError):
            self.connection.send(Task(batch, rows))

    def new_rows(self) -> list[bytes]:
        """Return the rows of customers that are done since the last call."""
        return self.work.new_rows() if self.work else []

    def put_down(self) -> Batch | None:
        """Take the work from the worker; return the batch from the first customer without a row, if there is one."""
        if self.work is None:
            return None
        work, self.work = self.work, None
        work.rows.unlink()
        if work.done < len(work.batch):
            return work.batch.beginning_at(work.done)
        work.batch.path.unlink()
        return None

    def receive(self) -> Ready | Broken | None:
        """Return the worker's message, or None if it has died."""
        try:
            message: Ready | Broken = self.connection.recv()
        except (EOFError, OSError):
            return None
        return message

    def stop_after_customer(self) -> None:
        self._shared[STOP] = 1

    def kill(self) -> None:
        if self.process.pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()  # one that has just begun has not made its group yet
        self.process.join()
        self.connection.close()

    def clean_up(self) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)
