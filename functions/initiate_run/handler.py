"""InitiateRun: give the run its id, its lock, its settings and the version of its sources."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext

from fleetcast.adapters.parameter_store import read_parameters
from fleetcast.adapters.run_table import RunTable
from fleetcast.adapters.source_bundle import publish_sources
from fleetcast.domain.names import new_run_id
from fleetcast.domain.runs import Stack, plan_run
from fleetcast.domain.triggers import parse_trigger
from fleetcast.settings import InitiateRunSettings

logger, tracer = Logger(), Tracer()
settings = cache(lambda: InitiateRunSettings.from_environ(os.environ))


@tracer.capture_lambda_handler
@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    trigger = parse_trigger(event["input"])
    stack = Stack(settings().stack_name, settings().data_bucket, settings().model_bucket)
    # The lock first: of a thousand uploads all but one learn here that there is nothing to do for them. What fails
    # after it ends in CloseFailedRun, which releases it.
    outcome, run_id = RunTable(settings().run_table).acquire(new_run_id(), event["execution"], trigger)
    logger.info("Run asked for", outcome=outcome, run_id=run_id, trigger=trigger.kind, reason=trigger.reason)
    if outcome != "acquired":
        return {"started": False, "run_id": run_id, "outcome": outcome}
    parameters = read_parameters(settings().parameter_path)
    digest = publish_sources(settings().source_layer_arn, settings().data_bucket)
    return plan_run(stack, run_id, trigger, parameters, digest)
