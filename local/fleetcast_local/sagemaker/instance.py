"""One instance behind an endpoint: a serving container, its connections and its health."""

import logging
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetcast_local.images import ProcessImage
from fleetcast_local.sagemaker.archive import fetch_archive
from fleetcast_local.sagemaker.connections import Connections, NoAnswer
from fleetcast_local.sagemaker.platform import Platform
from fleetcast_local.sagemaker.transfer import Transfer, TransferError, split_uri
from fleetcast_local.sandbox import Child, Sandbox, run

logger = logging.getLogger(__name__)

_PING_EVERY = 0.1
_STARTS = 3
_DEATH_NOTICE = 0.1


class NotHealthy(Exception):
    """The container did not come up."""


@dataclass(frozen=True)
class Serving:
    """What an instance runs: one variant's model, resolved to an image."""

    endpoint: str
    variant: str
    image: ProcessImage
    container: dict[str, Any]
    startup: float

    @property
    def multi_model(self) -> bool:
        return bool(self.container.get("Mode") == "MultiModel")

    @property
    def caches_models(self) -> bool:
        config = self.container.get("MultiModelConfig", {})
        return bool(config.get("ModelCacheSetting", "Enabled") == "Enabled")


class Instance:
    """A container that is started, watched, restarted when it dies, and drained before it is stopped."""

    def __init__(self, platform: Platform, serving: Serving, name: str) -> None:
        self._platform = platform
        self.serving = serving
        self.name = name
        self.log = platform.logs / "endpoints" / serving.endpoint / f"{serving.variant}-{name}.log"
        self.sandbox = Sandbox(platform.store / "endpoints" / serving.endpoint / f"{serving.variant}-{name}")
        self.connections = Connections(0)
        self.healthy = False
        self.generation = 0
        """Counts the container's starts: what was loaded in an earlier one is gone."""
        self._child: Child | None = None
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._in_flight = 0
        self._idle = threading.Condition(self._lock)

    def launch(self) -> None:
        """Prepare the files, start the container and wait until it is healthy, or raise NotHealthy."""
        self.sandbox = Sandbox.create(self.sandbox.root, "model", "models")
        try:
            if not self.serving.multi_model:
                _fetch_model(self._platform, self.serving.container, self.sandbox.ml / "model")
            self.start()
        except TransferError as error:
            raise NotHealthy(str(error)) from error

    def start(self) -> None:
        """Start the container, again if it has died, and wait for /ping."""
        deadline = time.monotonic() + min(self.serving.startup, self._platform.timing.startup)
        for _ in range(_STARTS):
            if self._closed.is_set():
                break
            self._spawn()
            if self._wait_for_ping(deadline):
                self.generation += 1
                self.healthy = True
                return
            if time.monotonic() >= deadline:
                break
        if self._child:
            self._child.kill()
        raise NotHealthy(
            f"The primary container for production variant {self.serving.variant} did not pass the ping health "
            f"check. Please check its log ({self.log}) for this endpoint."
        )

    @property
    def has_died(self) -> bool:
        return self._child is not None and not self._closed.is_set() and self._child.poll() is not None

    def note_death(self) -> None:
        """Take no more requests if the container has died; whoever watches over it will start it again."""
        # A connection breaks a moment before its process is seen to be gone.
        if self._child is not None and self._child.wait(_DEATH_NOTICE) is not None:
            self.healthy = False

    def enter(self) -> bool:
        """Count a request in, unless the instance takes no more."""
        with self._lock:
            if self._closed.is_set() or not self.healthy:
                return False
            self._in_flight += 1
            return True

    def leave(self) -> None:
        with self._lock:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.notify_all()

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def close(self, drain: float) -> None:
        """Take no more requests, let those inside finish, and end the container."""
        with self._lock:
            self._closed.set()
            self._idle.wait_for(lambda: self._in_flight == 0, drain)
        self.healthy = False
        if self._child:
            self._child.stop(self._platform.timing.serving_grace if drain else 1.0)
        self.connections.close()
        self.sandbox.remove()

    def _spawn(self) -> None:
        self.healthy = False
        self.connections.close()
        port = _free_port()
        self.connections = Connections(port)
        self._child = run(
            self.sandbox,
            self.serving.image.command(arguments=("serve",)),
            self._environment(port),
            self.log,
        )

    def _environment(self, port: int) -> dict[str, str]:
        multi_model = {"SAGEMAKER_MULTI_MODEL": "true"} if self.serving.multi_model else {}
        return {
            **self.serving.image.environment(),
            **self._platform.environment,
            **self.serving.container.get("Environment", {}),
            **multi_model,
            "SAGEMAKER_BIND_TO_PORT": str(port),
        }

    def _wait_for_ping(self, deadline: float) -> bool:
        while time.monotonic() < deadline and not self._closed.is_set():
            if self._child is None or self._child.poll() is not None:
                return False
            if self.ping():
                return True
            self._closed.wait(_PING_EVERY)
        return False

    def ping(self) -> bool:
        try:
            answer = self.connections.request("GET", "/ping", headers={}, timeout=self._platform.timing.ping)
        except NoAnswer:
            return False
        return answer.status == 200


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _fetch_model(platform: Platform, container: dict[str, Any], folder: Path) -> None:
    """Put a single model's files in place: an archive's content, or the objects of an uncompressed prefix."""
    transfer = Transfer(platform.clients)
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if source is not None and source.get("CompressionType") == "None":
        transfer.download(transfer.source("S3Prefix", source["S3Uri"]), folder)
        return
    uri = source["S3Uri"] if source else container.get("ModelDataUrl")
    if uri is not None:
        bucket, key = split_uri(uri)
        fetch_archive(transfer, bucket, key, folder)
