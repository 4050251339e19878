"""ApplySchedule: a changed parameter below schedule/ changes when runs start by themselves."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext

from fleetcast.adapters.parameter_store import read_parameters
from fleetcast.adapters.schedule import update_schedule
from fleetcast.settings import ApplyScheduleSettings

logger, tracer = Logger(), Tracer()
settings = cache(lambda: ApplyScheduleSettings.from_environ(os.environ))


@tracer.capture_lambda_handler
@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> None:
    parameters = read_parameters(settings().parameter_path, "schedule")
    update_schedule(
        settings().schedule_name,
        expression=str(parameters["schedule/expression"]),
        time_zone=str(parameters["schedule/time_zone"]),
        state=str(parameters["schedule/state"]),
    )
    logger.info("Schedule applied", changed=event["detail"]["name"])
