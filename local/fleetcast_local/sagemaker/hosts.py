"""The hosts of one job: started together, watched together, ended together."""

import enum
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from fleetcast_local.sandbox import Child, Sandbox, run

logger = logging.getLogger(__name__)

_TICK = 0.05


class End(enum.Enum):
    """Why a job's hosts are no longer running."""

    EXITED = "exited"
    STOPPED = "stopped"
    MAX_RUNTIME = "max runtime"
    MAX_WAIT = "max wait"
    INTERRUPTED = "interrupted"
    SHUTDOWN = "shutdown"


class Control:
    """What others may ask of a running job, from any thread."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.interrupt = threading.Event()
        self.shutdown = threading.Event()
        self.cancelled = threading.Event()
        """Set with any of the others: whoever copies data looks at this one."""

    def ask(self, event: threading.Event) -> None:
        event.set()
        self.cancelled.set()

    def resume(self) -> None:
        """Forget an interruption, before the hosts start again."""
        self.interrupt.clear()
        if not (self.stop.is_set() or self.shutdown.is_set()):
            self.cancelled.clear()

    def reason(self) -> End | None:
        for event, end in (
            (self.shutdown, End.SHUTDOWN),
            (self.stop, End.STOPPED),
            (self.interrupt, End.INTERRUPTED),
        ):
            if event.is_set():
                return end
        return None


@dataclass
class Host:
    """One host: its name, its files, its log and, once started, its process."""

    name: str
    sandbox: Sandbox
    log: Path
    child: Child | None = None
    log_start: int = field(default=0)

    def launch(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self.log_start = self.log.stat().st_size if self.log.exists() else 0
        self.child = run(self.sandbox, argv, environment, self.log)

    @property
    def exit_code(self) -> int | None:
        return self.child.poll() if self.child else None


class Hosts:
    """Waits for all hosts of a job; one that fails ends the others."""

    def __init__(self, hosts: list[Host], control: Control, grace: float) -> None:
        self._hosts = hosts
        self._control = control
        self._grace = grace
        self._first_failed: Host | None = None

    def wait(self, limits: Mapping[End, float]) -> End:
        """Return why the hosts ended; limits are moments of time.monotonic."""
        try:
            end = self._watch(limits)
        except BaseException:
            self._kill()
            raise
        if end in {End.INTERRUPTED, End.SHUTDOWN}:
            self._kill()
        else:
            self._stop()
        return end

    def failed(self) -> Host | None:
        """Return a host with an exit code other than 0, the one that came first if it could be told."""
        return self._first_failed

    def _watch(self, limits: Mapping[End, float]) -> End:
        while True:
            codes = [(host, host.exit_code) for host in self._hosts]
            self._first_failed = next((host for host, code in codes if code), None)
            if self._first_failed is not None or all(code == 0 for _, code in codes):
                return End.EXITED
            reason = self._control.reason()
            if reason is not None:
                return reason
            first, moment = min(limits.items(), key=lambda limit: limit[1])
            if time.monotonic() >= moment:
                return first
            time.sleep(_TICK)

    def _stop(self) -> None:
        for host in self._hosts:
            if host.child:
                host.child.terminate()
        deadline = time.monotonic() + self._grace
        for host in self._hosts:
            # A shutdown of the local cloud does not sit out a job's grace.
            while (
                host.exit_code is None and time.monotonic() < deadline and not self._control.shutdown.is_set()
            ):
                time.sleep(_TICK)
        self._kill()

    def _kill(self) -> None:
        for host in self._hosts:
            if host.child:
                host.child.kill()


class Periodic:
    """Calls a function again and again beside the hosts, until closed."""

    def __init__(self, function: Callable[[], None], seconds: float, name: str) -> None:
        self._function = function
        self._seconds = seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while not self._done.wait(self._seconds):
            try:
                self._function()
            except Exception:
                logger.exception("%s failed and is tried again", self._thread.name)
