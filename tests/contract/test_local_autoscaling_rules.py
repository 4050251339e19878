"""When capacity changes: by which policy, within which bounds, after which cooldown, and what is said of it."""

import pytest
from tests.contract.scalable import POLICY, AutoScaling
from tests.contract.toys import TARGET


def test_a_change_that_sagemaker_refuses_is_a_failed_activity_and_tried_again(scaling: AutoScaling) -> None:
    scaling.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10, **TARGET)
    scaling.call("PutScalingPolicy", **POLICY)
    scaling.sagemaker.refusal = "Cannot update in-progress endpoint"

    assert scaling.minutes(3, 90_000) == 1
    [failed] = scaling.activities()
    assert failed["StatusCode"] == "Failed"
    assert failed["StatusMessage"].endswith("Reason: Cannot update in-progress endpoint")

    scaling.sagemaker.refusal = ""
    assert scaling.minutes(1, 90_000) == 3
    assert [activity["StatusCode"] for activity in scaling.activities()] == ["Successful", "Failed"]


def test_instances_that_never_come_leave_an_unfulfilled_activity_with_the_reason(
    scaling: AutoScaling,
) -> None:
    scaling.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10, **TARGET)
    scaling.call("PutScalingPolicy", **POLICY)
    scaling.sagemaker.failure = "did not pass the ping health check"

    scaling.minutes(3, 90_000)

    [activity] = scaling.activities()
    assert activity["StatusCode"] == "Unfulfilled"
    assert activity["StatusMessage"] == (
        "The endpoint has 1 instances, not 3. did not pass the ping health check"
    )


def test_one_policy_is_enough_to_grow_and_all_are_needed_to_shrink(scaling: AutoScaling) -> None:
    configuration = POLICY["TargetTrackingScalingPolicyConfiguration"]
    eager = configuration | {"TargetValue": 10_000.0}
    other = {"PredefinedMetricType": "SageMakerVariantConcurrentRequestsPerModelHighResolution"}
    scaling.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10, **TARGET)
    scaling.call("PutScalingPolicy", **POLICY)
    scaling.call(
        "PutScalingPolicy",
        **POLICY | {"PolicyName": "eager", "TargetTrackingScalingPolicyConfiguration": eager},
    )
    assert scaling.minutes(3, 40_000) == 4, "the larger of 2 and 4"

    unknown = configuration | {"PredefinedMetricSpecification": other}
    silent = unknown | {"DisableScaleIn": True}
    scaling.call(
        "PutScalingPolicy",
        **POLICY | {"PolicyName": "silent", "TargetTrackingScalingPolicyConfiguration": silent},
    )
    scaling.call(
        "PutScalingPolicy",
        **POLICY | {"PolicyName": "unknown", "TargetTrackingScalingPolicyConfiguration": unknown},
    )
    assert scaling.minutes(20, 0) == 4, "a policy without data does not agree"
    scaling.call("DeleteScalingPolicy", PolicyName="unknown", **TARGET)
    assert scaling.minutes(1, 0) == 3, "one that never scales in need not agree"
    scaling.call("DeleteScalingPolicy", PolicyName="eager", **TARGET)
    keep = configuration | {"DisableScaleIn": True}
    scaling.call("PutScalingPolicy", **POLICY | {"TargetTrackingScalingPolicyConfiguration": keep})
    assert scaling.minutes(30, 0) == 3, "nobody may scale in"


def test_bounds_are_enforced_by_registering_and_not_again_by_every_minute(scaling: AutoScaling) -> None:
    scaling.call("RegisterScalableTarget", MinCapacity=3, MaxCapacity=10, **TARGET)
    assert scaling.sagemaker.count == 3

    scaling.sagemaker.count = 1

    assert scaling.minutes(5, 0) == 1, "somebody wanted it so"
    scaling.call("RegisterScalableTarget", **TARGET)
    assert scaling.sagemaker.count == 3


def test_bounds_wait_for_an_endpoint_in_motion(scaling: AutoScaling) -> None:
    scaling.sagemaker.status = "Updating"
    scaling.call("RegisterScalableTarget", MinCapacity=3, MaxCapacity=10, **TARGET)
    assert scaling.minutes(2, 0) == 1
    assert scaling.activities() == []

    scaling.sagemaker.status = "InService"

    assert scaling.minutes(1, 0) == 3


def test_no_cooldown_follows_what_the_bounds_did(scaling: AutoScaling) -> None:
    scaling.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10, **TARGET)
    scaling.call("PutScalingPolicy", **POLICY)
    scaling.sagemaker.count = 9
    scaling.minutes(14, 0)
    scaling.call("RegisterScalableTarget", MaxCapacity=5, **TARGET)

    assert scaling.minutes(1, 0) == 4


@pytest.mark.parametrize(("count", "load"), [(12, 90_000), (1, 0)], ids=["growing", "shrinking"])
def test_a_capacity_outside_the_bounds_is_not_moved_the_wrong_way(
    scaling: AutoScaling, count: int, load: float
) -> None:
    scaling.call("RegisterScalableTarget", MinCapacity=3, MaxCapacity=10, **TARGET)
    scaling.call("PutScalingPolicy", **POLICY)
    scaling.sagemaker.count = count

    assert scaling.minutes(16, load) == count


def test_a_gap_in_the_metric_is_no_calm_and_no_load(scaling: AutoScaling) -> None:
    scaling.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10, **TARGET)
    scaling.call("PutScalingPolicy", **POLICY)

    scaling.minutes(2, 90_000)
    scaling.service.minute({})

    assert scaling.minutes(2, 90_000) == 1
    assert scaling.minutes(1, 90_000) == 3


def test_old_activities_are_forgotten_and_the_newest_come_first(scaling: AutoScaling) -> None:
    scaling.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10, **TARGET)
    for number in range(205):
        scaling.call(
            "RegisterScalableTarget", MinCapacity=1 + number % 2, MaxCapacity=1 + number % 2, **TARGET
        )
        scaling.minutes(1, 0)

    first = scaling.call("DescribeScalingActivities", ServiceNamespace="sagemaker", MaxResults=50)
    rest = scaling.call(
        "DescribeScalingActivities",
        ServiceNamespace="sagemaker",
        MaxResults=500,
        NextToken=first["NextToken"],
    )

    assert len(first["ScalingActivities"]) + len(rest["ScalingActivities"]) == 200
    assert first["ScalingActivities"][0]["Description"] == "Setting desired instance count to 1."
    assert first["ScalingActivities"][1]["Description"] == "Setting desired instance count to 2."
