"""Runs the real SAM CLI: its output goes whole into a log, and a person sees how far it is."""

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fleetcast_cli.errors import CommandFailed
from fleetcast_cli.output import clean, format_seconds, note, notes
from fleetcast_cli.project import Project
from fleetcast_cli.session import Cloud
from fleetcast_local import lifecycle
from fleetcast_local.guard import without_aws

_TAIL_LINES = 20
_SECONDS_TO_STOP = 20


def find_sam(project: Project) -> Path:
    path = project.root / ".sam" / "bin" / "sam"
    if not path.is_file():
        raise CommandFailed(f"the SAM CLI is not installed in {path.parent.parent}: run make install")
    return path


def sam_environment(cloud: Cloud) -> dict[str, str]:
    at_once = {"PYTHONUNBUFFERED": "1"}  # its words and its errors in their order, and while it works
    if not cloud.is_local:
        return {**os.environ, **at_once}
    application = cloud.project.state / "sam"
    application.mkdir(parents=True, exist_ok=True)
    # What SAM remembers between two of its weekly questions to the package index; a local deployment asks nobody.
    memory = json.dumps({"lastVersionCheck": time.time()})
    (application / "metadata.json").write_text(memory, encoding="utf-8")
    return {
        **without_aws(os.environ),
        **lifecycle.environment(cloud.address),
        **at_once,
        "LAYER_FLAGS": "",  # the layers run on this machine, so they are built for its Python
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "0.5",
        "__SAM_CLI_APP_DIR": str(application),  # SAM would otherwise write to ~/.aws-sam
    }


@contextmanager
def sam_scratch(project: Project) -> Iterator[dict[str, str]]:
    """Give SAM a folder for its temporary files, which it leaves behind, and remove it whatever happens."""
    project.state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix="sam-scratch-", dir=project.state, ignore_cleanup_errors=True
    ) as folder:
        yield {"TMPDIR": folder}


class SamRunner:
    """Runs SAM's commands in a project, one after the other, into one log.

    Args:
        project: its folder is where SAM works.
        environ: what SAM sees.
        interactive: whether SAM may ask the person at the terminal, who then sees all it says.
    """

    def __init__(self, project: Project, environ: Mapping[str, str], *, interactive: bool = False) -> None:
        self._project, self._environ, self._interactive = project, environ, interactive
        self._sam = find_sam(project)
        self.log = project.logs / "deploy.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_bytes(b"")

    def run(self, command: str, *arguments: str) -> None:
        """Run one command to its end, or raise CommandFailed with the end of what it said."""
        started = time.monotonic()
        line = [str(self._sam), command, *arguments]
        with self.log.open("ab") as log:
            log.write(f"$ sam {shlex.join(line[1:])}\n".encode())
            code, tail = self._execute(line, log)
        took = format_seconds(time.monotonic() - started)
        if code != 0:
            raise CommandFailed(
                f"sam {command} failed (exit code {code}) after {took}; all of it is in"
                f" {self._project.shorten(self.log)}, which ends:\n{tail}"
            )
        note(f"sam {command} took {took}")

    def _execute(self, line: Sequence[str], log: IO[bytes]) -> tuple[int, str]:
        with subprocess.Popen(
            line,
            cwd=self._project.root,
            env=dict(self._environ),
            stdin=None if self._interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            try:
                tail = self._pass_on(process, log) if self._interactive else _watch(process, line[1], log)
            except BaseException:
                _stop(process)
                raise
        return process.returncode, tail

    def _pass_on(self, process: "subprocess.Popen[bytes]", log: IO[bytes]) -> str:
        # As it comes, not line by line: SAM's question ends without a newline.
        assert process.stdout is not None  # noqa: S101  # it is a pipe, as asked for
        descriptor, ending = process.stdout.fileno(), b""
        while piece := os.read(descriptor, 4096):
            log.write(piece)
            sys.stdout.buffer.write(piece)
            sys.stdout.flush()
            ending = (ending + piece)[-4096:]
        return ending.decode(errors="replace")


def _watch(process: "subprocess.Popen[bytes]", command: str, log: IO[bytes]) -> str:
    assert process.stdout is not None  # noqa: S101  # it is a pipe, as asked for
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    console = notes()
    with console.status(f"sam {command}") as status:
        for raw in process.stdout:
            log.write(raw)
            text = clean(raw.decode(errors="replace").rstrip())
            if text.strip():
                tail.append(text)
                status.update(f"sam {command}: {text.strip()}"[: console.width - 4])
    return "\n".join(tail)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    # Ctrl-C reaches SAM too, and a deployment that has begun is left to CloudFormation.
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
