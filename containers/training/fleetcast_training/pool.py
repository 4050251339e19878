"""Worker processes under a deadline: a customer that hangs or kills its worker costs that worker only."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Self

from fleetcast.errors import PlatformError
from fleetcast_training.channel import CustomerRows
from fleetcast_training.ledger import CRASHED, TIMED_OUT, LedgerRow
from fleetcast_training.settings import TrainingSettings
from fleetcast_training.worker import Broken, Ready, Result, run_worker

# Importing Prophet takes seconds; on a machine that starves, a minute.
_START_SECONDS = 180.0
_START_ATTEMPTS = 3
# How long a stop or a deadline may go unnoticed.
_TICK_SECONDS = 0.2


class _Worker:
    """One process, the parent's end of its connection, and the customer that it works on."""

    def __init__(self, settings: TrainingSettings, scratch: Path) -> None:
        # Spawned, not forked: numpy, Arrow and their threads do not survive a fork.
        context = get_context("spawn")
        self.scratch = scratch
        self.connection, far_end = context.Pipe()
        self.process = context.Process(target=run_worker, args=(far_end, settings, scratch), daemon=True)
        self.process.start()
        far_end.close()
        self.ready = False
        self.customer: CustomerRows | None = None
        self.deadline = time.monotonic() + _START_SECONDS

    def hand_out(self, customer: CustomerRows, seconds: float) -> None:
        self.customer = customer
        self.deadline = time.monotonic() + seconds
        # A worker that died meanwhile is found by its silence, like one that dies later.
        with suppress(OSError):
            self.connection.send(customer)

    def receive(self) -> Ready | Broken | Result | None:
        """Return the worker's message, or None if it has died."""
        try:
            message: Ready | Broken | Result = self.connection.recv()
        except (EOFError, OSError):
            return None
        return message

    def kill(self) -> None:
        if self.process.pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()  # one that has just begun has not made its group yet
        self.process.join()
        self.connection.close()
        shutil.rmtree(self.scratch, ignore_errors=True)


class WorkerPool:
    """As many workers as asked for, each replaced when it dies."""

    def __init__(self, settings: TrainingSettings, size: int) -> None:
        self._settings = settings
        self._scratch = Path(tempfile.mkdtemp(prefix="fleetcast-training-"))
        self._started = 0
        self._failed_starts = 0
        self._workers = [self._start() for _ in range(size)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.kill()
        shutil.rmtree(self._scratch, ignore_errors=True)

    @property
    def is_free(self) -> bool:
        """Whether a worker waits for a customer."""
        return any(worker.ready and worker.customer is None for worker in self._workers)

    @property
    def is_busy(self) -> bool:
        """Whether a customer is being trained."""
        return any(worker.customer is not None for worker in self._workers)

    def hand_out(self, customer: CustomerRows) -> None:
        """Give a customer to a worker that is free."""
        worker = next(worker for worker in self._workers if worker.ready and worker.customer is None)
        worker.hand_out(customer, self._settings.customer_timeout_seconds)

    def collect(self) -> list[Result]:
        """Wait a moment and return the customers that ended in it, one way or the other.

        Raises:
            PlatformError: workers cannot be started.
        """
        waiting = {worker.connection: worker for worker in self._workers}
        heard = [
            waiting[each] for each in connection.wait(list(waiting), self._patience()) if each in waiting
        ]
        return [*self._answers(heard), *self._overdue()]

    def _patience(self) -> float:
        nearest = min((worker.deadline for worker in self._workers if worker.customer), default=float("inf"))
        return min(max(nearest - time.monotonic(), 0), _TICK_SECONDS)

    def _answers(self, heard: Iterable[_Worker]) -> list[Result]:
        results = []
        for worker in heard:
            message = worker.receive()
            if isinstance(message, Result):
                worker.customer = None
                results.append(message)
            elif isinstance(message, Ready):
                worker.ready, self._failed_starts = True, 0
            elif isinstance(message, Broken):
                raise PlatformError(f"a training worker cannot start: {message.reason}")
            else:
                worker.process.join(1)
                reason = f"the customer's worker died with exit code {worker.process.exitcode}"
                results += self._replace(worker, CRASHED, reason)
        return results

    def _overdue(self) -> list[Result]:
        now = time.monotonic()
        reason = f"not finished within {self._settings.customer_timeout_seconds:g} seconds"
        late = [w for w in self._workers if now >= w.deadline and (w.customer is not None or not w.ready)]
        return [result for worker in late for result in self._replace(worker, TIMED_OUT, reason)]

    def _replace(self, worker: _Worker, status: str, reason: str) -> list[Result]:
        worker.kill()
        self._note_start(worker)
        self._workers[self._workers.index(worker)] = self._start()
        if worker.customer is None:
            return []
        row = LedgerRow(worker.customer.customer_id, status, reason, rows=len(worker.customer.values))
        return [Result(row)]

    def _note_start(self, worker: _Worker) -> None:
        self._failed_starts += not worker.ready
        if self._failed_starts >= _START_ATTEMPTS:
            code = worker.process.exitcode
            raise PlatformError(
                f"training workers die while starting (exit code {code}); is there enough memory?"
            )

    def _start(self) -> _Worker:
        self._started += 1
        scratch = self._scratch / f"worker-{self._started}"
        scratch.mkdir()
        return _Worker(self._settings, scratch)
