"""PlanEndpoint: compare the endpoint with the one this run needs and name the next step."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext

from fleetcast.adapters.endpoint import describe_endpoint
from fleetcast.domain.endpoints import Serving, choose_action
from fleetcast.settings import PlanEndpointSettings

logger, tracer = Logger(), Tracer()
settings = cache(lambda: PlanEndpointSettings.from_environ(os.environ))


@tracer.capture_lambda_handler
@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    budget = event["serving"]["model_budget_mb"] * 1024 * 1024
    environment = {"FLEETCAST_MODEL_BUDGET_BYTES": str(budget)}
    wanted = Serving(event["image"], event["models"], event["serving"]["instance_type"], environment)
    current = describe_endpoint(settings().endpoint_name)
    action = choose_action(wanted, current)
    logger.info("Endpoint planned", action=action, status=current.status if current else None)
    return {"action": action, "environment": environment}
