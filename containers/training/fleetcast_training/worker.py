"""A worker process: trains the batches that its parent sends, until the parent goes away."""

import gc
import os
import signal
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from fleetcast_training.batches import Batch
from fleetcast_training.files import append
from fleetcast_training.ledger import to_line
from fleetcast_training.limits import memory_limit
from fleetcast_training.orphans import leave_with_parent
from fleetcast_training.settings import TrainingSettings
from fleetcast_training.trainer import Trainer

if TYPE_CHECKING:
    from ctypes import Array, c_double

# Places in the numbers that worker and parent share: when the present customer began, and whether to stop after it.
BEGAN, STOP = 0, 1


@dataclass(frozen=True)
class Desk:
    """What a worker is given once.

    Attributes:
        shared: two numbers, see BEGAN and STOP.
    """

    settings: TrainingSettings
    host: str
    checkpoints: Path
    scratch: Path
    shared: "Array[c_double]"


@dataclass(frozen=True)
class Task:
    """A batch, and the file that takes its rows: a line as soon as a customer is done."""

    batch: Batch
    rows: Path


@dataclass(frozen=True)
class Ready:
    """The worker waits for a batch: the first one, or the next."""


@dataclass(frozen=True)
class Broken:
    """The worker cannot work at all."""

    reason: str


def run_worker(connection: Connection, desk: Desk) -> None:
    """Serve the parent at the other end of the connection."""
    leave_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Fitting writes temporary files; when this process is killed the parent removes the folder.
    tempfile.tempdir = os.environ["TMPDIR"] = str(desk.scratch)
    with suppress(EOFError, BrokenPipeError, ConnectionError):  # the parent has gone away
        try:
            trainer = Trainer(desk.settings, desk.checkpoints)
            trainer.warm_up()
            # What is there now stays: the collector need not look at it again and again.
            gc.freeze()
        except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
            connection.send(Broken(f"cannot start: {type(error).__name__}: {error}"))
            return
        while True:
            connection.send(Ready())
            task = connection.recv()
            try:
                _work(task, trainer, desk)
            except OSError as error:
                connection.send(Broken(f"cannot store what it made: {error}"))
                return


def _work(task: Task, trainer: Trainer, desk: Desk) -> None:
    rows = os.open(task.rows, os.O_WRONLY | os.O_APPEND)
    try:
        customers = task.batch.load()
        with memory_limit(desk.settings.customer_memory_mb):
            for customer in customers:
                if desk.shared[STOP]:
                    return
                desk.shared[BEGAN] = began = time.monotonic()
                row = trainer.train(customer)
                append(rows, to_line(row, desk.host, round(time.monotonic() - began, 4)))
    finally:
        os.close(rows)
