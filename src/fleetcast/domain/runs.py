"""The plan of one run: every name, prefix and setting that the states after InitiateRun need."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleetcast.domain.parameters import Value
from fleetcast.domain.triggers import Trigger
from fleetcast.errors import SettingError

# SageMaker names end at 63 characters; the run id, a job's suffix and the retry count take the other 35,
# and SageMaker lower-cases names in ARNs, so policies need them in lower case from the start.
_STACK_NAME = re.compile(r"[a-z][a-z0-9-]{0,27}")


@dataclass(frozen=True)
class Stack:
    """Where a stack keeps its things."""

    name: str
    data_bucket: str
    model_bucket: str

    def __post_init__(self) -> None:
        if not _STACK_NAME.fullmatch(self.name):
            raise SettingError(
                f"stack name {self.name!r} cannot name SageMaker jobs: use 1 to 28 lower-case letters, digits and"
                " hyphens, beginning with a letter, and deploy under that name"
            )


def plan_run(
    stack: Stack, run_id: str, trigger: Trigger, parameters: Mapping[str, Value], source_digest: str
) -> dict[str, Any]:
    """Return the document that the state machine carries: settings and S3 keys, never data.

    Args:
        stack: names of the stack's resources.
        run_id: see `fleetcast.domain.names.new_run_id`.
        trigger: why the run starts.
        parameters: typed values by name, see `fleetcast.domain.parameters`.
        source_digest: 16 hexadecimal digits that name the version of the containers' sources.
    """
    data, models = f"s3://{stack.data_bucket}", f"s3://{stack.model_bucket}"
    return {
        "run_id": run_id,
        "started": True,
        "trigger": {"kind": trigger.kind, "reason": trigger.reason},
        "settle_seconds": parameters["data/settle_seconds"] if trigger.settles else 0,
        "source": {"digest": source_digest, "location": f"{stack.data_bucket}/source/{source_digest}.zip"},
        "names": {
            "processing_job": f"{stack.name}-{run_id}-prepare",
            "training_job": f"{stack.name}-{run_id}-train",
            "model": f"{stack.name}-{run_id}",
        },
        "uris": {
            "raw": f"{data}/raw/",
            "series": f"{data}/prepared/{run_id}/series/",
            "quality": f"{data}/prepared/{run_id}/quality/",
            "models": f"{models}/models/",
            "checkpoints": f"{models}/models/{run_id}/",
            "run": f"{data}/runs/{run_id}/",
            "training_output": f"{data}/runs/{run_id}/training/",
        },
        "preparation": _preparation(run_id, parameters),
        "training": _training(run_id, parameters),
        "gate": _group(parameters, "gate"),
        "serving": _group(parameters, "serving"),
        "promotion": {"cursor": 0, "done": False},
        "polls": 0,
    }


def _group(parameters: Mapping[str, Value], group: str) -> dict[str, Value]:
    return {name.split("/")[1]: value for name, value in parameters.items() if name.startswith(f"{group}/")}


def _preparation(run_id: str, parameters: Mapping[str, Value]) -> dict[str, Any]:
    settings = _group(parameters, "data")
    containers = (
        "customer_column",
        "timestamp_column",
        "value_column",
        "time_zone",
        "customers_per_object",
        "max_objects",
    )
    environment = {f"FLEETCAST_{name.upper()}": str(settings[name]) for name in containers}
    return {
        "instance_type": settings["instance_type"],
        "volume_gb": settings["volume_gb"],
        "max_runtime_seconds": settings["max_runtime_seconds"],
        "environment": {"FLEETCAST_RUN_ID": run_id, **environment},
    }


def _training(run_id: str, parameters: Mapping[str, Value]) -> dict[str, Any]:
    settings = _group(parameters, "training")
    stopping = {"MaxRuntimeInSeconds": settings["max_runtime_seconds"]}
    if settings["use_spot"]:  # the service refuses a waiting time on a job that does not wait for spot
        stopping["MaxWaitTimeInSeconds"] = settings["max_wait_seconds"]
    algorithm = (
        "horizon",
        "origins",
        "engine",
        "families",
        "minimum_rows",
        "customer_timeout_seconds",
        "customer_memory_mb",
    )
    return {
        "instance_type": settings["instance_type"],
        "instance_count": settings["instance_count"],
        "volume_gb": settings["volume_gb"],
        "use_spot": settings["use_spot"],
        "stopping_condition": stopping,
        # The platform hands hyperparameters over as text, whatever they are.
        "hyperparameters": {"run_id": run_id, **{name: str(settings[name]) for name in algorithm}},
    }


def ledger_key(run_id: str) -> str:
    return f"ledger/run_id={run_id}/part-0.parquet"


def decisions_key(run_id: str) -> str:
    return f"runs/{run_id}/decisions.jsonl.gz"


def metrics_key(run_id: str) -> str:
    return f"runs/{run_id}/metrics.json"
