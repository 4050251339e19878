"""The servers that are compared: how each starts, how it is asked, and where its answer has the forecast."""

import json
import math
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.serving.fleet import customers
from benchmarks.serving.places import ENGINE, OURS, PEERS, PROPHETS, python_of
from benchmarks.serving.processes import Launch, Server, ask, free_port, running

from fleetcast_engine import forecast, load

PERIOD, WORKERS = 7, 2
# More connections than a queue holds are refused; none of these servers is to fail for that.
_QUEUE = 4000


@dataclass(frozen=True)
class Stack:
    """One server with the whole fleet.

    Attributes:
        name: as the tables show it.
        launch: from a folder of its own and a port to how it starts.
        line: from a customer to a request: a path, a space and a body.
        values: from an answer to the forecast's values.
        engine: whose forecast it is: "ours" or "prophet".
        warm: seconds of load until it is as fast as it gets: Java compiles while it runs.
    """

    name: str
    launch: Callable[[Path, int], Launch]
    line: Callable[[str], str]
    values: Callable[[Any], list[float]]
    engine: str = "ours"
    warm: float = 3
    prepare: Callable[[Server], None] = lambda _server: None


@contextmanager
def serving(stack: Stack) -> Iterator[Server]:
    """Start a stack with all customers, and see that it answers rightly."""
    with TemporaryDirectory() as scratch:
        port = free_port()
        with running(stack.launch(Path(scratch), port), port) as server:
            stack.prepare(server)
            for customer in customers()[::97]:
                _check(stack, server, customer)
            yield server


def _check(stack: Stack, server: Server, customer: str) -> None:
    path, body = stack.line(customer).split(" ", 1)
    values = stack.values(json.loads(ask(server.url + path, body.encode())))
    if stack.engine == "ours":
        good = values == forecast(load(OURS / customer / "model"), PERIOD).yhat.tolist()
    else:
        good = len(values) == PERIOD and all(map(math.isfinite, values))
    if not good:
        sys.exit(f"{stack.name} answers for {customer} with {values}")


def our_launch(folder: Path, port: int, **settings: str) -> Launch:
    environment = {
        "SAGEMAKER_MULTI_MODEL": "true",
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "FLEETCAST_BIND_HOST": "127.0.0.1",
        **settings,
    }
    return Launch([sys.executable, "-m", "fleetcast_serving", "serve"], environment, folder, "/ping")


def load_model(server: Server, name: str, folder: Path) -> None:
    """Load as the platform does, by the contract."""
    ask(f"{server.url}/models", json.dumps({"model_name": name, "url": str(folder)}).encode())


def _load_fleet(server: Server) -> None:
    for customer in customers():
        load_model(server, customer, OURS / customer / "model")


def _our_values(answer: Any) -> list[float]:
    return [row["yhat"] for row in answer["forecast"]]


def _flask(folder: Path, port: int) -> Launch:
    shutil.copy(PEERS / "flask_prophet" / "wsgi.py", folder)
    # As the sample starts it, but for nginx in front, and with models that are read once and shared.
    options = ["--worker-class", "gevent", "--workers", str(WORKERS), "--timeout", "60", "--preload"]
    command = [
        python_of("flask_prophet"),
        "-m",
        "gunicorn",
        *options,
        "--bind",
        f"127.0.0.1:{port}",
        "wsgi:app",
    ]
    environment = {"FLEET": str(PROPHETS), "MPLCONFIGDIR": str(folder), "OMP_NUM_THREADS": "1"}
    return Launch(command, environment, folder, "/ping")


def _customer_line(path: str) -> Callable[[str], str]:
    return lambda customer: f"{path} " + json.dumps({"customer_id": customer, "period": PERIOD})


def launch_multi_model_server(folder: Path, port: int, fleet: Path = OURS) -> Launch:
    quiet = shutil.copy(PEERS / "multi_model_server" / "log4j2.xml", folder)
    address = f"http://127.0.0.1:{port}"
    settings = {
        "inference_address": address,
        "management_address": address,
        "model_store": str(folder / "store"),
        "job_queue_size": str(_QUEUE),
    }
    write_archive(folder / "store" / "customers")
    config = folder / "config.properties"
    config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    program = python_of("multi_model_server").with_name("multi-model-server")
    options = ["--start", "--foreground", "--mms-config", config, "--log-config", quiet]
    environment = {"FLEET": str(fleet), "PYTHONPATH": str(ENGINE), "TMPDIR": str(folder), "TEMP": str(folder)}
    return Launch([program, *options], environment, folder, "/ping")


