"""CloseRun: write how a run ended and release its lock; also for executions that could not say so themselves."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext

from fleetcast.adapters.run_table import RunTable
from fleetcast.domain.endings import parse_ending
from fleetcast.settings import CloseRunSettings

logger, tracer = Logger(), Tracer()
settings = cache(lambda: CloseRunSettings.from_environ(os.environ))


@tracer.capture_lambda_handler
@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    ending = parse_ending(event)
    table = RunTable(settings().run_table)
    run_id, again = table.close(ending.execution_arn, ending.status, ending.facts, ending.run_id)
    logger.info("Run closed", run_id=run_id, status=ending.status, again=again)
    return {"run_id": run_id, "again": again}
