"""What a model costs in multi-model-server's own way, a process for each, and how many models that leaves room for."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.record import record
from benchmarks.serving.fleet import customers, ensure_fleet
from benchmarks.serving.install import ensure_installed, has_java
from benchmarks.serving.places import OURS
from benchmarks.serving.processes import Server, free_port, running
from benchmarks.serving.stacks import MMS_NAME, launch_multi_model_server, register, write_archive

# The first pays for what all of them share.
_FIRST, _FURTHER = 1, 8
_MACHINES_GIB = (4, 8, 16)


def main() -> None:
    if not has_java():
        sys.exit("there is no java, which multi-model-server needs")
    ensure_installed()
    ensure_fleet()
    with TemporaryDirectory() as scratch:
        figures = {MMS_NAME: measure(Path(scratch))}
    print(json.dumps(figures, indent=1))
    record("serving-processes", figures, {})


def measure(folder: Path) -> dict[str, float]:
    fleet, own, port = folder / "fleet", folder / "server", free_port()
    fleet.mkdir()
    own.mkdir()
    (fleet / customers()[0]).symlink_to(OURS / customers()[0])
    launch = launch_multi_model_server(own, port, fleet)
    for number in range(_FIRST + _FURTHER):
        write_archive(own / "store" / f"model-{number}")
    with running(launch, port) as server:
        _add(server, range(_FIRST))
        before = server.mebibytes
        _add(server, range(_FIRST, _FIRST + _FURTHER))
        each = (server.mebibytes - before) / _FURTHER
    server_alone = before - each
    fitting = {
        f"models in {size} GiB": max(0, int((size * 1024 - server_alone) / each)) for size in _MACHINES_GIB
    }
    return {"the server alone, MiB": round(server_alone), "MiB of each model": round(each, 1), **fitting}


def _add(server: Server, numbers: range) -> None:
    for number in numbers:
        register(f"model-{number}", workers=1)(server)


if __name__ == "__main__":
    main()
