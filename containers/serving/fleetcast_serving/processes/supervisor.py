"""The container's first process: forks the others, starts a worker again that dies, and sees to an orderly end.

It does nothing else, has no threads and no event loop, and so may fork at any time: a new worker shares its memory with
the others and is there in milliseconds.
"""

import gc
import os
import signal
import socket
import time
import traceback
from collections.abc import Callable, Sequence

from fleetcast_serving.processes.books import AGAIN, FIRST
from fleetcast_serving.processes.output import say
from fleetcast_serving.processes.signals import WATCHED, hold_signals

# SageMaker kills 30 seconds after SIGTERM; workers end by themselves before this.
_STOP_SECONDS = 28
# A worker that dies so soon, so often, would do so for ever.
_SOON_SECONDS = 1.0
_MOST_SOON = 5

Keep = Callable[[socket.socket], int]
Work = Callable[[socket.socket, socket.socket], int]


class Supervisor:
    """Runs the keeper, and a worker for each listening socket.

    The sockets stay open here: connections that wait for a worker that died wait for the next one.

    Args:
        keep: the keeper's process, given its control socket: each message brings the keeper's end of a new worker's
            socket, and its end is the end.
        work: a worker's process, given its listening socket and its socket to the keeper.
        listeners: one socket for each worker.
        soon_seconds: a worker that dies within this time has not really started.
    """

    def __init__(
        self,
        keep: Keep,
        work: Work,
        listeners: Sequence[socket.socket],
        soon_seconds: float = _SOON_SECONDS,
    ) -> None:
        self._keep = keep
        self._work = work
        self._listeners = list(listeners)
        self._workers: dict[int, int] = {}
        self._started: dict[int, float] = {}
        self._soon_seconds = soon_seconds
        self._died_soon = 0
        self._keeper = 0
        self._control: socket.socket
        self._stopping = False
        self._code = 0

    def run(self) -> int:
        """Run until SIGTERM, or until nothing can be served any more, and return the exit code."""
        # Blocked rather than handled: they are waited for below, and a child gets them once it is ready.
        hold_signals()
        # What was imported stays: no collector writes to its pages, and all processes share them.
        gc.freeze()
        self._control, keepers = socket.socketpair()
        self._keeper = self._fork(lambda: self._keep(keepers), keepers)
        keepers.close()
        for slot in range(len(self._listeners)):
            self._start(slot, FIRST)
        say(f"serving on {_address(self._listeners[0])}")
        # The container ends with its first process, so this one leaves last.
        while self._keeper or self._workers:
            self._on_signal(signal.sigwait(WATCHED))
        return self._code

    def _start(self, slot: int, occasion: bytes) -> None:
        listener = self._listeners[slot]
        keepers, workers = socket.socketpair()
        try:
            socket.send_fds(self._control, [occasion], [keepers.fileno()])
        except BrokenPipeError:
            workers.close()
            return  # the keeper has ended as well, which is about to be noticed
        finally:
            keepers.close()
        pid = self._fork(lambda: self._work(listener, workers), listener, workers)
        workers.close()
        self._workers[pid] = slot
        self._started[pid] = time.monotonic()

    def _fork(self, run: Callable[[], int], *kept: socket.socket) -> int:
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            # What another process holds open is not closed when its owner closes it.
            for each in (self._control, *self._listeners):
                if each not in kept:
                    each.close()
            code = run()
        except BaseException:  # noqa: BLE001 - the parent's code must not run twice
            traceback.print_exc()
        finally:
            os._exit(code)

    def _on_signal(self, number: int) -> None:
        match number:
            case signal.SIGCHLD:
                self._reap()
            case signal.SIGALRM:
                self._kill()
            case _:
                self._stop()

    def _reap(self) -> None:
        # As the container's first process it also inherits whatever loses its parent.
        while (ended := _waited())[0]:
            pid, status = ended
            code = os.waitstatus_to_exitcode(status)
            if pid == self._keeper:
                self._on_keeper_ended(code)
            elif pid in self._workers:
                self._on_worker_ended(self._workers.pop(pid), pid, code)

    def _on_worker_ended(self, slot: int, pid: int, code: int) -> None:
        lived = time.monotonic() - self._started.pop(pid)
        if not self._stopping:
            say(f"worker {pid} ended with {code}; starting it again")
            self._died_soon = self._died_soon + 1 if lived < self._soon_seconds else 0
            if self._died_soon < _MOST_SOON:
                self._start(slot, AGAIN)
                return
            say("workers end as soon as they start; giving up")
            self._code = 1
            self._stop()
        elif code:
            say(f"worker {pid} ended with {code} before it had answered everything")
            self._code = 1
        if not self._workers:
            self._control.close()

    def _on_keeper_ended(self, code: int) -> None:
        self._keeper = 0
        if not self._stopping or self._workers:
            # Nobody knows any more which models are loaded. SageMaker starts a container that ended again.
            say(f"the keeper ended with {code}; nothing can be served")
            self._stopping = True
            self._kill()
        elif code:
            self._code = 1

    def _stop(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        # Once the workers close theirs as well, nothing listens.
        for listener in self._listeners:
            listener.close()
        for pid in self._workers:
            os.kill(pid, signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, _STOP_SECONDS)
        if not self._workers:
            self._control.close()

    def _kill(self) -> None:
        self._code = 1
        for pid in (*self._workers, self._keeper):
            if pid:
                os.kill(pid, signal.SIGKILL)


def _waited() -> tuple[int, int]:
    try:
        return os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return 0, 0


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"{host}:{port}"
