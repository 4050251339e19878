"""Servers as processes: started in a folder of their own, waited for, weighed, and surely ended."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.engine.fleet_memory import family

_STARTS_WITHIN, _STOPS_WITHIN = 240.0, 30.0
_TICKS = os.sysconf("SC_CLK_TCK")
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Launch:
    """How to start a server.

    Attributes:
        ready: the path that answers 200 once the server serves.
    """

    command: Sequence[str | Path]
    environment: Mapping[str, str]
    folder: Path
    ready: str


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    process: int
    url: str

    @property
    def mebibytes(self) -> float:
        """Proportional memory of all its processes: a page that several share counts once."""
        return sum(map(_proportional, family(self.process))) / 2**20

    @property
    def processor_seconds(self) -> float:
        return sum(map(_processor_seconds, family(self.process)))


def free_port() -> int:
    """Return a port that nobody listens on; multi-model-server takes none above 32,766."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


@contextmanager
def running(launch: Launch, port: int) -> Iterator[Server]:
    """Start a server and wait until it is ready; at the end nothing of it is left."""
    log = launch.folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            launch.command,
            cwd=launch.folder,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **launch.environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(process, url + launch.ready, log)
        yield Server(process.pid, url)
    except urllib.error.HTTPError as error:
        sys.exit(f"{error.url} answered {error}: {error.read()[:500]!r}; {_end_of(log)}")
    finally:
        _end(process)


def ask(url: str, body: bytes | None = None, method: str | None = None) -> bytes:
    """Return the answer to one request.

    Raises:
        urllib.error.HTTPError: the status is not 200.
    """
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
    with _OPENER.open(request, timeout=60) as response:
        answer: bytes = response.read()
    return answer


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    give_up = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < give_up and process.poll() is None:
        with suppress(OSError):  # what urllib raises is one, too
            ask(url)
            return
        time.sleep(0.1)
    sys.exit(f"{process.args!r} does not answer; {_end_of(log)}")


def _end_of(log: Path) -> str:
    return f"its log ends:\n{log.read_text(errors='replace')[-3000:]}"


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask the first process, then its whole group, then do not ask any more."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOPS_WITHIN)
    for number in (signal.SIGTERM, signal.SIGKILL):
        give_up = time.monotonic() + _STOPS_WITHIN
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
            while time.monotonic() < give_up:
                time.sleep(0.1)
                process.poll()
                os.killpg(process.pid, 0)


def _proportional(process: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _processor_seconds(process: int) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
    return 0.0
