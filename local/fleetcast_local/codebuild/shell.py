"""One shell for all commands of a build, as `version: 0.2` promises: exports, variables and `cd` persist."""

import shlex
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fleetcast_local.sandbox import Child

_TICK = 0.02
_GRACE = 5.0


class CommandInterruptedError(Exception):
    """The build was stopped or ran out of time while a command ran."""


class Shell:
    """A shell that is told its commands one by one.

    A command may end the shell (`exit`, `set -e`): the next one then gets a new shell with the same
    directory and exported variables.
    """

    def __init__(
        self, program: str, source: Path, environment: Mapping[str, str], scratch: Path, log: Path
    ) -> None:
        self._program = program
        self._source = source
        self._environment = environment
        self._scratch = scratch
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._child: Child | None = None
        self._count = 0

    def run(self, command: str, interrupted: Callable[[], bool]) -> int:
        """Run a command to its end and return its status, or raise CommandInterruptedError."""
        self._count += 1
        script = self._scratch / f"command-{self._count}"
        status = self._scratch / f"status-{self._count}"
        script.write_text(command + "\n", encoding="utf-8")
        child = self._tell(self._control(script, status))
        while True:
            ended = child.poll()
            text = status.read_text(encoding="utf-8") if status.exists() else ""
            if text.endswith("\n"):
                return int(text)
            if ended is not None:
                return ended
            if interrupted():
                self.close()
                raise CommandInterruptedError(command)
            time.sleep(_TICK)

    def values(self, names: Sequence[str]) -> dict[str, str]:
        """Return those of the shell's variables that are set."""
        folder = self._scratch / "values"
        folder.mkdir(exist_ok=True)
        lines = [
            f'[ -z "${{{name}+set}}" ] || printf %s "${{{name}}}" >{shlex.quote(str(folder / name))}'
            for name in names
        ]
        self.run("\n".join([*lines, ":"]), lambda: False)
        files = {name: folder / name for name in names}
        return {name: file.read_text(encoding="utf-8") for name, file in files.items() if file.exists()}

    def close(self) -> None:
        if self._child is not None:
            self._child.stop(_GRACE) if self._child.poll() is None else self._child.poll()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._process = self._child = None

    def _control(self, script: Path, status: Path) -> str:
        quoted = {
            "script": shlex.quote(str(script)),
            "status": shlex.quote(str(status)),
            "exports": shlex.quote(str(self._exports)),
            "directory": shlex.quote(str(self._directory)),
        }
        # The shell's own input is this conversation: a command must not read it.
        return (
            ". {script} </dev/null; FLEETCAST_STATUS=$?; export -p >{exports}; pwd >{directory}; "
            'echo "$FLEETCAST_STATUS" >{status}\n'
        ).format(**quoted)

    def _tell(self, line: str) -> Child:
        if self._child is None or self._child.poll() is not None:
            self.close()
            self._start()
        assert self._process is not None and self._process.stdin is not None  # noqa: S101, PT018 - for mypy
        assert self._child is not None  # noqa: S101 - for mypy
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()
        return self._child

    def _start(self) -> None:
        before = self._directory.read_text(encoding="utf-8").rstrip("\n") if self._directory.exists() else ""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [self._program],
                cwd=before if before and Path(before).is_dir() else self._source,
                env=dict(self._environment),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._child = Child(self._process)
        if self._exports.exists():
            self._tell(f". {shlex.quote(str(self._exports))}\n")

    @property
    def _exports(self) -> Path:
        return self._scratch / "exports"

    @property
    def _directory(self) -> Path:
        return self._scratch / "directory"
