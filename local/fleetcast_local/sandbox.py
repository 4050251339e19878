"""A host without a container: its own `/opt/ml` tree, a clean environment and its own process group."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from fleetcast_local.processes import MARK

_ML = PurePosixPath("/opt/ml")
# What a process cannot run without on this machine; nothing of the user's own settings.
_INHERITED = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", MARK)


class Sandbox:
    """One host's file tree."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def ml(self) -> Path:
        return self.root / "opt" / "ml"

    @classmethod
    def create(cls, root: Path, *folders: str) -> "Sandbox":
        """Make an empty tree; folders are paths below `/opt/ml`."""
        sandbox = cls(root)
        sandbox.remove()
        for folder in ("", *folders):
            (sandbox.ml / folder).mkdir(parents=True, exist_ok=True)
        (root / "tmp").mkdir()
        return sandbox

    def path(self, container_path: str) -> Path:
        """Translate a path of the container, which must be below `/opt/ml`, to this machine's."""
        wanted = PurePosixPath(container_path)
        if _ML not in (wanted, *wanted.parents) or ".." in wanted.parts:
            raise ValueError(f"{container_path} is not below {_ML}")
        return self.ml.joinpath(*wanted.relative_to(_ML).parts)

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


class Child:
    """A process started in its own group; ending it ends whatever it started."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        """Return None while running, then the exit code as a container's would be (128 + signal)."""
        with self._lock:
            running = self._process.returncode is None
            code = self._process.poll()
            if running and code is not None:
                self._signal_group(signal.SIGKILL)
        if code is None:
            return None
        return 128 - code if code < 0 else code

    def wait(self, seconds: float) -> int | None:
        """Wait at most that long; return as poll does."""
        deadline = time.monotonic() + seconds
        while (code := self.poll()) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return code

    def terminate(self) -> None:
        """Send SIGTERM to the first process only, as a container engine does."""
        with self._lock:
            if self._process.returncode is None:
                self._process.terminate()

    def kill(self) -> None:
        """End the whole group without notice, and wait for it."""
        with self._lock:
            if self._process.returncode is None:
                self._signal_group(signal.SIGKILL)
        self.wait(10)

    def stop(self, grace: float) -> int | None:
        """SIGTERM, then SIGKILL when the grace is over."""
        self.terminate()
        if self.wait(grace) is None:
            self.kill()
        return self.poll()

    def _signal_group(self, kind: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, kind)


def base_environment(home: Path) -> dict[str, str]:
    """Return what every process of the local cloud starts from."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    tools = str(Path(sys.executable).parent)
    return {
        "PATH": os.pathsep.join([tools, os.environ.get("PATH", os.defpath)]),
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUNBUFFERED": "1",
        "PYTHONNOUSERSITE": "1",
        **inherited,
    }


def run(sandbox: Sandbox, argv: Sequence[str], environment: Mapping[str, str], log: Path) -> Child:
    """Start a host's process; both its outputs are appended to the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    whole = {
        **base_environment(sandbox.root),
        "FLEETCAST_ML_ROOT": str(sandbox.ml),
        "FLEETCAST_BIND_HOST": "127.0.0.1",
        **environment,
    }
    return start(argv, whole, sandbox.root, log)


def start(argv: Sequence[str], environment: Mapping[str, str], cwd: Path, log: Path) -> Child:
    """Start a process in its own group with exactly that environment."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Child(process)
