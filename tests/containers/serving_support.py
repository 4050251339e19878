"""Models laid out as the platform does it, and the real serving process in front of them."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from fleetcast_engine import FittedModel, pack
from fleetcast_engine.choice.naive import NaiveModel
from fleetcast_engine.history.timeline import Timeline
from fleetcast_engine.model import Metrics

RUN_ID = "r20260131020000-0a1b2c"
DAY = 86_400
END = 1_735_603_200  # 2024-12-31
PATIENCE = 60
_STARTS = 5


def naive_model(customer_id: str, season: int = 7) -> FittedModel:
    """Return a model whose forecast is 1, 2, 3 up to the season's length, and over again."""
    return FittedModel(
        customer_id=customer_id,
        run_id=RUN_ID,
        family="seasonal_naive",
        parameters=NaiveModel(np.arange(1.0, season + 1), 0.5),
        timeline=Timeline("daily", DAY, END),
        training_start=END - 99 * DAY,
        trained_at=END + DAY,
        horizon=28,
        metrics=Metrics(0.4, 0.4, 1),
        nonnegative=True,
    )


def lay_out(root: Path, name: str, model: FittedModel | None = None) -> str:
    """Extract a model's artifact to `<root>/<name>/model`, and return that as the platform's url."""
    directory = root / name / "model"
    directory.mkdir(parents=True)
    archive = root / name / "artifact.tar.gz"
    archive.write_bytes(pack(model or naive_model(name)))
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(directory)], check=True)
    return str(directory)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def received(connection: socket.socket) -> bytes:
    """Return what comes until the other side closes."""
    found = b""
    while chunk := connection.recv(65_536):
        found += chunk
    return found


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {PATIENCE} s"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether a process is there and is more than its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class PortTaken(Exception):
    """Somebody else was faster than the container."""


class Server:
    """A serving container's process.

    Attributes:
        unhealthy: pings that were answered with 503: a busy machine may keep a keeper waiting for a second.
    """

    def __init__(self, root: Path, output: int | None = None, **environment: str) -> None:
        given = environment.get("SAGEMAKER_BIND_TO_PORT", "")
        self.port = int(given) if given.isdigit() else free_port()
        settings = {
            "FLEETCAST_ML_ROOT": str(root),
            "FLEETCAST_BIND_HOST": "127.0.0.1",
            "SAGEMAKER_BIND_TO_PORT": str(self.port),
            **environment,
        }
        # A file: nobody reads a pipe while thousands of loads are logged, and a full one stops the container.
        self._output = tempfile.NamedTemporaryFile(mode="ab")  # noqa: SIM115 - closed by close()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fleetcast_serving", "serve"],
            env={**os.environ, **settings},
            stdout=self._output if output is None else output,
            stderr=subprocess.STDOUT,
        )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE)
        self.unhealthy = 0

    def wait(self) -> None:
        """Wait until the container is healthy.

        Raises:
            PortTaken: it ended because somebody else has its port.
        """
        wait_until(self._is_healthy, "a healthy container")

    def _is_healthy(self) -> bool:
        if self.process.poll() is not None:
            if "in use" in self.log():
                raise PortTaken
            raise AssertionError(self.log())
        try:
            status = self.client.get("/ping").status_code
        except httpx.TransportError:
            return False
        self.unhealthy += status == 503
        return status == 200

    def load(self, name: str, url: str) -> httpx.Response:
        return self.client.post("/models", json={"model_name": name, "url": url})

    def invoke(self, name: str, document: Any) -> httpx.Response:
        return self.client.post(f"/models/{name}/invoke", json=document)

    def anew(self, method: str, path: str, document: Any = None) -> httpx.Response:
        """Ask on a connection of its own, which may lead to any of the workers."""
        with httpx.Client(base_url=self.client.base_url, timeout=PATIENCE) as client:
            return client.request(method, path, json=document)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def children(self) -> list[int]:
        """Return the processes below the first one in the order of their start: the keeper, then the workers."""
        pid = self.process.pid
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def unload_everything(self) -> None:
        while models := self.client.get("/models").json()["models"]:
            for model in models:
                assert self.client.delete(f"/models/{model['modelName']}").status_code == 200

    def log(self) -> str:
        """Return what the container has written so far."""
        return Path(self._output.name).read_text()

    def stop(self) -> str:
        """End the process and return what it logged."""
        self.client.close()
        self.process.terminate()
        return self.ended()

    def ended(self) -> str:
        """Wait until the process has ended by itself and return what it logged."""
        self.process.wait(timeout=PATIENCE)
        return self.log()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=PATIENCE)
        self.client.close()
        self._output.close()


@contextmanager
def serving(root: Path, output: int | None = None, **environment: str) -> Iterator[Server]:
    server = _started(root, output, **environment)
    try:
        yield server
    finally:
        server.close()


def _started(root: Path, output: int | None, **environment: str) -> Server:
    for _ in range(_STARTS):
        server = Server(root, output, **environment)
        try:
            server.wait()
        except PortTaken:
            # Between its choice and the container's start; another one will be free.
            server.close()
        except BaseException:
            server.close()
            raise
        else:
            return server
    raise AssertionError(f"{_STARTS} ports were taken one after the other")
