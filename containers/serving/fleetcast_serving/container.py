"""Puts the parts of the serving container together."""

import logging
import os
import socket
import sys
from collections.abc import Callable, Sized
from functools import partial

from fleetcast.adapters.opt_ml import ml_root
from fleetcast.errors import FleetcastError
from fleetcast_serving.forecasts import inquiry
from fleetcast_serving.http.multi_model import MultiModel
from fleetcast_serving.http.single_model import SingleModel
from fleetcast_serving.metrics.measures import Measures
from fleetcast_serving.processes.books import keep_books
from fleetcast_serving.processes.sockets import allow_many_connections, listening
from fleetcast_serving.processes.supervisor import Supervisor
from fleetcast_serving.processes.worker import Assemble, Desk, work
from fleetcast_serving.registry.leases import Leases
from fleetcast_serving.repository import Models, decode, read_document, read_models
from fleetcast_serving.settings import ServingSettings


def serve() -> int:
    """Serve until SIGTERM and return the container's exit code."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="fleetcast: %(message)s")
    try:
        settings = ServingSettings.from_environment(os.environ)
        # Read before there are several processes, which then share it.
        models = None if settings.multi_model else read_models(ml_root() / "model", settings.cache_bytes)
        listeners = listening(settings.host, settings.port, settings.workers)
    except FleetcastError as error:
        print(f"fleetcast: cannot serve: {error}", file=sys.stderr)
        return 1
    allow_many_connections()
    keep = partial(keep_books, settings, read_document)
    return Supervisor(keep, partial(work, settings, _assemble(settings, models)), listeners).run()


def _assemble(settings: ServingSettings, models: Models | None) -> Assemble:
    async def assemble(keeper: socket.socket, measures: Measures, lost: Callable[[], None]) -> Desk:
        leases = await Leases(decode, settings.cache_bytes, lost).connect(keeper)
        in_flight = -(-settings.max_in_flight // settings.workers)
        if models is None:
            application = MultiModel(leases, inquiry, measures).application(in_flight)
        else:
            single = SingleModel(models, inquiry, leases.ping, measures, settings.workers)
            application = single.application(in_flight)
        ready: Sized = leases if models is None else models
        return Desk(application, leases.report, lambda: len(ready), leases.close)

    return assemble
