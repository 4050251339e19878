"""Scaling activities: what was asked of SageMaker, why, and how it ended."""

import uuid
from typing import Any

from fleetcast_local.autoscaling.requests import DIMENSION, Resource
from fleetcast_local.autoscaling.variants import Capacity, Variants
from fleetcast_local.records import Record, Records
from fleetcast_local.sagemaker.platform import now
from fleetcast_local.service_model import ApiError

_KIND = "ScalingActivity"
_KEPT = 200


class Activities:
    """Begins activities, and finds out how they ended."""

    def __init__(self, records: Records, variants: Variants) -> None:
        self._records = records
        self._variants = variants

    def newest_first(self) -> list[Record]:
        return sorted(self._records.all(_KIND), key=lambda activity: activity["_Order"], reverse=True)

    def is_running(self, resource: Resource) -> bool:
        return any(
            activity["ResourceId"] == resource.id and activity["StatusCode"] == "InProgress"
            for activity in self._records.all(_KIND)
        )

    def begin(self, resource: Resource, before: int, count: int, cause: str, *, cools: bool = True) -> None:
        """Ask SageMaker for the capacity; a refusal is a failed activity. Cooldowns follow only what `cools`."""
        activity: Record = {
            "ActivityId": str(uuid.uuid4()),
            "ServiceNamespace": "sagemaker",
            "ResourceId": resource.id,
            "ScalableDimension": DIMENSION,
            "Description": f"Setting desired instance count to {count}.",
            "Cause": cause,
            "StartTime": now(),
            "_Order": self._next_order(),
            "_Before": before,
            "_After": count,
            "_Cools": cools,
        }
        try:
            self._variants.ask_for(resource, count)
        except ApiError as error:
            reason = f"Failed to set desired instance count to {count}. Reason: {error.message}"
            activity |= {"StatusCode": "Failed", "StatusMessage": reason, "EndTime": now()}
        else:
            waiting = f"{_accepted(count)} Waiting for change to be fulfilled by sagemaker."
            activity |= {"StatusCode": "InProgress", "StatusMessage": waiting}
        self._records.put(_KIND, activity["ActivityId"], activity)
        for old in self.newest_first()[_KEPT:]:
            self._records.delete(_KIND, old["ActivityId"])

    def settle(self) -> list[Record]:
        """Close the activities that have ended since the last look, and return the successes that cool down."""
        succeeded = []
        for activity in self._records.all(_KIND):
            if activity["StatusCode"] != "InProgress":
                continue
            ending = _ending(activity, self._variants.capacity(Resource.of(activity["ResourceId"])))
            if ending is None:
                continue
            self._records.update(_KIND, activity["ActivityId"], **ending, EndTime=now())
            if ending["StatusCode"] == "Successful" and activity.get("_Cools", True):
                succeeded.append(activity)
        return succeeded

    def _next_order(self) -> int:
        return max((activity["_Order"] for activity in self._records.all(_KIND)), default=0) + 1


def _ending(activity: Record, capacity: Capacity | None) -> dict[str, Any] | None:
    count = activity["_After"]
    if capacity is None:
        return {"StatusCode": "Failed", "StatusMessage": "The endpoint was deleted before it had changed."}
    if not capacity.is_settled:
        return None
    if capacity.current == count:
        text = f"{_accepted(count)} Change successfully fulfilled by sagemaker."
        return {"StatusCode": "Successful", "StatusMessage": text}
    text = f"The endpoint has {capacity.current} instances, not {count}. {capacity.failure}".rstrip()
    return {"StatusCode": "Unfulfilled", "StatusMessage": text}


def _accepted(count: int) -> str:
    return f"Successfully set desired instance count to {count}."
