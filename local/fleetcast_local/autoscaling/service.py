"""The API of Application Auto Scaling: scalable targets, scaling policies, activities, tags."""

import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleetcast_local.autoscaling.activities import Activities
from fleetcast_local.autoscaling.alarms import Alarms
from fleetcast_local.autoscaling.requests import (
    Resource,
    check_capacity,
    check_policy,
    check_resource,
    invalid,
    matches,
    no_target,
    page,
)
from fleetcast_local.autoscaling.scaler import Scaler
from fleetcast_local.autoscaling.variants import Call, Variants
from fleetcast_local.images import Clients
from fleetcast_local.records import Record, Records
from fleetcast_local.sagemaker.platform import now
from fleetcast_local.service_model import ApiError, service_model

_TARGET = "ScalableTarget"
_POLICY = "ScalingPolicy"
_NOT_SUSPENDED = {
    "DynamicScalingInSuspended": False,
    "DynamicScalingOutSuspended": False,
    "ScheduledScalingSuspended": False,
}


class LocalAutoScaling:
    """Scales SageMaker's production variants, and keeps what may scale, between which bounds, by which policy."""

    def __init__(
        self,
        store: Path,
        clients: Clients,
        sagemaker: Call,
        *,
        account: str = "000000000000",
        region: str = "us-east-1",
    ) -> None:
        """Open the records.

        Args:
            store: the local cloud's folder.
            clients: makes a boto3 client for a service name; CloudWatch shows the policies' alarms.
            sagemaker: SageMaker's API, called with an operation and its parameters.
            account: the account id of the ARNs.
            region: the Region of the ARNs.
        """
        self._records = Records(store / "state" / "autoscaling")
        # A policy is two alarms and a record, and CloudWatch takes its time: the records' lock is not kept for it.
        self._changing = threading.RLock()
        self._account = account
        self._region = region
        self._variants = Variants(sagemaker)
        self._alarms = Alarms(clients, region, account)
        self._activities = Activities(self._records, self._variants)
        self._scaler = Scaler(self, self._variants, self._activities, self._alarms)
        self._model = service_model("application-autoscaling")
        self._handlers = {
            "RegisterScalableTarget": self._register,
            "DescribeScalableTargets": self._describe_targets,
            "DeregisterScalableTarget": self._deregister,
            "PutScalingPolicy": self._put_policy,
            "DescribeScalingPolicies": self._describe_policies,
            "DeleteScalingPolicy": self._delete_policy,
            "DescribeScalingActivities": self._describe_activities,
            "ListTagsForResource": self._list_tags,
        }

    def call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Answer an operation, or raise ApiError."""
        handler = self._handlers.get(operation)
        if handler is None:
            raise ApiError(
                "UnknownOperationException", f"The local Auto Scaling has no operation {operation}."
            )
        self._model.check(operation, params)
        return self._model.answer(operation, handler(params))

    def targets(self) -> list[Record]:
        return self._records.all(_TARGET)

    def policies(self, resource_id: str) -> list[Record]:
        return [policy for policy in self._records.all(_POLICY) if policy["ResourceId"] == resource_id]

    def minute(self, measured: Mapping[tuple[str, str], float]) -> None:
        """Scale by what the variants, named by endpoint and variant, were asked for per instance in a minute."""
        self._scaler.minute(measured)

    def watches(self, endpoint: str, variant: str) -> bool:
        """Whether the variant is a scalable target."""
        return self._records.get(_TARGET, Resource(endpoint, variant).id) is not None

    def forget(self, endpoint: str) -> None:
        """Deregister the variants of an endpoint that is deleted, as AWS does without saying so."""
        for target in self.targets():
            if Resource.of(target["ResourceId"]).endpoint == endpoint:
                self._remove(target["ResourceId"])

    def _register(self, params: dict[str, Any]) -> dict[str, Any]:
        resource = check_resource(params)
        if self._variants.capacity(resource) is None:
            raise invalid(
                f'Could not find endpoint "{resource.endpoint}" with a variant "{resource.variant}".'
            )
        with self._records.lock:
            existing = self._records.get(_TARGET, resource.id)
            missing = {"MinCapacity", "MaxCapacity"} - set(params)
            if existing is None and missing:
                raise invalid(f"{', '.join(sorted(missing))} must be given for a new scalable target")
            old = existing or self._new_target(resource.id)
            record = old | {name: value for name, value in params.items() if name != "Tags"}
            check_capacity(record["MinCapacity"], record["MaxCapacity"])
            record["SuspendedState"] = old["SuspendedState"] | params.get("SuspendedState", {})
            record["_Tags"] = record.get("_Tags", {}) | params.get("Tags", {})
            self._records.put(_TARGET, resource.id, record)
        self._scaler.registered(resource, record)
        return {"ScalableTargetARN": record["ScalableTargetARN"]}

    def _new_target(self, name: str) -> Record:
        role = "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
        path = f"aws-service-role/sagemaker.application-autoscaling.amazonaws.com/{role}"
        identity = uuid.uuid5(uuid.NAMESPACE_URL, name).hex
        return {
            "CreationTime": now(),
            "RoleARN": f"arn:aws:iam::{self._account}:role/{path}",
            "ScalableTargetARN": f"arn:aws:application-autoscaling:{self._region}:{self._account}:"
            f"scalable-target/{identity}",
            "SuspendedState": dict(_NOT_SUSPENDED),
        }

    def _describe_targets(self, params: dict[str, Any]) -> dict[str, Any]:
        ids = params.get("ResourceIds")
        found = [
            target
            for target in self.targets()
            if matches(target, params) and (not ids or target["ResourceId"] in ids)
        ]
        return page("ScalableTargets", found, params)

    def _deregister(self, params: dict[str, Any]) -> dict[str, Any]:
        if not self._remove(check_resource(params).id):
            raise no_target(params)
        return {}

    def _remove(self, resource_id: str) -> bool:
        with self._changing:
            found = self._records.delete(_TARGET, resource_id)
            for policy in self.policies(resource_id):
                self._remove_policy(policy)
        return found

    def _put_policy(self, params: dict[str, Any]) -> dict[str, Any]:
        resource = check_resource(params)
        check_policy(params)
        key = _policy_key(params)
        with self._changing:
            if self._records.get(_TARGET, resource.id) is None:
                raise no_target(params)
            policy = (self._records.get(_POLICY, key) or self._new_policy(params)) | params
            policy["Alarms"] = self._alarms.put(policy)
            self._records.put(_POLICY, key, policy)
        return {"PolicyARN": policy["PolicyARN"], "Alarms": policy["Alarms"]}

    def _new_policy(self, params: dict[str, Any]) -> Record:
        return {
            "CreationTime": now(),
            "PolicyARN": f"arn:aws:autoscaling:{self._region}:{self._account}:scalingPolicy:{uuid.uuid4()}:"
            f"resource/sagemaker/{params['ResourceId']}:policyName/{params['PolicyName']}",
            "Alarms": [],
        }

    def _describe_policies(self, params: dict[str, Any]) -> dict[str, Any]:
        names = params.get("PolicyNames")
        found = [
            policy
            for policy in self._records.all(_POLICY)
            if matches(policy, params) and (not names or policy["PolicyName"] in names)
        ]
        return page("ScalingPolicies", found, params)

    def _delete_policy(self, params: dict[str, Any]) -> dict[str, Any]:
        check_resource(params)
        with self._changing:
            policy = self._records.get(_POLICY, _policy_key(params))
            if policy is None:
                raise ApiError(
                    "ObjectNotFoundException",
                    f"No scaling policy found for service namespace: sagemaker, resource ID: {params['ResourceId']}, "
                    f"scalable dimension: {params['ScalableDimension']}, policy name: {params['PolicyName']}",
                )
            self._remove_policy(policy)
        return {}

    def _remove_policy(self, policy: Record) -> None:
        self._records.delete(_POLICY, _policy_key(policy))
        self._alarms.delete(policy)

    def _describe_activities(self, params: dict[str, Any]) -> dict[str, Any]:
        self._scaler.settle()
        found = [activity for activity in self._activities.newest_first() if matches(activity, params)]
        return page("ScalingActivities", found, params)

    def _list_tags(self, params: dict[str, Any]) -> dict[str, Any]:
        for target in self.targets():
            if target["ScalableTargetARN"] == params["ResourceARN"]:
                return {"Tags": target["_Tags"]}
        raise ApiError("ResourceNotFoundException", f"The resource {params['ResourceARN']} does not exist.")


def _policy_key(policy: dict[str, Any]) -> str:
    return f"{policy['ResourceId']}#{policy['PolicyName']}"
