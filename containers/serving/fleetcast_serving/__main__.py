"""`python -m fleetcast_serving serve`: the entry point of the serving container."""

import logging
import os
import signal
import sys
from collections.abc import Sequence

import uvicorn

from fleetcast.adapters.opt_ml import ml_root
from fleetcast.errors import FleetcastError
from fleetcast_serving.contract import Application, multi_model, single_model
from fleetcast_serving.registry import Registry
from fleetcast_serving.repository import decode, read_document, read_models
from fleetcast_serving.settings import ServingSettings

# SageMaker kills 30 seconds after SIGTERM, and an answer may take its time until then.
_DRAIN_SECONDS = 25
# Longer than SageMaker's proxy keeps an idle connection, so that it is never the container that closes one.
_KEEP_ALIVE_SECONDS = 75


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM and return the container's exit code."""
    if list(arguments) != ["serve"]:
        print("usage: python -m fleetcast_serving serve", file=sys.stderr)
        return 2
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="fleetcast: %(message)s")
    try:
        settings = ServingSettings.from_environment(os.environ)
        application = _application(settings)
    except FleetcastError as error:
        print(f"fleetcast: cannot serve: {error}", file=sys.stderr)
        return 1
    return _serve(application, settings)


def _application(settings: ServingSettings) -> Application:
    if settings.multi_model:
        return multi_model(Registry(lambda url: decode(read_document(url)), settings.model_budget_bytes))
    return single_model(read_models(ml_root() / "model", settings.model_budget_bytes))


def _serve(application: Application, settings: ServingSettings) -> int:
    # uvicorn raises the signal again once it has drained; being asked to stop is not a failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    config = uvicorn.Config(
        application,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    server = uvicorn.Server(config)
    print(f"fleetcast: serving on {settings.host}:{settings.port}", flush=True)
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
