"""What to do with the endpoint: create it, update it, replace it, wait for it, or leave it alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fleetcast.errors import EndpointMixed

Action = Literal["create", "update", "resize", "replace", "wait", "leave"]

_BUSY = frozenset(("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"))
_BEYOND_REPAIR = frozenset(("Failed", "OutOfService"))
_SERVES = frozenset(("InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"))


@dataclass(frozen=True)
class Serving:
    """What decides whether an endpoint is the one we want; new models never change it."""

    image: str
    models: str
    instance_type: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Current:
    """The endpoint as it is; `serving` is None while nothing can be said about it."""

    status: str
    serving: Serving | None


def is_serving(status: str | None) -> bool:
    """Whether an endpoint answers: one that is being updated, or could not be, goes on serving."""
    return status in _SERVES


def choose_action(wanted: Serving, current: Current | None) -> Action:
    """Return the next step towards `wanted`; an endpoint in the middle of something is waited for first."""
    if current is None:
        return "create"
    if current.status in _BUSY:
        return "wait"
    if current.status == "UpdateRollbackFailed":
        raise EndpointMixed(
            "the endpoint serves a mix of two configurations since an update could not be rolled back; settle it by"
            " hand (aws sagemaker update-endpoint with the configuration to keep), then start a run"
        )
    if current.status in _BEYOND_REPAIR:
        return "replace"  # the service lets such an endpoint only be deleted
    if current.serving == wanted:
        return "leave"
    # Another instance type asks for autoscaling to let go first.
    same_size = current.serving is None or current.serving.instance_type == wanted.instance_type
    return "update" if same_size else "resize"


def describe_serving(model: Mapping[str, Any], variant: Mapping[str, Any]) -> Serving:
    """Read a Serving out of DescribeModel and a production variant of DescribeEndpointConfig."""
    container = model["PrimaryContainer"]
    return Serving(
        container["Image"],
        container["ModelDataUrl"],
        variant["InstanceType"],
        container.get("Environment") or {},
    )
