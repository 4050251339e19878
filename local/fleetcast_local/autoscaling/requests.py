"""What Application Auto Scaling accepts: resources, bounds, policies and pages."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from fleetcast_local.records import Record
from fleetcast_local.service_model import ApiError

INVOCATIONS_PER_INSTANCE = "SageMakerVariantInvocationsPerInstance"
_METRICS = {INVOCATIONS_PER_INSTANCE, "SageMakerVariantConcurrentRequestsPerModelHighResolution"}
_RESOURCE = re.compile(r"endpoint/(?P<endpoint>[^/]+)/variant/(?P<variant>[^/]+)")
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_DEFAULT_PAGE = 50


class Resource(NamedTuple):
    """A production variant, as a ResourceId names it."""

    endpoint: str
    variant: str

    @classmethod
    def of(cls, resource_id: str) -> "Resource":
        """Read a ResourceId, or raise ApiError."""
        match = _RESOURCE.fullmatch(resource_id)
        if match is None:
            raise invalid(
                f"Unsupported service namespace, resource type or scalable dimension: {resource_id} is not "
                "endpoint/<endpoint>/variant/<variant>"
            )
        return cls(match["endpoint"], match["variant"])

    @property
    def id(self) -> str:
        return f"endpoint/{self.endpoint}/variant/{self.variant}"


def invalid(message: str) -> ApiError:
    return ApiError("ValidationException", message)


def no_target(params: dict[str, Any]) -> ApiError:
    return ApiError(
        "ObjectNotFoundException",
        f"No scalable target registered for service namespace: {params['ServiceNamespace']}, "
        f"resource ID: {params['ResourceId']}, scalable dimension: {params['ScalableDimension']}",
    )


def check_resource(params: dict[str, Any]) -> Resource:
    """Return the variant that is to scale, or raise ApiError."""
    if params["ServiceNamespace"] != "sagemaker":
        raise invalid(f"the local cloud scales the namespace sagemaker, not {params['ServiceNamespace']}")
    resource = Resource.of(params["ResourceId"])
    if params["ScalableDimension"] != DIMENSION:
        raise invalid(
            f"ScalableDimension of a variant must be {DIMENSION}, not {params['ScalableDimension']}"
        )
    return resource


def check_capacity(minimum: int, maximum: int) -> None:
    # An instance-backed variant never scales to nothing.
    if minimum < 1:
        raise invalid(f"Minimum capacity must be at least 1 for a production variant, not {minimum}")
    if maximum < minimum:
        raise invalid(f"Maximum capacity cannot be less than minimum capacity ({maximum} < {minimum})")


def check_policy(params: dict[str, Any]) -> None:
    """Raise ApiError unless this is a target tracking policy that a variant can have."""
    if params.get("PolicyType") != "TargetTrackingScaling":
        raise invalid("PolicyType must be TargetTrackingScaling: the local cloud has no other")
    configuration = params.get("TargetTrackingScalingPolicyConfiguration")
    if configuration is None:
        raise invalid("TargetTrackingScalingPolicyConfiguration must be given for TargetTrackingScaling")
    predefined = configuration.get("PredefinedMetricSpecification")
    if (predefined is None) == ("CustomizedMetricSpecification" not in configuration):
        raise invalid(
            "exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification is needed"
        )
    if predefined and predefined["PredefinedMetricType"] not in _METRICS:
        raise invalid(
            f"PredefinedMetricType of a variant must be one of {', '.join(sorted(_METRICS))}, "
            f"not {predefined['PredefinedMetricType']}"
        )
    for name in ("ScaleOutCooldown", "ScaleInCooldown"):
        if configuration.get(name, 0) < 0:
            raise invalid(f"{name} must be 0 seconds or more, not {configuration[name]}")
    if configuration["TargetValue"] <= 0:
        raise invalid(f"TargetValue must be greater than 0, not {configuration['TargetValue']}")


def matches(record: Record, params: dict[str, Any]) -> bool:
    """Whether a listing that was asked for by these parameters has the record."""
    names = ("ServiceNamespace", "ResourceId", "ScalableDimension")
    return all(params.get(name) in {None, record[name]} for name in names)


def page(member: str, records: Sequence[Record], params: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a listing that is asked for, and how to ask for the next."""
    token = params.get("NextToken", "0")
    if not token.isdecimal():
        raise ApiError("InvalidNextTokenException", f"Invalid NextToken: {token}")
    start = int(token)
    stop = start + params.get("MaxResults", _DEFAULT_PAGE)
    return {member: list(records[start:stop])} | ({"NextToken": str(stop)} if stop < len(records) else {})
