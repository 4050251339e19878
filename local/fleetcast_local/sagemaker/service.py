"""The local SageMaker: control plane and data plane behind two functions."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fleetcast_local.images import ImageStore
from fleetcast_local.records import Records
from fleetcast_local.sagemaker.endpoints import Endpoints
from fleetcast_local.sagemaker.invocation import Invoker, InvokeResponse
from fleetcast_local.sagemaker.job_operations import JobOperations
from fleetcast_local.sagemaker.models import Models
from fleetcast_local.sagemaker.platform import CachedClients, Emit, Platform, Timing, ignore_events
from fleetcast_local.sagemaker.records_api import RecordsApi
from fleetcast_local.sagemaker.registry import Registry
from fleetcast_local.sagemaker.scaling import Scaling, Unscaled
from fleetcast_local.service_model import ApiError, service_model

logger = logging.getLogger(__name__)

__all__ = ["ApiError", "InvokeResponse", "LocalSageMaker", "Timing"]


class LocalSageMaker:
    """SageMaker on one machine: jobs are processes that see `/opt/ml`, endpoints are serving processes.

    A managed spot job is interrupted by `interrupt`, or by an empty file `interrupt/<job name>` in the store.
    """

    def __init__(  # noqa: PLR0913 - where it lives, whom it talks to, how it is named: a frozen set of facts
        self,
        store: Path,
        clients: Callable[[str], Any],
        *,
        account: str = "000000000000",
        region: str = "us-east-1",
        environment: Mapping[str, str] | None = None,
        emit: Emit = ignore_events,
        timing: Timing | None = None,
        scaling: Scaling | None = None,
    ) -> None:
        """Make a SageMaker that is not yet started.

        Args:
            store: the local cloud's folder; records, job trees, logs and images have their places in it.
            clients: makes a boto3 client for a service name.
            account: the account id of the ARNs.
            region: the Region of the ARNs.
            environment: what containers need to reach the local cloud.
            emit: called with source, detail type and detail of each state change.
            timing: the platform's waits.
            scaling: who scales the endpoints' variants, if anybody does.
        """
        cached = CachedClients(clients)
        store = store.absolute()
        self._model = service_model("sagemaker")
        self._platform = Platform(
            store=store,
            clients=cached,
            records=Records(store / "state" / "sagemaker"),
            images=ImageStore(store / "images", cached),
            environment=dict(environment or {}),
            account=account,
            region=region,
            emit=emit,
            timing=timing or Timing(),
            scaling=scaling or Unscaled(),
        )
        self._jobs = JobOperations(self._platform)
        self._endpoints = Endpoints(self._platform)
        self._invoker = Invoker(self._platform, self._endpoints)
        self._handlers = (
            RecordsApi(self._platform, self._model).handlers()
            | self._jobs.handlers()
            | Models(self._platform).handlers()
            | self._endpoints.handlers()
            | Registry(self._platform, self._model).handlers()
        )

    def call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Answer a control-plane operation, or raise ApiError."""
        handler = self._handlers.get(operation)
        if handler is None:
            raise ApiError("UnknownOperationException", f"The local SageMaker has no operation {operation}.")
        self._model.check(operation, params)
        return self._model.answer(operation, handler(params))

    def invoke(self, endpoint: str, body: bytes, headers: Mapping[str, str]) -> InvokeResponse:
        """Answer InvokeEndpoint; errors are answers too, as the runtime API writes them."""
        return self._invoker.invoke(endpoint, body, headers)

    def interrupt(self, training_job: str) -> None:
        """Kill the hosts of a managed spot job without notice; they start again from their checkpoints."""
        self._jobs.interrupt(training_job)

    def start(self) -> None:
        """Clean up after a crash, and bring back the endpoints; returns when they serve or have failed."""
        self._jobs.start()
        self._endpoints.start()

    def stop(self) -> None:
        """End every process; jobs fail, endpoints are brought back by the next start."""
        self._jobs.shutdown()
        self._endpoints.shutdown()

    def end_minute(self) -> None:
        """End the metrics' minute now: CloudWatch gets them, and autoscaling looks at them."""
        self._endpoints.end_minute()
