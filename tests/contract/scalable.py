"""An endpoint that scales without any instance: the rules of Application Auto Scaling, for themselves."""

from typing import Any

from tests.contract.lab import Lab, held_to_model
from tests.contract.toys import TARGET

from fleetcast_local.autoscaling import LocalAutoScaling
from fleetcast_local.service_model import ApiError

POLICY: dict[str, Any] = TARGET | {
    "PolicyName": "invocations",
    "PolicyType": "TargetTrackingScaling",
    "TargetTrackingScalingPolicyConfiguration": {
        "TargetValue": 30000.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        "ScaleInCooldown": 300,
        "ScaleOutCooldown": 60,
    },
}


class SageMaker:
    """Knows one endpoint with several variants, and changes their capacity as far as it is told to."""

    def __init__(self) -> None:
        self.count = 1
        self.status = "InService"
        self.refusal = ""
        self.failure = ""

    def __call__(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        if params["EndpointName"] != "fleet":
            raise ApiError("ValidationException", "Could not find endpoint")
        if operation == "UpdateEndpointWeightsAndCapacities":
            return self._update(params["DesiredWeightsAndCapacities"][0]["DesiredInstanceCount"])
        assert operation == "DescribeEndpoint"
        counts = {"CurrentInstanceCount": self.count, "DesiredInstanceCount": self.count}
        variants = [{"VariantName": name} | counts for name in ("AllTraffic", "blue", "green", "red")]
        return {
            "EndpointStatus": self.status,
            "ProductionVariants": variants,
            "FailureReason": self.failure,
        }

    def _update(self, count: int) -> dict[str, Any]:
        if self.refusal:
            raise ApiError("ValidationException", self.refusal)
        if not self.failure:
            self.count = count
        return {}


class AutoScaling:
    def __init__(self, lab: Lab) -> None:
        self.sagemaker = SageMaker()
        self.service = LocalAutoScaling(lab.store, lab.client, self.sagemaker)

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        return held_to_model("application-autoscaling", operation, self.service.call(operation, params))

    def minutes(self, number: int, invocations: float) -> int:
        """Let minutes pass with so many invocations per instance; return the instances afterwards."""
        for _ in range(number):
            self.service.minute({("fleet", "AllTraffic"): invocations})
        return self.sagemaker.count

    def activities(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("DescribeScalingActivities", ServiceNamespace="sagemaker")[
            "ScalingActivities"
        ]
        return found
