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
_UPDATING = {"EndpointStatus": "Updating", "FailureReason": None}
_UNDEPLOYABLE = (NotHealthy, ImageError, TransferError)


class Endpoints:
    """Every endpoint of the local cloud."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._fleets: dict[str, Fleet] = {}
        self._moving: set[Fleet] = set()
        """On the way into service or out of it."""
        self._metrics: dict[tuple[str, str], VariantMetrics] = {}
        self._lock = threading.Lock()
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
        with self._lock:
            self._closing.set()
            fleets = {*self._fleets.values(), *self._moving}
            self._fleets.clear()
        in_parallel([partial(fleet.close, 0) for fleet in fleets])
        # These may be in the middle of a call to a CloudWatch that has gone: no container waits for that.
        self._watch.close()
        self._publisher.close()

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
        with self._platform.records.lock:
            current = self._updatable(name)
            self._check_scalable(current, spec)
            if params.get("RetainAllVariantProperties"):
                excluded = {
                    p["VariantPropertyType"] for p in params.get("ExcludeRetainedVariantProperties", [])
                }
                spec = deployment.retain(spec, current.get("ProductionVariants", []), excluded)
            pending = deployment.pending(config, spec, now())
            record = self._record(name, **_UPDATING, PendingDeploymentSummary=pending)
        self._tell(record)
        if "DeploymentConfig" in params:
            self._platform.records.update("Endpoint", name, LastDeploymentConfig=params["DeploymentConfig"])
        self._in_background(self._replace, name, config, spec)
        return {"EndpointArn": record["EndpointArn"]}

    def update_weights_and_capacities(self, params: dict[str, Any]) -> dict[str, Any]:
        name = params["EndpointName"]
        wanted = params["DesiredWeightsAndCapacities"]
        with self._platform.records.lock:
            self._updatable(name)
            fleet = self._fleets.get(name)
            missing = [
                w["VariantName"] for w in wanted if fleet is None or w["VariantName"] not in fleet.variants
            ]
            if fleet is None or missing:
                raise ApiError(
                    "ValidationException", f"Endpoint {name} has no variant {missing[0]} in service."
                )
            record = self._record(name, **_UPDATING)
        self._tell(record)
        self._in_background(self._scale, name, fleet, wanted)
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
        if not self._closing.is_set():
            publish(self._platform.clients, data)
        if not self._closing.is_set():
            self._platform.scaling.minute(measured)

    def _updatable(self, name: str) -> Record:
        record = find(self._platform, "Endpoint", name)
        if record["EndpointStatus"] != "InService":
            raise self._busy(record)
        return record

    def _check_scalable(self, current: Record, spec: Spec) -> None:
        """Raise ApiError if a scalable target would go away or become another size."""
        sizes = {item["VariantName"]: item["InstanceType"] for item in spec}
        for item in current["_Spec"]:
            variant, size = item["VariantName"], item["InstanceType"]
            if sizes.get(variant, "") == size or not self._platform.scaling.watches(
                current["EndpointName"], variant
            ):
                continue
            change = (
                f"change the instance type of variant {variant} from {size} to {sizes[variant]}"
                if variant in sizes
                else f"remove variant {variant}"
            )
            raise ApiError(
                "ValidationException",
                f"Cannot {change} while it is a scalable target: deregister it from Application Auto Scaling first.",
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
            fleet, _ = self._launch(name, spec)
        except _UNDEPLOYABLE as error:
            self._change(name, EndpointStatus="Failed", FailureReason=str(error)[:REASON_LIMIT])
            return
        self._in_service(name, fleet)

    def _replace(self, name: str, config: str, spec: Spec) -> None:
        try:
            fleet, old = self._launch(name, spec)
        except _UNDEPLOYABLE as error:
            # The old fleet never stopped serving.
            reason = str(error)[:REASON_LIMIT]
            self._change(name, EndpointStatus="RollingBack", FailureReason=reason)
            self._change(name, EndpointStatus="InService", PendingDeploymentSummary=None)
            return
        self._in_service(name, fleet, EndpointConfigName=config, PendingDeploymentSummary=None, _Spec=spec)
        self._retire(old)

    def _scale(self, name: str, fleet: Fleet, wanted: list[dict[str, Any]]) -> None:
        try:
            for item in wanted:
                variant = fleet.variants[item["VariantName"]]
                variant.weight = item.get("DesiredWeight", variant.weight)
                variant.scale(item.get("DesiredInstanceCount", variant.wanted))
        except _UNDEPLOYABLE as error:
            self._in_service(name, fleet, FailureReason=str(error)[:REASON_LIMIT])
            return
        record = find(self._platform, "Endpoint", name)
        summaries = [variant.summary() for variant in fleet.variants.values()]
        self._in_service(name, fleet, _Spec=deployment.retain(record["_Spec"], summaries, set()))

    def _remove(self, name: str) -> None:
        with self._lock:
            fleet = self._fleets.pop(name, None)
            self._moving |= {fleet} if fleet else set()
        self._retire(fleet)
        self._platform.records.delete("Endpoint", name)

    def _retire(self, fleet: Fleet | None) -> None:
        if fleet is not None:
            fleet.close(self._platform.timing.drain)
            self._moving.discard(fleet)

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

    def _launch(self, name: str, spec: Spec) -> tuple[Fleet, Fleet | None]:
        """Put a new fleet into service; return it and the one it replaces, if any, which nobody asks any more."""
        fleet = deployment.fleet_of(self._platform, name, spec, self._metrics_of)
        with self._lock:
            if self._closing.is_set():
                raise NotHealthy("The local cloud is being stopped.")
            self._moving.add(fleet)
        try:
            fleet.launch()
            with self._lock:
                old = self._fleets.get(name)
                self._fleets[name] = fleet
                self._moving |= {old} if old else set()
        finally:
            self._moving.discard(fleet)
        return fleet, old

    def _metrics_of(self, endpoint: str, variant: str) -> VariantMetrics:
        return self._metrics.setdefault((endpoint, variant), VariantMetrics(endpoint, variant))

    def _in_service(self, name: str, fleet: Fleet, **members: Any) -> None:
        variants = [variant.summary() for variant in fleet.variants.values()]
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
