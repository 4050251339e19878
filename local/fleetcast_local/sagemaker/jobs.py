"""What training and processing jobs share: their threads, their records and how they end."""

import logging
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from fleetcast_local.container_logs import LogStream, LogTail
from fleetcast_local.images import ImageError
from fleetcast_local.records import Record
from fleetcast_local.sagemaker.hosts import Control, Host
from fleetcast_local.sagemaker.platform import Platform, now
from fleetcast_local.sagemaker.transfer import Cancelled, Transfer, TransferError
from fleetcast_local.sandbox import Sandbox
from fleetcast_local.service_model import ApiError

logger = logging.getLogger(__name__)

REASON_LIMIT = 1024
SHUTDOWN_REASON = (
    "InternalServerError: the local cloud was stopped while the job was running. Start it again."
)
_RUNNING = {"InProgress", "Stopping"}


class JobFailed(Exception):
    """The job cannot go on."""


class Job(ABC):
    """One job, run by a thread of its own from its record to its terminal status."""

    kind: str
    log_folder: str

    def __init__(self, platform: Platform, name: str) -> None:
        self.platform = platform
        self.name = name
        self.control = Control()
        self.transfer = Transfer(platform.clients)
        self.folder = platform.store / "jobs" / self.kind / name
        self.request = self._record()

    def run(self) -> None:
        try:
            self.execute()
        except (JobFailed, TransferError, ImageError) as error:
            text = str(error)
            known = text.startswith(("AlgorithmError", "ClientError", "InternalServerError"))
            self.fail(text if known else f"ClientError: {text}")
        except Cancelled:
            self.cancelled()
        except Exception as error:
            logger.exception("%s %s failed in the local cloud itself", self.kind, self.name)
            self.fail(f"InternalServerError: {type(error).__name__}: {error}")
        finally:
            Sandbox(self.folder).remove()

    @abstractmethod
    def execute(self) -> None:
        """Do the job's work and record how it ended; raise JobFailed and the like to fail it."""

    @abstractmethod
    def finish(self, status: str, **members: Any) -> None:
        """Record a terminal status."""

    def fail(self, reason: str) -> None:
        self.finish("Failed", FailureReason=reason[:REASON_LIMIT])

    def cancelled(self) -> None:
        """End a job that was stopped before its hosts ran."""
        if self.control.shutdown.is_set():
            self.fail(SHUTDOWN_REASON)
        else:
            self.finish("Stopped")

    def update(self, **members: Any) -> Record:
        record = self.platform.records.update(self.kind, self.name, **members, LastModifiedTime=now())
        return record or {}

    def _record(self) -> Record:
        record = self.platform.records.get(self.kind, self.name)
        if record is None:
            raise LookupError(f"{self.kind} {self.name} has no record")
        return record

    def hosts(self, count: int, *folders: str) -> list[Host]:
        """Make the trees of `algo-1` to `algo-n`."""
        names = host_names(count)
        logs = self.platform.logs / self.log_folder / self.name
        return [
            Host(name, Sandbox.create(self.folder / name, *folders), _log_file(logs, name)) for name in names
        ]

    def log_followers(self, hosts: list[Host], group: str) -> list["LogFollower"]:
        stamp = int(time.time())
        return [
            LogFollower(
                LogTail(host.log, host.log_start),
                LogStream(self.platform.clients, group, f"{self.name}/{host.name}-{stamp}"),
            )
            for host in hosts
        ]


class LogFollower:
    """A host's log on its way to CloudWatch Logs."""

    def __init__(self, tail: LogTail, stream: LogStream) -> None:
        self._tail = tail
        self._stream = stream

    def follow(self, *, last: bool = False) -> list[str]:
        """Copy the new lines, and return them."""
        lines = self._tail.lines(last=last)
        self._stream.put(lines)
        return lines


def _log_file(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.log"


def host_names(count: int) -> list[str]:
    return [f"algo-{number}" for number in range(1, count + 1)]


def algorithm_error(text: str, exit_code: int) -> str:
    """Return the FailureReason of a container that exited with an error, never longer than AWS allows."""
    tail = f", exit code: {exit_code}"
    head = f"AlgorithmError: {text.strip()}"
    return head[: REASON_LIMIT - len(tail)] + tail


class RunningJobs:
    """The jobs that run now, by kind and name."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lock = threading.Lock()
        self._running: dict[tuple[str, str], tuple[Job, threading.Thread]] = {}

    def start(self, job: Job) -> None:
        thread = threading.Thread(target=self._run, args=(job,), name=f"{job.kind} {job.name}", daemon=True)
        with self._lock:
            self._running[job.kind, job.name] = job, thread
        thread.start()

    def find(self, kind: str, name: str) -> Job | None:
        with self._lock:
            found = self._running.get((kind, name))
        return found[0] if found else None

    def shutdown(self) -> None:
        """Kill every job's hosts and wait until the records say so."""
        with self._lock:
            running = list(self._running.values())
        for job, _ in running:
            job.control.ask(job.control.shutdown)
        for _, thread in running:
            thread.join(timeout=30)

    def _run(self, job: Job) -> None:
        try:
            job.run()
        finally:
            with self._lock:
                self._running.pop((job.kind, job.name), None)


def is_running(record: Record, kind: str) -> bool:
    return record[f"{kind}Status"] in _RUNNING


def refuse_used_name(platform: Platform, kind: str, name: str) -> None:
    """Raise ResourceInUse when a job of this name exists, in whatever status."""
    if platform.records.get(kind, name) is not None:
        words = "training" if kind == "TrainingJob" else "processing"
        raise ApiError(
            "ResourceInUse",
            f"{words.capitalize()} job names must be unique within an AWS account and region, and a {words} job "
            f"with this name already exists ({platform.arn(kind, name)})",
        )
