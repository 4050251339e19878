"""One build from its record to its end: source, phases, exported variables."""

import logging
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fleetcast_local.codebuild.buildspec import (
    PHASES,
    Buildspec,
    BuildspecError,
    Phase,
    find_buildspec,
    parse_buildspec,
)
from fleetcast_local.codebuild.progress import Progress
from fleetcast_local.codebuild.shell import CommandInterruptedError, Shell
from fleetcast_local.codebuild.source import SourceError, fetch_source
from fleetcast_local.codebuild.variables import Variables
from fleetcast_local.container_logs import LogStream, LogTail
from fleetcast_local.images import Clients
from fleetcast_local.sagemaker.hosts import Periodic

logger = logging.getLogger(__name__)

_LOG_EVERY = 1.0


class PhaseFailedError(Exception):
    """A phase cannot be completed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Order:
    """What a build is to do: the project's settings with the request's overrides applied."""

    source: dict[str, Any]
    version: str | None
    buildspec: str | None
    variables: Variables
    environment: Mapping[str, str]
    seconds: float


class Build:
    """One build, run by a thread of its own."""

    def __init__(self, clients: Clients, order: Order, progress: Progress, folder: Path, log: Path) -> None:
        self._clients = clients
        self._order = order
        self._progress = progress
        self._folder = folder
        self._log = log
        self._deadline = time.monotonic() + order.seconds
        self._failed = False
        self.stop = threading.Event()

    def run(self) -> None:
        tail, stream = LogTail(self._log), LogStream(self._clients, *self._progress.log_names)
        try:
            with Periodic(lambda: stream.put(tail.lines()), _LOG_EVERY, "build log"):
                status = self._run()
        except Exception as error:
            logger.exception("A build failed in the local cloud itself")
            self._progress.end_phase("FAULT", "INTERNAL_ERROR", f"{type(error).__name__}: {error}")
            status = "FAULT"
        stream.put(tail.lines(last=True))
        self._progress.finish(status)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self) -> str:
        for folder in ("src", "scratch", "tmp"):
            (self._folder / folder).mkdir(parents=True)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._progress.begin_phase("DOWNLOAD_SOURCE")
            spec = self._prepare()
            shell = self._shell(spec)
            try:
                self._phases(spec, shell)
                self._progress.exported(self._exported(spec, shell))
            finally:
                shell.close()
        except PhaseFailedError as error:
            self._say(f"Phase context status code: {error.code} Message: {error}")
            self._progress.end_phase("FAILED", error.code, str(error))
            self._failed = True
        except CommandInterruptedError:
            status = "STOPPED" if self.stop.is_set() else "TIMED_OUT"
            self._progress.end_phase(
                status, "", "Build was stopped" if status == "STOPPED" else "Build timed out"
            )
            return status
        self._progress.pass_phase("FINALIZING")
        return "FAILED" if self._failed else "SUCCEEDED"

    def _prepare(self) -> Buildspec:
        try:
            fetch_source(self._clients, self._order.source, self._order.version, self._source)
            return parse_buildspec(find_buildspec(self._order.buildspec, self._source))
        except SourceError as error:
            raise PhaseFailedError("CLIENT_ERROR", str(error)) from error
        except BuildspecError as error:
            raise PhaseFailedError("YAML_FILE_ERROR", str(error)) from error

    def _shell(self, spec: Buildspec) -> Shell:
        try:
            variables = self._order.variables.resolve(self._clients, spec)
        except (ClientError, BotoCoreError, KeyError, ValueError) as error:
            raise PhaseFailedError(
                "CLIENT_ERROR", f"Cannot resolve an environment variable: {error}"
            ) from error
        environment = {
            **self._order.environment,
            "HOME": str(self._folder),
            "TMPDIR": str(self._folder / "tmp"),
            "CODEBUILD_SRC_DIR": str(self._source),
            **variables,
        }
        return Shell(spec.shell, self._source, environment, self._folder / "scratch", self._log)

    def _phases(self, spec: Buildspec, shell: Shell) -> None:
        self._progress.end_phase("SUCCEEDED")
        for name in PHASES:
            phase = spec.phases.get(name, Phase())
            self._progress.begin_phase(name.upper())
            failure = self._run_phase(phase, shell)
            if failure is None:
                self._progress.end_phase("SUCCEEDED")
                continue
            self._failed = True
            # Without on-failure, post_build still runs after a failed build; nothing else runs after a failure.
            goes_on = phase.on_failure == "CONTINUE" or (name == "build" and phase.on_failure is None)
            if not goes_on:
                raise failure
            self._say(f"Phase context status code: {failure.code} Message: {failure}")
            self._progress.end_phase("FAILED", failure.code, str(failure))
        self._progress.pass_phase("UPLOAD_ARTIFACTS")

    def _run_phase(self, phase: Phase, shell: Shell) -> PhaseFailedError | None:
        failure = self._run_commands(phase.commands, shell)
        self._failed = self._failed or failure is not None
        afterwards = self._run_commands(phase.finally_, shell)
        return failure or afterwards

    def _run_commands(self, commands: tuple[str, ...], shell: Shell) -> PhaseFailedError | None:
        for command in commands:
            self._say(f"Running command {command}")
            succeeding = f"export CODEBUILD_BUILD_SUCCEEDING={int(not self._failed)}\n"
            status = shell.run(succeeding + command, self._interrupted)
            if status != 0:
                return PhaseFailedError(
                    "COMMAND_EXECUTION_ERROR",
                    f"Error while executing command: {command}. Reason: exit status {status}",
                )
        return None

    def _exported(self, spec: Buildspec, shell: Shell) -> dict[str, str]:
        secret = self._order.variables.secret_names(spec)
        return shell.values([name for name in spec.exported if name not in secret])

    def _interrupted(self) -> bool:
        return self.stop.is_set() or time.monotonic() >= self._deadline

    def _say(self, text: str) -> None:
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"[Container] {datetime.now(UTC):%Y/%m/%d %H:%M:%S} {text}\n")

    @property
    def _source(self) -> Path:
        return self._folder / "src"
