"""EvaluateRun: write the ledger, judge the fleet, and list the pointers that may move."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from fleetcast.adapters.run_reports import read_customers, read_quality, read_training, write_report
from fleetcast.adapters.run_table import RunTable
from fleetcast.domain.alerts import summarise_run
from fleetcast.domain.gate import Gate, build_ledger
from fleetcast.settings import EvaluateRunSettings

logger, tracer, metrics = Logger(), Tracer(), Metrics()
settings = cache(lambda: EvaluateRunSettings.from_environ(os.environ))


@tracer.capture_lambda_handler
@metrics.log_metrics
@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    run_id, uris = event["run_id"], event["uris"]
    quality, intake = read_quality(uris["quality"])
    former = RunTable(settings().run_table).last_successful()
    expected = read_customers(settings().data_bucket, former) if former else []
    ledger = build_ledger(run_id, quality, read_training(uris["checkpoints"]), expected)
    verdict = Gate(**event["gate"]).judge(ledger)
    write_report(settings().data_bucket, run_id, ledger, verdict)
    metrics.add_metric("CustomersTrained", MetricUnit.Count, verdict.trained)
    metrics.add_metric("CustomersWithoutNewModel", MetricUnit.Count, verdict.customers - verdict.trained)
    logger.info("Run judged", run_id=run_id, verdict=verdict.to_document())
    summary = verdict.to_document()
    alert = summarise_run(settings().stack_name, summary, run_id, intake)
    return {"accepted": verdict.accepted, "summary": summary, "alert": alert.to_document()}
