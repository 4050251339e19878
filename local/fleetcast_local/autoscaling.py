"""Application Auto Scaling's records: what may scale, between which bounds, by which policy.

They are kept and checked as AWS does. Nothing scales here yet: a scaler reads `targets` and `policies`.
"""

import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fleetcast_local.records import Record, Records
from fleetcast_local.sagemaker.platform import now
from fleetcast_local.service_model import ApiError, service_model

_TARGET = "ScalableTarget"
_POLICY = "ScalingPolicy"
_VARIANT = re.compile(r"endpoint/(?P<endpoint>[^/]+)/variant/(?P<variant>[^/]+)")
_DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_METRICS = {
    "SageMakerVariantInvocationsPerInstance",
    "SageMakerVariantConcurrentRequestsPerModelHighResolution",
}
_DEFAULT_PAGE = 50

VariantExists = Callable[[str, str], bool]


def any_variant(endpoint: str, variant: str) -> bool:  # noqa: ARG001 - the shape of the question
    """Accept every variant: nobody can be asked."""
    return True


class LocalAutoScaling:
    """Scalable targets and scaling policies of SageMaker's production variants."""

    def __init__(
        self,
        store: Path,
        *,
        account: str = "000000000000",
        region: str = "us-east-1",
        variant_exists: VariantExists = any_variant,
    ) -> None:
        """Open the records.

        Args:
            store: the local cloud's folder.
            account: the account id of the ARNs.
            region: the Region of the ARNs.
            variant_exists: tells whether an endpoint has a variant; AWS refuses a target without one.
        """
        self._records = Records(store / "state" / "autoscaling")
        self._account = account
        self._region = region
        self._variant_exists = variant_exists
        self._model = service_model("application-autoscaling")
        self._handlers = {
            "RegisterScalableTarget": self._register,
            "DescribeScalableTargets": self._describe_targets,
            "DeregisterScalableTarget": self._deregister,
            "PutScalingPolicy": self._put_policy,
            "DescribeScalingPolicies": self._describe_policies,
            "DeleteScalingPolicy": self._delete_policy,
            "DescribeScalingActivities": lambda _: {"ScalingActivities": []},
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

    def _register(self, params: dict[str, Any]) -> dict[str, Any]:
        self._check_resource(params)
        name = params["ResourceId"]
        with self._records.lock:
            existing = self._records.get(_TARGET, name)
            missing = {"MinCapacity", "MaxCapacity"} - set(params)
            if existing is None and missing:
                raise _invalid(f"{', '.join(sorted(missing))} must be given for a new scalable target")
            record = (existing or self._new_target(name)) | {k: v for k, v in params.items() if k != "Tags"}
            _check_capacity(record["MinCapacity"], record["MaxCapacity"])
            record["_Tags"] = record.get("_Tags", {}) | params.get("Tags", {})
            self._records.put(_TARGET, name, record)
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
            "SuspendedState": {
                "DynamicScalingInSuspended": False,
                "DynamicScalingOutSuspended": False,
                "ScheduledScalingSuspended": False,
            },
        }

    def _check_resource(self, params: dict[str, Any]) -> None:
        if params["ServiceNamespace"] != "sagemaker":
            raise _invalid(
                f"the local cloud scales the namespace sagemaker, not {params['ServiceNamespace']}"
            )
        match = _VARIANT.fullmatch(params["ResourceId"])
        if match is None:
            raise _invalid(
                f"Unsupported service namespace, resource type or scalable dimension: {params['ResourceId']} is not "
                "endpoint/<endpoint>/variant/<variant>"
            )
        if params["ScalableDimension"] != _DIMENSION:
            raise _invalid(
                f"ScalableDimension of a variant must be {_DIMENSION}, not {params['ScalableDimension']}"
            )
        if not self._variant_exists(match["endpoint"], match["variant"]):
            raise _invalid(
                f'Could not find endpoint "{match["endpoint"]}" with a variant "{match["variant"]}".'
            )

    def _describe_targets(self, params: dict[str, Any]) -> dict[str, Any]:
        ids = params.get("ResourceIds")
        found = [target for target in self.targets() if not ids or target["ResourceId"] in ids]
        return _page("ScalableTargets", found, params)

    def _deregister(self, params: dict[str, Any]) -> dict[str, Any]:
        name = params["ResourceId"]
        if not self._records.delete(_TARGET, name):
            raise self._no_target(params)
        for policy in self.policies(name):
            self._records.delete(_POLICY, _policy_key(policy))
        return {}

    def _put_policy(self, params: dict[str, Any]) -> dict[str, Any]:
        self._check_policy(params)
        key = _policy_key(params)
        with self._records.lock:
            if self._records.get(_TARGET, params["ResourceId"]) is None:
                raise self._no_target(params)
            existing = self._records.get(_POLICY, key) or {
                "CreationTime": now(),
                "PolicyARN": f"arn:aws:autoscaling:{self._region}:{self._account}:scalingPolicy:{uuid.uuid4()}:"
                f"resource/sagemaker/{params['ResourceId']}:policyName/{params['PolicyName']}",
                "Alarms": [],
            }
            self._records.put(_POLICY, key, existing | params)
        return {"PolicyARN": existing["PolicyARN"], "Alarms": []}

    def _check_policy(self, params: dict[str, Any]) -> None:
        if params.get("PolicyType") != "TargetTrackingScaling":
            raise _invalid("PolicyType must be TargetTrackingScaling: the local cloud has no other")
        configuration = params.get("TargetTrackingScalingPolicyConfiguration")
        if configuration is None:
            raise _invalid("TargetTrackingScalingPolicyConfiguration must be given for TargetTrackingScaling")
        predefined = configuration.get("PredefinedMetricSpecification")
        if (predefined is None) == ("CustomizedMetricSpecification" not in configuration):
            raise _invalid(
                "exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification is needed"
            )
        if predefined and predefined["PredefinedMetricType"] not in _METRICS:
            raise _invalid(
                f"PredefinedMetricType of a variant must be one of {', '.join(sorted(_METRICS))}, "
                f"not {predefined['PredefinedMetricType']}"
            )
        if configuration["TargetValue"] <= 0:
            raise _invalid(f"TargetValue must be greater than 0, not {configuration['TargetValue']}")

    def _describe_policies(self, params: dict[str, Any]) -> dict[str, Any]:
        names, resource = params.get("PolicyNames"), params.get("ResourceId")
        found = [
            policy
            for policy in self._records.all(_POLICY)
            if (not names or policy["PolicyName"] in names) and resource in {None, policy["ResourceId"]}
        ]
        return _page("ScalingPolicies", found, params)

    def _delete_policy(self, params: dict[str, Any]) -> dict[str, Any]:
        if not self._records.delete(_POLICY, _policy_key(params)):
            raise ApiError(
                "ObjectNotFoundException",
                f"No scaling policy found for service namespace: sagemaker, resource ID: {params['ResourceId']}, "
                f"scalable dimension: {params['ScalableDimension']}, policy name: {params['PolicyName']}",
            )
        return {}

    def _list_tags(self, params: dict[str, Any]) -> dict[str, Any]:
        for target in self.targets():
            if target["ScalableTargetARN"] == params["ResourceARN"]:
                return {"Tags": target["_Tags"]}
        raise ApiError("ResourceNotFoundException", f"The resource {params['ResourceARN']} does not exist.")

    def _no_target(self, params: dict[str, Any]) -> ApiError:
        return ApiError(
            "ObjectNotFoundException",
            f"No scalable target registered for service namespace: {params['ServiceNamespace']}, "
            f"resource ID: {params['ResourceId']}, scalable dimension: {params['ScalableDimension']}",
        )


def _policy_key(policy: dict[str, Any]) -> str:
    return f"{policy['ResourceId']}#{policy['PolicyName']}"


def _check_capacity(minimum: int, maximum: int) -> None:
    # An instance-backed variant never scales to nothing.
    if minimum < 1:
        raise _invalid(f"Minimum capacity must be at least 1 for a production variant, not {minimum}")
    if maximum < minimum:
        raise _invalid(f"Maximum capacity cannot be less than minimum capacity ({maximum} < {minimum})")


def _page(member: str, records: list[Record], params: dict[str, Any]) -> dict[str, Any]:
    token = params.get("NextToken", "0")
    if not token.isdecimal():
        raise ApiError("InvalidNextTokenException", f"Invalid NextToken: {token}")
    start = int(token)
    stop = start + params.get("MaxResults", _DEFAULT_PAGE)
    return {member: records[start:stop]} | ({"NextToken": str(stop)} if stop < len(records) else {})


def _invalid(message: str) -> ApiError:
    return ApiError("ValidationException", message)
