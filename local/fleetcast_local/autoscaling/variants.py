"""Production variants as Application Auto Scaling sees them: through SageMaker's own API."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fleetcast_local.autoscaling.requests import Resource
from fleetcast_local.service_model import ApiError

Call = Callable[[str, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Capacity:
    """How many instances a variant has, and whether its endpoint is at rest."""

    status: str
    current: int
    desired: int
    failure: str = ""

    @property
    def is_settled(self) -> bool:
        return self.status == "InService"


class Variants:
    """Asks SageMaker after variants, and for other capacities of them."""

    def __init__(self, sagemaker: Call) -> None:
        self._sagemaker = sagemaker

    def capacity(self, resource: Resource) -> Capacity | None:
        """Return the variant's capacity, or None when there is no such endpoint or variant."""
        try:
            endpoint = self._sagemaker("DescribeEndpoint", {"EndpointName": resource.endpoint})
        except ApiError:
            return None
        for variant in endpoint.get("ProductionVariants", ()):
            if variant["VariantName"] == resource.variant:
                current, desired = variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]
                return Capacity(
                    endpoint["EndpointStatus"], current, desired, endpoint.get("FailureReason", "")
                )
        return None

    def ask_for(self, resource: Resource, count: int) -> None:
        """Ask for another capacity; raise ApiError where SageMaker refuses."""
        wanted = {"VariantName": resource.variant, "DesiredInstanceCount": count}
        self._sagemaker(
            "UpdateEndpointWeightsAndCapacities",
            {"EndpointName": resource.endpoint, "DesiredWeightsAndCapacities": [wanted]},
        )
