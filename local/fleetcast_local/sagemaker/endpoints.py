"""Endpoints: deployed, updated without dropping a request, scaled, watched, and started again after a restart."""

import logging
import shutil
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from fleetcast_local.images import ImageError
from fleetcast_local.records import Record
from fleetcast_local.sagemaker import deployment
from fleetcast_local.sagemaker.deployment import Spec
from fleetcast_local.sagemaker.fleet import Fleet, in_parallel
from fleetcast_local.sagemaker.hosts import Periodic
from fleetcast_local.sagemaker.instance import NotHealthy
from fleetcast_local.sagemaker.jobs import REASON_LIMIT
from fleetcast_local.sagemaker.platform import Platform, now
from fleetcast_local.sagemaker.records_api import find
from fleetcast_local.sagemaker.transfer import TransferError
from fleetcast_local.sagemaker.variant_metrics import VariantMetrics, publish
from fleetcast_local.service_model import ApiError

Handler = Callable[[dict[str, Any]], dict[str, Any]]

logger = logging.getLogger(__name__)

_WATCH_EVERY = 0.5
_LIVE = {"InService", "Updating", "SystemUpdating", "RollingBack"}
_UNDEPLOYABLE = (NotHealthy, ImageError, TransferError)


class Endpoints:
    """Every endpoint of the local cloud."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._fleets: dict[str, Fleet] = {}
        self._deploying: set[Fleet] = set()
        self._metrics: dict[tuple[str, str], VariantMetrics] = {}
        self._closing = threading.Event()
        self._watch = Periodic(self._revive, _WATCH_EVERY, "endpoint watch")
        self._publisher = Periodic(self.end_minute, platform.timing.minute, "endpoint metrics")

    def handlers(self) -> dict[str, Handler]:
        return {
            "CreateEndpoint": self.create,
            "UpdateEndpoint": self.update,
            "UpdateEndpointWeightsAndCapacities": self.update_weights_and_capacities,
            "DeleteEndpoint": self.delete,
        }

    def fleet(self, name: str) -> Fleet | None:
        return self._fleets.get(name)

    def is_returning(self, name: str) -> bool:
        """Return whether the endpoint is being brought back after a restart."""
        return (self._platform.records.get("Endpoint", name) or {}).get("EndpointStatus") == "SystemUpdating"

    def start(self) -> None:
        """Start watching, and bring back the endpoints of before; return when each serves or has failed."""
        shutil.rmtree(self._platform.store / "endpoints", ignore_errors=True)
        self._watch.start()
        self._publisher.start()
        records = self._platform.records.all("Endpoint")
        in_parallel([partial(self._bring_back, record) for record in records])

    def shutdown(self) -> None:
        """End every container; the records stay, so that start can bring the endpoints back."""
        self._closing.set()
        self._watch.close()
        self._publisher.close()
        fleets = [*self._fleets.values(), *self._deploying]
        self._fleets.clear()
        in_parallel([partial(fleet.close, 0) for fleet in fleets])

    def create(self, params: dict[str, Any]) -> dict[str, Any]:
        name = params["EndpointName"]
        spec = deployment.spec_of(self._platform, params["EndpointConfigName"])
        arn = self._platform.arn("Endpoint", name)
        with self._platform.records.lock:
            if self._platform.records.get("Endpoint", name) is not None:
                raise ApiError("ValidationException", f'Cannot create already existing endpoint "{arn}".')
            moment = now()
            record = {
                "EndpointName": name,
                "EndpointArn": arn,
                "EndpointConfigName": params["EndpointConfigName"],
                "EndpointStatus": "Creating",
                "CreationTime": moment,
                "LastModifiedTime": moment,
                "LastDeploymentConfig": params.get("DeploymentConfig"),
                "_Spec": spec,
                "_Tags": params.get("Tags", []),
            }
            self._platform.records.put("Endpoint", name, record)
        self._tell(record)
        self._in_background(self._deploy_first, name, spec)
        return {"EndpointArn": arn}

    def update(self, params: dict[str, Any]) -> dict[str, Any]:
        name, config = params["EndpointName"], params["EndpointConfigName"]
        spec = deployment.spec_of(self._platform, config)
        current = find(self._platform, "Endpoint", name)
        self._check_sizes(name, current, spec)
        if params.get("RetainAllVariantProperties"):
            excluded = {p["VariantPropertyType"] for p in params.get("ExcludeRetainedVariantProperties", [])}
            spec = deployment.retain(spec, current.get("ProductionVariants", []), excluded)
        pending = deployment.pending(config, spec, now())
        record = self._begin_update(name, PendingDeploymentSummary=pending)
        if "DeploymentConfig" in params:
            self._platform.records.update("Endpoint", name, LastDeploymentConfig=params["DeploymentConfig"])
        self._in_background(self._replace, name, config, spec)
        return {"EndpointArn": record["EndpointArn"]}

    def update_weights_and_capacities(self, params: dict[str, Any]) -> dict[str, Any]:
        name = params["EndpointName"]
        find(self._platform, "Endpoint", name)
        fleet = self._fleets.get(name)
        wanted = params["DesiredWeightsAndCapacities"]
        for item in wanted:
            if fleet is None or item["VariantName"] not in fleet.variants:
                raise ApiError(
                    "ValidationException", f"Endpoint {name} has no variant {item['VariantName']} in service."
                )
        record = self._begin_update(name)
        self._in_background(self._scale, name, wanted)
        return {"EndpointArn": record["EndpointArn"]}

    def delete(self, params: dict[str, Any]) -> dict[str, Any]:
        name = params["EndpointName"]
        with self._platform.records.lock:
            record = find(self._platform, "Endpoint", name)
            if record["EndpointStatus"] not in {"InService", "Failed", "OutOfService"}:
                raise self._busy(record)
            record = self._record(name, EndpointStatus="Deleting")
        self._tell(record)
        self._platform.scaling.forget(name)
        self._in_background(self._remove, name)
        return {}

    def end_minute(self) -> None:
        """Send to CloudWatch what every variant did since the last time, and let autoscaling look at it."""
        data, measured = [], {}
        for (endpoint, variant), metrics in list(self._metrics.items()):
            fleet = self._fleets.get(endpoint)
            in_service = fleet is not None and variant in fleet.variants
            minute = metrics.take(in_service=in_service)
            data += minute.data
            if in_service:
                measured[endpoint, variant] = minute.invocations_per_instance
        publish(self._platform.clients, data)
        self._platform.scaling.minute(measured)

    def _begin_update(self, name: str, **members: Any) -> Record:
        with self._platform.records.lock:
            record = find(self._platform, "Endpoint", name)
            if record["EndpointStatus"] != "InService":
                raise self._busy(record)
            record = self._record(name, EndpointStatus="Updating", FailureReason=None, **members)
        self._tell(record)
        return record

    def _check_sizes(self, name: str, current: Record, spec: Spec) -> None:
        sizes = {item["VariantName"]: item["InstanceType"] for item in current["_Spec"]}
        for item in spec:
            variant, size = item["VariantName"], item["InstanceType"]
            if size != sizes.get(variant, size) and self._platform.scaling.watches(name, variant):
                raise ApiError(
                    "ValidationException",
                    f"Cannot change the instance type of variant {variant} from {sizes[variant]} to {size} while it is "
                    "a scalable target: deregister it from Application Auto Scaling first.",
                )

    def _busy(self, record: Record) -> ApiError:
        status = record["EndpointStatus"]
        if status == "Failed":
            return ApiError(
                "ValidationException", f'Cannot update failed endpoint "{record["EndpointArn"]}". Delete it.'
            )
        return ApiError(
            "ValidationException",
            f'Cannot update in-progress endpoint "{record["EndpointArn"]}" (status {status}).',
        )

    def _deploy_first(self, name: str, spec: Spec) -> None:
        try:
            fleet = self._launch(name, spec)
        except _UNDEPLOYABLE as error:
            self._change(name, EndpointStatus="Failed", FailureReason=str(error)[:REASON_LIMIT])
            return
        self._fleets[name] = fleet
        self._in_service(name)

    def _replace(self, name: str, config: str, spec: Spec) -> None:
        try:
            fleet = self._launch(name, spec)
        except _UNDEPLOYABLE as error:
            # The old fleet never stopped serving.
            reason = str(error)[:REASON_LIMIT]
            self._change(name, EndpointStatus="RollingBack", FailureReason=reason)
            self._change(name, EndpointStatus="InService", PendingDeploymentSummary=None)
            return
        old = self._fleets.get(name)
        self._fleets[name] = fleet
        self._in_service(name, EndpointConfigName=config, PendingDeploymentSummary=None, _Spec=spec)
        if old is not None:
            old.close(self._platform.timing.drain)

    def _scale(self, name: str, wanted: list[dict[str, Any]]) -> None:
        fleet = self._fleets[name]
        try:
            for item in wanted:
                variant = fleet.variants[item["VariantName"]]
                variant.weight = item.get("DesiredWeight", variant.weight)
                variant.scale(item.get("DesiredInstanceCount", variant.wanted))
        except _UNDEPLOYABLE as error:
            self._in_service(name, FailureReason=str(error)[:REASON_LIMIT])
            return
        record = find(self._platform, "Endpoint", name)
        summaries = [variant.summary() for variant in fleet.variants.values()]
        self._in_service(name, _Spec=deployment.retain(record["_Spec"], summaries, set()))

    def _remove(self, name: str) -> None:
        fleet = self._fleets.pop(name, None)
        if fleet is not None:
            fleet.close(self._platform.timing.drain)
        self._platform.records.delete("Endpoint", name)

    def _bring_back(self, record: Record) -> None:
        name, status = record["EndpointName"], record["EndpointStatus"]
        if status == "Deleting":
            self._platform.records.delete("Endpoint", name)
        elif status == "Creating":
            self._deploy_first(name, record["_Spec"])
        elif status in _LIVE:
            if status != "InService":
                reason = (
                    "The local cloud was stopped during an update; the configuration of before it serves."
                )
                self._platform.records.update(
                    "Endpoint", name, FailureReason=reason, PendingDeploymentSummary=None
                )
            self._change(name, EndpointStatus="SystemUpdating")
            self._deploy_first(name, record["_Spec"])

    def _launch(self, name: str, spec: Spec) -> Fleet:
        fleet = deployment.fleet_of(self._platform, name, spec, self._metrics_of)
        self._deploying.add(fleet)
        try:
            fleet.launch()
        finally:
            self._deploying.discard(fleet)
        return fleet

    def _metrics_of(self, endpoint: str, variant: str) -> VariantMetrics:
        return self._metrics.setdefault((endpoint, variant), VariantMetrics(endpoint, variant))

    def _in_service(self, name: str, **members: Any) -> None:
        variants = [variant.summary() for variant in self._fleets[name].variants.values()]
        self._change(name, EndpointStatus="InService", ProductionVariants=variants, **members)

    def _change(self, name: str, **members: Any) -> None:
        # What a shutdown does to a deployment is not the deployment's outcome.
        if not self._closing.is_set():
            self._tell(self._record(name, **members))

    def _record(self, name: str, **members: Any) -> Record:
        return self._platform.records.update("Endpoint", name, **members, LastModifiedTime=now()) or {}

    def _tell(self, record: Record) -> None:
        if record:
            self._platform.tell("SageMaker Endpoint State Change", deployment.event(record))

    def _revive(self) -> None:
        for fleet in list(self._fleets.values()):
            for variant in fleet.variants.values():
                variant.revive()

    def _in_background(self, function: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(
            target=function, args=arguments, name=f"endpoint {arguments[0]}", daemon=True
        ).start()
