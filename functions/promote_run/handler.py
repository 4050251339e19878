"""PromoteRun: move one batch of pointers to the models of this run."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from fleetcast.adapters.pointer_table import PointerTable
from fleetcast.adapters.run_reports import read_promotions
from fleetcast.settings import PromoteRunSettings

logger, tracer, metrics = Logger(), Tracer(), Metrics()
settings = cache(lambda: PromoteRunSettings.from_environ(os.environ))


@tracer.capture_lambda_handler
@metrics.log_metrics
@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    run_id, cursor = event["run_id"], event["cursor"]
    releases = read_promotions(settings().data_bucket, run_id)
    batch = releases[cursor : cursor + settings().batch_size]
    moved = PointerTable(settings().pointer_table).promote(batch, by=run_id)
    metrics.add_metric("PointersMoved", MetricUnit.Count, moved)
    logger.info("Batch promoted", run_id=run_id, cursor=cursor, moved=moved)
    return {"cursor": cursor + len(batch), "done": cursor + len(batch) >= len(releases)}
