"""GET /health: whether forecasts can be answered, and whether a run is at work."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext

from fleetcast.adapters.endpoint import endpoint_status
from fleetcast.adapters.http import api_handler
from fleetcast.adapters.run_table import RunTable
from fleetcast.domain.endpoints import is_serving
from fleetcast.errors import PlatformError
from fleetcast.settings import CheckHealthSettings

logger, tracer = Logger(), Tracer()
settings = cache(lambda: CheckHealthSettings.from_environ(os.environ))


@tracer.capture_lambda_handler
@logger.inject_lambda_context
@api_handler
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    status = endpoint_status(settings().endpoint_name)
    if not is_serving(status):
        raise PlatformError(f"endpoint {settings().endpoint_name} is {status or 'absent'}")
    lock = RunTable(settings().run_table).holder()
    return {"status": "ok", "endpoint": status, "run_in_progress": lock["holder"] if lock else None}
