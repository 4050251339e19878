"""Scalable targets and policies are checked as AWS checks them, and their alarms are there to be seen."""

import threading
from typing import Any

import pytest
from tests.contract.lab import Lab
from tests.contract.scalable import POLICY, AutoScaling, SageMaker
from tests.contract.toys import TARGET

from fleetcast_local.autoscaling import LocalAutoScaling
from fleetcast_local.service_model import ApiError


def test_a_target_and_its_policy_are_kept_and_survive_a_restart(scaling: AutoScaling, lab: Lab) -> None:
    arn = scaling.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10, Tags={"run": "r1"}, **TARGET)
    scaling.call("PutScalingPolicy", **POLICY)

    again = AutoScaling(lab)
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

    assert first == second
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


def test_a_policy_has_the_two_alarms_that_aws_would_make(scaling: AutoScaling, lab: Lab) -> None:
    scaling.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10, **TARGET)

    answer = scaling.call("PutScalingPolicy", **POLICY)

    names = [alarm["AlarmName"] for alarm in answer["Alarms"]]
    alarms = lab.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
    high, low = sorted(alarms, key=lambda alarm: str(alarm["AlarmName"]))
    assert high["AlarmName"].startswith("TargetTracking-endpoint/fleet/variant/AllTraffic-AlarmHigh-")
    assert (high["EvaluationPeriods"], high["Period"], high["Threshold"]) == (3, 60, 30_000)
    assert (low["EvaluationPeriods"], low["Period"], low["Threshold"]) == (15, 60, 27_000)
    assert (high["MetricName"], high["Statistic"]) == ("InvocationsPerInstance", "Sum")
    assert high["AlarmActions"] == [answer["PolicyARN"]]


def test_suspending_one_direction_leaves_the_others_as_they_were(scaling: AutoScaling) -> None:
    scaling.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10, **TARGET)
    scaling.call("RegisterScalableTarget", SuspendedState={"DynamicScalingInSuspended": True}, **TARGET)

    [target] = scaling.call("DescribeScalableTargets", ServiceNamespace="sagemaker")["ScalableTargets"]

    assert target["SuspendedState"] == {
        "DynamicScalingInSuspended": True,
        "DynamicScalingOutSuspended": False,
        "ScheduledScalingSuspended": False,
    }


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


def test_a_policy_can_be_deleted_once_and_takes_its_alarms_along(scaling: AutoScaling, lab: Lab) -> None:
    scaling.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10, **TARGET)
    scaling.call("PutScalingPolicy", **POLICY)

    [policy] = scaling.call("DescribeScalingPolicies", ServiceNamespace="sagemaker")["ScalingPolicies"]
    names = [alarm["AlarmName"] for alarm in policy["Alarms"]]

    scaling.call("DeleteScalingPolicy", PolicyName="invocations", **TARGET)

    assert lab.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"] == []
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


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("PutScalingPolicy", {name: POLICY[name] for name in set(POLICY) - set(TARGET)}),
        ("DeleteScalingPolicy", {"PolicyName": "invocations"}),
        ("DeregisterScalableTarget", {}),
    ],
)
def test_another_service_or_dimension_is_not_this_target(
    scaling: AutoScaling, operation: str, more: dict[str, Any]
) -> None:
    scaling.call("RegisterScalableTarget", MinCapacity=3, MaxCapacity=10, **TARGET)
    scaling.call("PutScalingPolicy", **POLICY)
    dimension = {"ScalableDimension": "sagemaker:variant:DesiredProvisionedConcurrency"}

    with pytest.raises(ApiError, match="scales the namespace sagemaker"):
        scaling.call(operation, **(TARGET | more | {"ServiceNamespace": "ecs"}))
    with pytest.raises(ApiError, match="ScalableDimension of a variant"):
        scaling.call(operation, **(TARGET | more | dimension))

    for listing in ("ScalableTargets", "ScalingPolicies", "ScalingActivities"):
        describe = f"Describe{listing}"
        assert len(scaling.call(describe, ServiceNamespace="sagemaker")[listing]) == 1
        assert scaling.call(describe, ServiceNamespace="ecs")[listing] == []
        assert scaling.call(describe, ServiceNamespace="sagemaker", **dimension)[listing] == []


class SlowCloudWatch:
    """Puts an alarm when it is told to."""

    def __init__(self) -> None:
        self.alarms: set[str] = set()
        self.asked, self.go_on = threading.Event(), threading.Event()

    def __call__(self, service: str) -> "SlowCloudWatch":
        assert service == "cloudwatch"
        return self

    def put_metric_alarm(self, **params: Any) -> None:
        self.asked.set()
        assert self.go_on.wait(60)
        self.alarms.add(params["AlarmName"])

    def delete_alarms(self, **params: Any) -> None:
        self.alarms -= set(params["AlarmNames"])


@pytest.mark.parametrize("second", ["PutScalingPolicy", "DeregisterScalableTarget"])
def test_two_changes_of_a_policy_at_once_leave_no_alarm_and_no_policy_behind(lab: Lab, second: str) -> None:
    cloudwatch = SlowCloudWatch()
    service = LocalAutoScaling(lab.store, cloudwatch, SageMaker())
    service.call("RegisterScalableTarget", TARGET | {"MinCapacity": 1, "MaxCapacity": 10})
    other = POLICY if second == "PutScalingPolicy" else TARGET
    threads = [
        threading.Thread(target=service.call, args=arguments)
        for arguments in (("PutScalingPolicy", POLICY), (second, other))
    ]

    threads[0].start()
    assert cloudwatch.asked.wait(60)
    threads[1].start()
    threads[1].join(0.2)  # time enough to go wrong
    cloudwatch.go_on.set()
    for thread in threads:
        thread.join(60)

    policies = service.policies(TARGET["ResourceId"])
    assert len(policies) == (1 if second == "PutScalingPolicy" else 0)
    assert cloudwatch.alarms == {alarm["AlarmName"] for policy in policies for alarm in policy["Alarms"]}
