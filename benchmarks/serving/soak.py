"""A day's worth of requests without a pause: does memory stay level, and does anything go wrong?

Ten million forecasts of random customers, in stretches; after each the container's memory is looked at. Memory is
proportional, over all its processes. It ends early when the time is over, and says so.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.record import record, versions_of
from benchmarks.serving.fleet import customers, ensure_fleet
from benchmarks.serving.generator import run_load, version_of_wrk, write_requests
from benchmarks.serving.install import ensure_installed
from benchmarks.serving.stacks import OURS_NAME, STACKS, serving

REQUESTS, MINUTES, CONNECTIONS = 10_000_000, 30.0, 64
_STRETCH_SECONDS = 10
_ROWS = 10


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="at most so many")
    parser.add_argument("--dry", action="store_true", help="show the figures and keep nothing")
    given = parser.parse_args(arguments)
    ensure_installed()
    ensure_fleet()
    figures = soak(given.requests, given.minutes)
    print(json.dumps(figures, indent=1))
    if not given.dry:
        record("serving-soak", figures, {**versions_of("uvicorn", "numpy"), "wrk": version_of_wrk()})


def soak(requests: int, minutes: float) -> dict[str, dict[str, float]]:
    """Return a row for each tenth of the requests, and one for where it ended."""
    ours = next(stack for stack in STACKS if stack.name == OURS_NAME)
    rows: dict[str, dict[str, float]] = {}
    with TemporaryDirectory() as scratch, serving(ours) as server:
        lines = write_requests(Path(scratch) / "requests", [ours.line(name) for name in customers()])
        run_load(server.url, lines, CONNECTIONS, _STRETCH_SECONDS)
        first, began, done, errors, slowest = server.mebibytes, time.monotonic(), 0, 0, 0.0
        ended = False
        while not ended:
            load = run_load(server.url, lines, CONNECTIONS, _STRETCH_SECONDS)
            done, errors, slowest = done + load.requests, errors + load.errors, max(slowest, load.p99)
            took = (time.monotonic() - began) / 60
            ended = done >= requests or took >= minutes
            if ended or done >= requests * (len(rows) + 1) / _ROWS:
                held = server.mebibytes
                rows[f"after {done:,} requests"] = row = {
                    "requests": done,
                    "minutes": round(took, 1),
                    "errors": errors,
                    "p99 ms, worst 10 s": round(slowest, 2),
                    "MiB": round(held, 1),
                    "MiB more than warm": round(held - first, 1),
                }
                print(row, file=sys.stderr, flush=True)
                slowest = 0.0
    return rows


if __name__ == "__main__":
    main()
