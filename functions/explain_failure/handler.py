"""ExplainFailure: turn whatever the state machine caught into an email that a person can act on."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext

from fleetcast.domain.alerts import explain_failure
from fleetcast.settings import ExplainFailureSettings

logger, tracer = Logger(), Tracer()
settings = cache(lambda: ExplainFailureSettings.from_environ(os.environ))


@tracer.capture_lambda_handler
@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    state = event["state"]
    run_id = state.get("run_id") or "not begun"
    explained = explain_failure(settings().stack_name, run_id, state.get("failed") or {}, event["execution"])
    logger.error("Run failed", run_id=run_id, state=explained["state"], error=explained["error"])
    return explained
