"""The load: wrk, which takes a fraction of what any of the servers takes, with a customer drawn for every request."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.places import HERE, WRK

# Longer than any queue here: who waits is counted with the time waited, not as an error.
_PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Load:
    """What one burst of requests came to; times in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p90: float
    p99: float
    longest: float
    errors: int

    @property
    def rate(self) -> float:
        """Requests per second that were answered well."""
        return (self.requests - self.errors) / self.seconds


def run_load(url: str, requests: Path, connections: int, seconds: float) -> Load:
    """Keep so many connections busy, each with one request at a time.

    Args:
        url: where the server listens.
        requests: a file with a path, a space and a body on each line.
        connections: how many.
        seconds: for how long; whole ones.
    """
    command = [
        *_wrk(),
        "--threads=1",  # on two cores a second one would only take from the server
        f"--connections={connections}",
        f"--duration={seconds:.0f}s",
        f"--timeout={_PATIENCE_SECONDS}s",
        f"--script={HERE / 'customers.lua'}",
        url,
        "--",
        str(requests),
    ]
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"wrk failed: {done.stderr or done.stdout}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return Load(
        requests=found["requests"],
        seconds=found["seconds"],
        p50=found["p50 ms"],
        p90=found["p90 ms"],
        p99=found["p99 ms"],
        longest=found["max ms"],
        errors=found["refused"] + found["broken"] + found["wrong status"] + found["timed out"],
    )


def write_requests(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def version_of_wrk() -> str:
    said = subprocess.run(
        [*_wrk(), "--version"], env=_environment(), capture_output=True, text=True, check=False
    )
    return said.stdout.split()[1] if said.stdout.startswith("wrk ") else "unknown"


def _wrk() -> list[str]:
    own = WRK / "usr" / "bin" / "wrk"
    found = str(own) if own.exists() else shutil.which("wrk")
    if found is None:
        sys.exit("there is no wrk: run python -m benchmarks.serving.install, or install wrk")
    return [found]


def _environment() -> dict[str, str]:
    libraries = ":".join(str(path) for path in (WRK / "usr" / "lib").glob("*-linux-gnu"))
    return {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": libraries}
