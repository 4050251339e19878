"""How much memory a fleet takes in the serving container: 100,000 distinct models, and on towards a million.

Every model is loaded through `POST /models`, as the platform does. Beyond 100,000 the same files are loaded under new
names: the container keeps what it read once for each name. Memory is proportional, over all its processes; a page that
several share counts once. First the byte budget is the container's own, and the fleet grows until it is refused; then
there is none, and it grows as far as it is asked to, or this machine goes.
"""

import argparse
import asyncio
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import httptools
import uvloop
from benchmarks.record import record, versions_of
from benchmarks.serving.fleet import write_many
from benchmarks.serving.generator import run_load, write_requests
from benchmarks.serving.processes import Server, free_port, running
from benchmarks.serving.stacks import PERIOD, our_launch

DISTINCT, MOST = 100_000, 1_000_000
STAGES = (1_000, 10_000, 100_000, 250_000, 500_000, 1_000_000)
# Loading by more callers at once than the platform has would measure a queue.
_CALLERS = 4
_ASK_SECONDS = 10
_FREE_MIB = 2_000

Model = tuple[str, Path]
Row = dict[str, float | str]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--most", type=int, default=MOST)
    parser.add_argument("--distinct", type=int, default=DISTINCT)
    parser.add_argument("--scratch", type=Path, help="where the models' files lie; half a GiB for 100,000")
    parser.add_argument("--dry", action="store_true", help="show the figures and keep nothing")
    given = parser.parse_args(arguments)
    with TemporaryDirectory(dir=given.scratch) as scratch:
        folder = Path(scratch)
        distinct = list(write_many(folder / "models", given.distinct))
        with _server(folder) as server:
            figures = {"the container's own budget": _fill(server, distinct, given.most)}
        with _server(folder, FLEETCAST_MODEL_BUDGET_BYTES=str(2**40)) as server:
            figures |= measure(server, distinct, given.most, folder)
        # It may take minutes, and the context manager would say nothing meanwhile.
        shutil.rmtree(folder / "models", ignore_errors=True)
    print(json.dumps(figures, indent=1))
    if not given.dry:
        record("serving-memory", figures, versions_of("numpy"))


@contextmanager
def _server(folder: Path, **settings: str) -> Iterator[Server]:
    port, own = free_port(), Path(mkdtemp(dir=folder))
    with running(our_launch(own, port, **settings), port) as server:
        yield server


def _fill(server: Server, distinct: Sequence[Model], most: int) -> Row:
    empty = server.mebibytes
    count, seconds, ended = _load_until(server, islice(_endless(distinct), most))
    row = {"models": count, **_weighed(server, count, empty), "loads per second": round(count / seconds)}
    return {**row, "ended": ended} if ended else row


def measure(server: Server, distinct: Sequence[Model], most: int, folder: Path) -> dict[str, Row]:
    """Load stage after stage, and return what the container held at each; the last one may be where it ended."""
    figures: dict[str, Row] = {"no model": _weighed(server, 0, 0.0)}
    following, empty = _endless(distinct), server.mebibytes
    loaded, ended = 0, ""
    for stage in (*(size for size in STAGES if size < most), most):
        count, seconds, ended = _load_until(server, islice(following, stage - loaded))
        rate = count / seconds if seconds else 0.0
        loaded += count
        row: Row = {"models": loaded, **_weighed(server, loaded, empty)}
        row["loads per second"] = round(rate)
        if loaded == len(distinct):
            row["req/s to random ones"], row["MiB after asking"] = _ask(server, distinct, folder)
        if ended:
            row["ended"] = ended
        figures[f"{loaded:,}" + (" distinct" if loaded <= len(distinct) else ", simulated")] = row
        print(f"{loaded:,}: {row}", file=sys.stderr, flush=True)
        if ended:
            break
    return figures


def _weighed(server: Server, loaded: int, empty: float) -> Row:
    held = server.mebibytes
    each = {"bytes per model": round((held - empty) * 2**20 / loaded)} if loaded else {}
    return {"MiB": round(held, 1), **each}


def _endless(distinct: Sequence[Model]) -> Iterator[Model]:
    yield from distinct
    number = 0
    while True:
        number += 1
        yield from ((f"{name}-{number}", folder) for name, folder in distinct)


def _ask(server: Server, distinct: Sequence[Model], folder: Path) -> tuple[float, float]:
    """Ask random customers, most of them for the first time, and return how fast and with how much memory."""
    lines = [f'/models/{name}/invoke {{"period": {PERIOD}}}' for name, _ in distinct]
    load = run_load(server.url, write_requests(folder / "requests", lines), 64, _ASK_SECONDS)
    if load.errors:
        sys.exit(f"{load.errors} of {load.requests} requests failed with {len(distinct):,} models loaded")
    return round(load.rate), round(server.mebibytes, 1)


def _load_until(server: Server, models: Iterator[Model]) -> tuple[int, float, str]:
    """Load models until one is refused, or this machine has little memory left; return why it ended."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_load_all(server, models))


async def _load_all(server: Server, models: Iterator[Model]) -> tuple[int, float, str]:
    loop = asyncio.get_running_loop()
    host, port = server.url.removeprefix("http://").split(":")
    loaders = []
    began = loop.time()
    for _ in range(_CALLERS):
        _, loader = await loop.create_connection(lambda: _Loader(models), host, int(port))
        loaders.append(loader)
    await asyncio.gather(*(loader.done for loader in loaders))
    ended = next((loader.ended for loader in loaders if loader.ended), "")
    return sum(loader.loaded for loader in loaders), loop.time() - began, ended


class _Loader(asyncio.Protocol):
    """Loads one model after the other over one connection."""

    def __init__(self, models: Iterator[Model]) -> None:
        self._models = models
        self.loaded, self.ended = 0, ""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._load_next()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 200:
            self.loaded += 1
            self._load_next()
        else:
            self._end(f"POST /models answered {status}")

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self._end(f"the container hung up: {error}")

    def _load_next(self) -> None:
        if self.loaded % 1000 == 0 and _free_mebibytes() < _FREE_MIB:
            self._end(f"this machine has less than {_FREE_MIB} MiB left")
            return
        model = next(self._models, None)
        if model is None:
            self._end("")
            return
        body = json.dumps({"model_name": model[0], "url": str(model[1])}).encode()
        head = f"POST /models HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        self._transport.write(head.encode() + b"\r\n\r\n" + body)

    def _end(self, why: str) -> None:
        self.ended = why
        self.done.set_result(None)
        self._transport.close()


def _free_mebibytes() -> float:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1024
    return float("inf")


if __name__ == "__main__":
    main()