def write_archive(folder: Path) -> None:
    """Lay out an archive of multi-model-server that knows every customer."""
    shutil.copytree(PEERS / "multi_model_server" / "MAR-INF", folder / "MAR-INF")
    for source in (PEERS / "multi_model_server" / "service.py", PEERS / "our_forecast.py"):
        shutil.copy(source, folder)


def register(archive: str, workers: int, batch: int = 1) -> Callable[[Server], None]:
    """Return what makes a running multi-model-server load an archive, and give out requests in such batches."""
    document = {
        "url": archive,
        "model_name": archive,
        "initial_workers": workers,
        "batch_size": batch,
        "max_batch_delay": 1,
        "synchronous": True,
    }
    return lambda server: void(ask(f"{server.url}/models", json.dumps(document).encode()))


def void(_answer: bytes) -> None:
    """Say that only the status counts."""


def launch_mlserver(workers: int) -> Callable[[Path, int], Launch]:
    """Return a launch with a model of MLServer's own for every customer."""

    def launch(folder: Path, port: int) -> Launch:
        settings = {
            "debug": False,
            "host": "127.0.0.1",
            "http_port": port,
            "grpc_port": free_port(),
            "parallel_workers": workers,
            # Both cost time that the others do not spend.
            "metrics_endpoint": None,
            "gzip_enabled": False,
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        for customer in customers():
            model = {"name": customer, "implementation": "runtime.Forecaster"}
            model["parameters"] = {"uri": str(OURS / customer / "model")}
            (folder / customer).mkdir()
            (folder / customer / "model-settings.json").write_text(json.dumps(model))
        command = [python_of("mlserver").with_name("mlserver"), "start", "."]
        return Launch(command, {"PYTHONPATH": f"{ENGINE}:{PEERS / 'mlserver'}"}, folder, "/v2/health/ready")

    return launch


def _mlserver_line(customer: str) -> str:
    asked = {"name": "period", "shape": [1], "datatype": "INT64", "data": [PERIOD]}
    return f"/v2/models/{customer}/infer " + json.dumps({"inputs": [asked]})


def _mlserver_values(answer: Any) -> list[float]:
    return next(output["data"] for output in answer["outputs"] if output["name"] == "yhat")


OURS_NAME = "Fleetcast"
FLASK_NAME = "gunicorn, Flask and stock Prophet"
MMS_NAME = "multi-model-server 1.1.11"
MMS_BATCHES_NAME = "multi-model-server 1.1.11, in batches"
MLSERVER_NAME = "MLServer 1.7.1"
MLSERVER_PARALLEL_NAME = "MLServer 1.7.1, 2 parallel workers"

STACKS = (
    Stack(
        OURS_NAME,
        our_launch,
        lambda customer: f'/models/{customer}/invoke {{"period": {PERIOD}}}',
        _our_values,
        prepare=_load_fleet,
    ),
    Stack(
        FLASK_NAME,
        _flask,
        _customer_line("/invocations"),
        lambda answer: [row["yhat"] for row in answer],
        engine="prophet",
    ),
    Stack(
        MMS_NAME,
        launch_multi_model_server,
        _customer_line("/predictions/customers"),
        _our_values,
        warm=10,
        prepare=register("customers", WORKERS),
    ),
    # Nobody's set-up where a model has a process of its own, because only requests of one model make a batch.
    Stack(
        MMS_BATCHES_NAME,
        launch_multi_model_server,
        _customer_line("/predictions/customers"),
        _our_values,
        warm=10,
        prepare=register("customers", WORKERS, batch=16),
    ),
    Stack(MLSERVER_NAME, launch_mlserver(0), _mlserver_line, _mlserver_values),
    Stack(MLSERVER_PARALLEL_NAME, launch_mlserver(WORKERS), _mlserver_line, _mlserver_values),
)
