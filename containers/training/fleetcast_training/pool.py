"""Worker processes under limits: a customer that hangs or kills its worker costs that worker only."""

import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Iterable
from multiprocessing import connection
from pathlib import Path
from typing import Self

from fleetcast.errors import PlatformError
from fleetcast_training.artifacts import ArtifactFolder
from fleetcast_training.batches import Batch
from fleetcast_training.ledger import CRASHED, TIMED_OUT, LedgerRow, to_line
from fleetcast_training.process import WorkerProcess
from fleetcast_training.settings import TrainingSettings
from fleetcast_training.worker import Broken, Ready

_START_ATTEMPTS = 3
# How long a stop, a deadline or a finished customer may go unnoticed.
_TICK_SECONDS = 0.2


class WorkerPool:
    """As many workers as asked for, each replaced when it dies.

    Attributes:
        scratch: a folder for batches; it ends with the pool.
    """

    def __init__(self, settings: TrainingSettings, host: str, checkpoints: Path, size: int) -> None:
        self._settings = settings
        self._host = host
        self._checkpoints = checkpoints
        self.scratch = Path(tempfile.mkdtemp(prefix="fleetcast-training-"))
        self._started = 0
        self._failed_starts = 0
        # What a worker left behind when it was cut off: the first to be handed out again.
        self._left: deque[Batch] = deque()
        # Each worker is one core's; a linear algebra that starts threads would only make them wait.
        for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(variable, "1")
        self._workers = [self._start() for _ in range(size)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.kill()
        shutil.rmtree(self.scratch, ignore_errors=True)

    @property
    def size(self) -> int:
        return len(self._workers)

    @property
    def is_free(self) -> bool:
        """Whether a worker waits for a batch, and none is left from another worker."""
        return not self._left and any(worker.is_idle for worker in self._workers)

    @property
    def is_busy(self) -> bool:
        """Whether customers are being trained, or wait for another worker."""
        return bool(self._left) or any(worker.work is not None for worker in self._workers)

    def hand_out(self, batch: Batch) -> None:
        """Give a batch to a worker that is free."""
        next(worker for worker in self._workers if worker.is_idle).hand_out(batch)

    def collect(self) -> list[bytes]:
        """Wait a moment and return the ledger's lines of the customers that ended in it, one way or the other.

        Raises:
            PlatformError: workers cannot be started, or not store what they make.
        """
        waiting = {worker.connection: worker for worker in self._workers}
        heard = [
            waiting[each] for each in connection.wait(list(waiting), self._patience()) if each in waiting
        ]
        lines = [*self._answers(heard), *self._overdue()]
        lines += [line for worker in self._workers for line in worker.new_rows()]
        while self._left and (idle := next((w for w in self._workers if w.is_idle), None)):
            idle.hand_out(self._left.popleft())
        return lines

    def finish(self, seconds: float) -> list[bytes]:
        """Let every worker end with its present customer, in this time at most; return the last lines."""
        self._left.clear()
        for worker in self._workers:
            worker.stop_after_customer()
        lines, last_moment = [], time.monotonic() + seconds
        while self.is_busy and time.monotonic() < last_moment:
            lines += self.collect()
            self._left.clear()
        for worker in self._workers:
            worker.kill()
            lines += worker.new_rows()
        return lines

    def _patience(self) -> float:
        nearest = min((worker.deadline for worker in self._workers), default=float("inf"))
        return min(max(nearest - time.monotonic(), 0), _TICK_SECONDS)

    def _answers(self, heard: Iterable[WorkerProcess]) -> list[bytes]:
        lines = []
        for worker in heard:
            message = worker.receive()
            if isinstance(message, Ready):
                lines += worker.new_rows()
                worker.put_down()
                worker.ready, self._failed_starts = True, 0
            elif isinstance(message, Broken):
                raise PlatformError(f"a training worker {message.reason}")
            else:
                worker.process.join(1)
                reason = f"the customer's worker died with exit code {worker.process.exitcode}"
                lines += self._cut_off(worker, CRASHED, reason)
        return lines

    def _overdue(self) -> list[bytes]:
        reason = f"not finished within {self._settings.customer_timeout_seconds:g} seconds"
        late = [worker for worker in self._workers if time.monotonic() >= worker.deadline]
        return [line for worker in late for line in self._cut_off(worker, TIMED_OUT, reason)]

    def _cut_off(self, worker: WorkerProcess, status: str, reason: str) -> list[bytes]:
        """Replace a worker; its customer becomes a row, and the rest of its batch waits for another worker."""
        worker.kill()
        self._note_start(worker)
        lines = worker.new_rows()
        # In the last moment it may have gone on to another customer, who is not to blame.
        in_time = status == TIMED_OUT and time.monotonic() < worker.deadline
        rest = worker.put_down()
        worker.clean_up()
        self._workers[self._workers.index(worker)] = self._start()
        if rest is not None and not in_time:
            lines.append(self._give_up(rest, status, reason))
            rest = rest.beginning_at(rest.first + 1) if rest.first + 1 < len(rest) else None
        if rest is not None:
            self._left.append(rest)
        return lines

    def _give_up(self, batch: Batch, status: str, reason: str) -> bytes:
        customer_id = batch.customer_ids[batch.first]
        # It may have died between artifact and row; without the row nobody may use it.
        ArtifactFolder(self._checkpoints, self._settings.run_id).discard(customer_id)
        row = LedgerRow(customer_id, status, reason, rows=batch.rows_of(batch.first))
        return to_line(row, self._host)

    def _note_start(self, worker: WorkerProcess) -> None:
        self._failed_starts += not worker.ready
        if self._failed_starts >= _START_ATTEMPTS:
            code = worker.process.exitcode
            raise PlatformError(
                f"training workers die while starting (exit code {code}); is there enough memory?"
            )

    def _start(self) -> WorkerProcess:
        self._started += 1
        scratch = self.scratch / f"worker-{self._started}"
        return WorkerProcess(self._settings, self._host, self._checkpoints, scratch)
