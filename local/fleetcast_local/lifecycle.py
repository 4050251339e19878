"""Start, stop and ask after the local cloud of a project."""

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetcast_local import processes
from fleetcast_local.guard import local_settings, require_local, without_aws
from fleetcast_local.layout import FIRST_PORT, HOST, CloudAddress, Layout
from fleetcast_local.settings import SettingError, minute_seconds

HEALTH_PATH = "/_fleetcast/health"
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_BUSY_SECONDS = 30.0
_PORTS_TRIED = 200
_LOG_TAIL_LINES = 15
_LOG_KEPT_BYTES = 5_000_000


class CloudError(Exception):
    """The local cloud could not be started or stopped; the text says why and where to look."""


@dataclass(frozen=True)
class CloudStatus:
    """Whether a project's local cloud runs, and where."""

    running: bool
    address: CloudAddress | None
    detail: str


def up(project: Path) -> CloudAddress:
    """Start the project's local cloud, or return the one that already runs.

    Raises:
        CloudError: it did not become healthy; the message holds the end of its log.
    """
    layout = Layout.of(project)
    layout.create()
    with _only_one(layout):
        running = _running(layout)
        if running:
            return running
        processes.end(layout.identity)  # what a killed daemon left behind
        return _start(layout)


def down(project: Path) -> bool:
    """Stop the project's local cloud and every process it started, however it ended.

    Returns:
        whether anything was running.
    """
    layout = Layout.of(project)
    if not layout.root.is_dir():
        return False
    with _only_one(layout):
        address = layout.read_address()
        signalled = processes.end(layout.identity, address.pid if address else None, _STOP_SECONDS)
        left = processes.marked(layout.identity)
    if left:
        raise CloudError(f"these processes of the local cloud would not end: {left}")
    return signalled > 0


def status(project: Path) -> CloudStatus:
    """Say whether the project's local cloud runs."""
    layout = Layout.of(project)
    address = layout.read_address()
    if address is None:
        return CloudStatus(running=False, address=None, detail="never started in this project")
    if not processes.is_marked(address.pid, layout.identity):
        return CloudStatus(running=False, address=address, detail="stopped")
    if health(address.endpoint_url) is None:
        return CloudStatus(running=False, address=address, detail=f"process {address.pid} does not answer")
    return CloudStatus(running=True, address=address, detail=f"answering at {address.endpoint_url}")


def environment(address: CloudAddress) -> dict[str, str]:
    """Return the variables with which any AWS client of a subprocess talks to this cloud and nothing else."""
    return local_settings(address.endpoint_url)


def api_url(address: CloudAddress, api_id: str, stage: str) -> str:
    """Return the loopback URL of a deployed REST API; its host name on AWS does not exist here."""
    return f"{address.endpoint_url}/_aws/execute-api/{api_id}/{stage}"


def health(endpoint_url: str, timeout: float = 2.0) -> dict[str, Any] | None:
    """Return what the cloud at an address says of itself, or None if no local cloud answers there."""
    try:
        with _open(require_local(endpoint_url) + HEALTH_PATH, timeout) as response:
            answer = json.load(response)
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return answer if isinstance(answer, dict) else None


def _open(url: str, timeout: float) -> Any:
    # No proxy: one set for the user's browser must not see, or break, loopback calls.
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=timeout)


@contextmanager
def _only_one(layout: Layout) -> Iterator[None]:
    with (layout.root / "lifecycle.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _running(layout: Layout) -> CloudAddress | None:
    address = layout.read_address()
    if address is None:
        return None
    # A busy daemon answers late; taking it for dead would kill what it is busy with.
    deadline = time.monotonic() + _BUSY_SECONDS
    while time.monotonic() < deadline and processes.is_marked(address.pid, layout.identity):
        if _is_ready(layout, address):
            return address
        time.sleep(0.1)
    return None


def _is_ready(layout: Layout, address: CloudAddress) -> bool:
    answer = health(address.endpoint_url)
    return answer is not None and answer.get("cloud") == layout.identity


def _start(layout: Layout) -> CloudAddress:
    try:
        minute_seconds(os.environ)
    except SettingError as error:
        raise CloudError(str(error)) from error
    last = layout.read_address()
    port = _free_port(last.port if last else FIRST_PORT)
    _shorten(layout.daemon_log)
    process = _spawn(layout, port)
    address = CloudAddress(endpoint_url=f"http://{HOST}:{port}", port=port, pid=process.pid)
    layout.write_address(address)
    try:
        _wait_until_healthy(layout, process, address)
    except BaseException:
        processes.end(layout.identity)
        raise
    return address


def _spawn(layout: Layout, port: int) -> "subprocess.Popen[bytes]":
    environ = without_aws(os.environ) | {processes.MARK: layout.identity, "PYTHONUNBUFFERED": "1"}
    with layout.daemon_log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "fleetcast_local", "--project", str(layout.project), "--port", str(port)],
            cwd=layout.root,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _wait_until_healthy(layout: Layout, process: "subprocess.Popen[bytes]", address: CloudAddress) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise CloudError(f"the local cloud ended while starting{_log_tail(layout)}")
        if _is_ready(layout, address):
            # Started and left alone on purpose: without this, its end would be reported as a leak.
            process.returncode = 0
            return
        time.sleep(0.05)
    raise CloudError(f"the local cloud did not answer within {_START_SECONDS:.0f} s{_log_tail(layout)}")


def _log_tail(layout: Layout) -> str:
    lines = layout.daemon_log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join([f"; the end of {layout.daemon_log}:", *lines[-_LOG_TAIL_LINES:]])


def _shorten(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_KEPT_BYTES:
        log.replace(log.with_suffix(".1.log"))


def _free_port(preferred: int) -> int:
    for port in range(preferred, min(preferred + _PORTS_TRIED, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise CloudError(f"no free port between {preferred} and {preferred + _PORTS_TRIED} on {HOST}")
