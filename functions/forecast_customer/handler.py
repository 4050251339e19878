"""POST /customers/{customer_id}/forecasts: look up the customer's model and ask the endpoint for its forecast."""

import os
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext

from fleetcast.adapters.endpoint import invoke
from fleetcast.adapters.http import Text, accepted, api_handler, customer_in_path
from fleetcast.adapters.pointer_cache import PointerCache
from fleetcast.adapters.pointer_table import PointerTable
from fleetcast.domain.forecasts import ForecastRequest, answer, to_csv
from fleetcast.domain.media_types import CSV, JSON
from fleetcast.settings import ForecastCustomerSettings

logger, tracer, metrics = Logger(), Tracer(), Metrics()
settings = cache(lambda: ForecastCustomerSettings.from_environ(os.environ))
pointers = cache(
    lambda: PointerCache(PointerTable(settings().pointer_table), settings().pointer_cache_seconds)
)


@tracer.capture_lambda_handler
@metrics.log_metrics
@logger.inject_lambda_context
@api_handler
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any] | Text:
    metrics.add_metric("Requests", "Count", 1)  # refused ones too: Powertools warns of an empty set
    customer_id = customer_in_path(event)
    media_type = accepted(event, JSON, CSV)
    request = ForecastRequest.from_event(event)
    release = pointers().get(customer_id)
    forecast = invoke(settings().endpoint_name, release.key, request.to_document())
    metrics.add_metric("Forecasts", "Count", 1)
    document = answer(customer_id, release, forecast, datetime.now(UTC))
    return Text(to_csv(document), CSV) if media_type == CSV else document
