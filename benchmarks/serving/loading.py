"""How long `POST /models` takes: one model after the other, each for the first time, as one caller sees it.

What the server itself takes is its processor's time divided by the models; what the caller sees has the caller's own
time and the way through the kernel in it, and so is never less than what the server took.
"""

import argparse
import http.client
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

from benchmarks.record import record, versions_of
from benchmarks.serving.fleet import write_many
from benchmarks.serving.processes import Server, free_port, running
from benchmarks.serving.stacks import our_launch

MODELS, WARM = 10_000, 500


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", type=int, default=MODELS)
    parser.add_argument("--dry", action="store_true", help="show the figures and keep nothing")
    given = parser.parse_args(arguments)
    with TemporaryDirectory() as scratch:
        models = list(write_many(Path(scratch) / "models", given.models + WARM))
        port = free_port()
        (Path(scratch) / "server").mkdir()
        with running(our_launch(Path(scratch) / "server", port), port) as server:
            _load(server, models[:WARM])
            before = server.processor_seconds
            load = _load(server, models[WARM:])
            each = (server.processor_seconds - before) / given.models
            unload = _unload(server, [name for name, _ in models[WARM:]])
    figures = {
        "POST /models": {**_shown(load), "server's processor, ms": round(1000 * each, 3)},
        "DELETE /models/{name}": _shown(unload),
    }
    print(json.dumps(figures, indent=1))
    if not given.dry:
        record("serving-loading", figures, versions_of("uvicorn", "numpy"))


def _load(server: Server, models: Sequence[tuple[str, Path]]) -> list[float]:
    requests = [
        ("POST", "/models", json.dumps({"model_name": name, "url": str(folder)})) for name, folder in models
    ]
    return _timed(server, requests)


def _unload(server: Server, names: Sequence[str]) -> list[float]:
    return _timed(server, [("DELETE", f"/models/{name}", None) for name in names])


def _timed(server: Server, requests: Sequence[tuple[str, str, str | None]]) -> list[float]:
    """Return the milliseconds that each request took on one connection."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    took = []
    for method, path, body in requests:
        began = time.perf_counter()
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        took.append(1000 * (time.perf_counter() - began))
        if answer.status != 200:
            raise SystemExit(f"{method} {path} was answered with {answer.status}: {content!r}")
    connection.close()
    return took


def _shown(milliseconds: Sequence[float]) -> dict[str, float]:
    hundredths = quantiles(milliseconds, n=100)
    return {
        "p50 ms": round(hundredths[49], 3),
        "p99 ms": round(hundredths[98], 3),
        "max ms": round(max(milliseconds), 3),
    }


if __name__ == "__main__":
    main()
