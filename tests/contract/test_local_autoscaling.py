"""Scalable targets and policies are checked as AWS checks them."""

from pathlib import Path
from typing import Any

import pytest
from tests.contract.lab import held_to_model

from fleetcast_local.autoscaling import LocalAutoScaling
from fleetcast_local.service_model import ApiError

TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/fleet/variant/AllTraffic",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
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


class AutoScaling:
    def __init__(self, store: Path) -> None:
        self.service = LocalAutoScaling(store, variant_exists=lambda endpoint, _: endpoint == "fleet")

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        return held_to_model("application-autoscaling", operation, self.service.call(operation, params))


@pytest.fixture
def scaling(tmp_path: Path) -> AutoScaling:
    return AutoScaling(tmp_path)


def test_a_target_and_its_policy_are_kept_and_survive_a_restart(scaling: AutoScaling, tmp_path: Path) -> None:
    arn = scaling.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10, Tags={"run": "r1"}, **TARGET)
    scaling.call("PutScalingPolicy", **POLICY)

    again = AutoScaling(tmp_path)
    [target] = again.call("DescribeScalableTargets", ServiceNamespace="sagemaker")["ScalableTargets"]
    [policy] = again.call("DescribeScalingPolicies", ServiceNamespace="sagemaker")["ScalingPolicies"]

    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 10)
    assert "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint" in target["RoleARN"]
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 30000
    assert again.call("ListTagsForResource", ResourceARN=arn["ScalableTargetARN"])["Tags"] == {"run": "r1"}


def test_registering_again_changes_only_what_is_given(scaling: AutoScaling) -> None:
    first = scaling.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10, **TARGET)
    second = scaling.call("RegisterScalableTarget", MaxCapacity=4, **TARGET)

    [target] = scaling.call("DescribeScalableTargets", ServiceNamespace="sagemaker")["ScalableTargets"]
    assert first["ScalableTargetARN"] == second["ScalableTargetARN"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)


def test_putting_a_policy_again_replaces_it(scaling: AutoScaling) -> None:
    scaling.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10, **TARGET)

    first = scaling.call("PutScalingPolicy", **POLICY)
    second = scaling.call("PutScalingPolicy", **POLICY)

    assert first["PolicyARN"] == second["PolicyARN"]
    assert len(scaling.service.policies(TARGET["ResourceId"])) == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"MinCapacity": 0}, "at least 1"),
        ({"MinCapacity": 5, "MaxCapacity": 4}, "cannot be less than minimum"),
        ({"ServiceNamespace": "ecs"}, "scales the namespace sagemaker"),
        ({"ServiceNamespace": "sage"}, "enum value set"),
        ({"ResourceId": "endpoint/fleet"}, "is not endpoint/<endpoint>/variant/<variant>"),
        ({"ResourceId": "endpoint/nobody/variant/AllTraffic"}, "Could not find endpoint"),
        (
            {"ScalableDimension": "sagemaker:variant:DesiredProvisionedConcurrency"},
            "ScalableDimension of a variant",
        ),
    ],
    ids=["zero", "reversed", "namespace", "enumeration", "resource", "endpoint", "dimension"],
)
def test_a_target_that_aws_refuses_is_refused(
    scaling: AutoScaling, changes: dict[str, Any], sentence: str
) -> None:
    request = TARGET | {"MinCapacity": 1, "MaxCapacity": 10} | changes

    with pytest.raises(ApiError, match=sentence) as refused:
        scaling.call("RegisterScalableTarget", **request)
    assert refused.value.code == "ValidationException"


def test_a_new_target_needs_both_bounds(scaling: AutoScaling) -> None:
    with pytest.raises(ApiError, match="MaxCapacity must be given"):
        scaling.call("RegisterScalableTarget", MinCapacity=1, **TARGET)


@pytest.mark.parametrize(
    ("configuration", "sentence"),
    [
        ({"TargetValue": 0.0}, "greater than 0"),
        (
            {"PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}},
            "must be one of",
        ),
        (
            {"PredefinedMetricSpecification": {"PredefinedMetricType": "InvocationsPerInstance"}},
            "enum value set",
        ),
    ],
    ids=["zero", "another service's metric", "no metric"],
)
def test_a_policy_that_aws_refuses_is_refused(
    scaling: AutoScaling, configuration: dict[str, Any], sentence: str
) -> None:
    scaling.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10, **TARGET)
    name = "TargetTrackingScalingPolicyConfiguration"

    with pytest.raises(ApiError, match=sentence):
        scaling.call("PutScalingPolicy", **(POLICY | {name: POLICY[name] | configuration}))


def test_a_policy_needs_a_registered_target(scaling: AutoScaling) -> None:
    with pytest.raises(ApiError, match="No scalable target registered") as refused:
        scaling.call("PutScalingPolicy", **POLICY)
    assert refused.value.code == "ObjectNotFoundException"


def test_only_target_tracking_is_there(scaling: AutoScaling) -> None:
    scaling.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10, **TARGET)

    with pytest.raises(ApiError, match="must be TargetTrackingScaling"):
        scaling.call("PutScalingPolicy", PolicyName="p", PolicyType="StepScaling", **TARGET)


def test_deregistering_takes_the_policies_along(scaling: AutoScaling) -> None:
    scaling.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10, **TARGET)
    scaling.call("PutScalingPolicy", **POLICY)

    scaling.call("DeregisterScalableTarget", **TARGET)

    assert scaling.call("DescribeScalingPolicies", ServiceNamespace="sagemaker")["ScalingPolicies"] == []
    with pytest.raises(ApiError, match="No scalable target registered"):
        scaling.call("DeregisterScalableTarget", **TARGET)


def test_a_policy_can_be_deleted_once(scaling: AutoScaling) -> None:
    scaling.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10, **TARGET)
    scaling.call("PutScalingPolicy", **POLICY)

    scaling.call("DeleteScalingPolicy", PolicyName="invocations", **TARGET)

    with pytest.raises(ApiError, match="No scaling policy found"):
        scaling.call("DeleteScalingPolicy", PolicyName="invocations", **TARGET)


def test_targets_are_listed_in_pages(scaling: AutoScaling) -> None:
    for variant in ("blue", "green", "red"):
        resource = {"ResourceId": f"endpoint/fleet/variant/{variant}"}
        scaling.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=2, **(TARGET | resource))

    first = scaling.call("DescribeScalableTargets", ServiceNamespace="sagemaker", MaxResults=2)
    rest = scaling.call("DescribeScalableTargets", ServiceNamespace="sagemaker", NextToken=first["NextToken"])
    one = scaling.call(
        "DescribeScalableTargets", ServiceNamespace="sagemaker", ResourceIds=["endpoint/fleet/variant/red"]
    )

    assert (len(first["ScalableTargets"]), len(rest["ScalableTargets"]), len(one["ScalableTargets"])) == (
        2,
        1,
        1,
    )
    assert scaling.call("DescribeScalingActivities", ServiceNamespace="sagemaker")["ScalingActivities"] == []
