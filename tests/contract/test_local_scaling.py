"""The fleet grows and shrinks as its policy says: real instances, AWS's rules, the metrics' own minutes."""

from pathlib import Path
from typing import Any

import pytest
from tests.contract.lab import Lab, held_to_model, wait_until
from tests.contract.toys import TARGET, content, multi_model, serve
from tests.contract.traffic import Traffic

from fleetcast_local.autoscaling import LocalAutoScaling
from fleetcast_local.autoscaling.target_tracking import Rule, Step
from fleetcast_local.sagemaker.service import ApiError


class ScaledFleet:
    """An endpoint under autoscaling whose minutes pass when the test says so, under a load that it names."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.scaling = LocalAutoScaling(lab.store, lab.client, self._sagemaker)
        lab.start_sagemaker(scaling=self.scaling)

    def _sagemaker(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        return self.lab.sagemaker.call(operation, params)

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        return held_to_model(
            "application-autoscaling", operation, self.scaling.call(operation, TARGET | params)
        )

    def watch(self, target: float, *, highest: int = 10, out: int = 60, inward: int = 300) -> None:
        self.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=highest)
        self.call(
            "PutScalingPolicy",
            PolicyName="invocations",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": target,
                "PredefinedMetricSpecification": {
                    "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
                },
                "ScaleOutCooldown": out,
                "ScaleInCooldown": inward,
            },
        )

    def count(self) -> int:
        [variant] = self.lab.settled()["ProductionVariants"]
        return int(variant["CurrentInstanceCount"])

    def minutes(self, number: int, load: float) -> list[int]:
        """Let minutes pass under a load of requests per minute; return the instances after each."""
        return [self._minute(load) for _ in range(number)]

    def _minute(self, load: float) -> int:
        metrics = self.lab.sagemaker._endpoints._metrics_of("fleet", "AllTraffic")
        if load:
            metrics.add(InvocationsPerInstance=load / self.count())
        return self.end_minute()

    def end_minute(self) -> int:
        self.lab.sagemaker.end_minute()
        return self.count()

    def activities(self) -> list[dict[str, Any]]:
        params = {"ServiceNamespace": "sagemaker", "ResourceId": TARGET["ResourceId"]}
        answer = self.scaling.call("DescribeScalingActivities", params)
        activities: list[dict[str, Any]] = held_to_model(
            "application-autoscaling", "DescribeScalingActivities", answer
        )["ScalingActivities"]
        return activities

    def alarm_states(self) -> list[str]:
        [policy] = self.scaling.policies(TARGET["ResourceId"])
        names = [alarm["AlarmName"] for alarm in policy["Alarms"]]
        alarms = self.lab.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
        states = {alarm["AlarmName"]: alarm["StateValue"] for alarm in alarms}
        return [states[name] for name in names]


@pytest.fixture
def fleet(lab: Lab) -> ScaledFleet:
    scaled = ScaledFleet(lab)
    serve(lab, "a")
    return scaled


@pytest.mark.parametrize("target", [15_000, 30_000])
def test_a_step_of_load_grows_the_fleet_in_proportion_and_its_end_shrinks_it_again(
    fleet: ScaledFleet, target: int
) -> None:
    fleet.watch(target)

    assert fleet.minutes(3, 0.8 * target) == [1, 1, 1]
    assert fleet.minutes(4, 3.7 * target) == [1, 1, 4, 4]
    assert fleet.minutes(4, 20 * target) == [4, 4, 10, 10], "the maximum"
    assert set(fleet.minutes(14, 0)) == {10}, "fifteen quiet minutes, not fourteen"
    shrinking = fleet.minutes(50, 0)
    assert shrinking[:7] == [9, 9, 9, 9, 9, 9, 8], "one at a time, and its cooldown between two"
    assert shrinking[-1] == 1, "the minimum"
    assert content(fleet.lab.invoke("a"))["content"] == "model a"


def test_shrinking_ends_where_the_load_needs_what_is_left(fleet: ScaledFleet) -> None:
    fleet.watch(15_000, inward=0)
    assert fleet.minutes(3, 60_000)[-1] == 4

    assert set(fleet.minutes(20, 50_000)) == {4}, (
        "12,500 each is below nine tenths, but three would be too few"
    )
    assert fleet.minutes(40, 25_000)[-1] == 2


def test_every_change_is_an_activity_with_its_cause(fleet: ScaledFleet) -> None:
    fleet.watch(15_000)
    fleet.minutes(3, 60_000)

    [activity] = fleet.activities()

    assert activity["Description"] == "Setting desired instance count to 4."
    assert "AlarmHigh" in activity["Cause"]
    assert activity["Cause"].endswith("in state ALARM triggered policy invocations")
    assert activity["StatusCode"] == "Successful"
    assert activity["StartTime"] <= activity["EndTime"]
    assert fleet.alarm_states() == ["ALARM", "INSUFFICIENT_DATA"]
    fleet.minutes(12, 60_000)
    assert fleet.alarm_states() == ["OK", "OK"]


def test_a_variant_outside_its_new_bounds_is_brought_inside(fleet: ScaledFleet) -> None:
    fleet.watch(15_000)
    fleet.call("RegisterScalableTarget", MinCapacity=3)

    assert fleet.minutes(1, 0) == [3]
    assert fleet.activities()[0]["Cause"] == "minimum capacity was set to 3"
    fleet.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=2)
    assert fleet.minutes(1, 0) == [2]


def test_nothing_scales_whose_policy_or_target_is_gone(fleet: ScaledFleet) -> None:
    fleet.watch(15_000)
    fleet.minutes(2, 90_000)

    fleet.call("DeleteScalingPolicy", PolicyName="invocations")
    assert set(fleet.minutes(3, 90_000)) == {1}
    fleet.watch(15_000)
    fleet.call("DeregisterScalableTarget")
    assert set(fleet.minutes(3, 90_000)) == {1}


def test_the_end_of_an_endpoint_ends_its_scaling(fleet: ScaledFleet) -> None:
    """A new endpoint of the same name begins without the old one's policies."""
    fleet.watch(15_000)
    fleet.minutes(2, 90_000)

    fleet.lab.call("DeleteEndpoint", EndpointName="fleet")
    fleet.lab.sagemaker.end_minute()

    assert fleet.scaling.targets() == []
    wait_until(lambda: fleet.lab.call("ListEndpoints")["Endpoints"] == [])
    fleet.lab.endpoint("first")
    assert set(fleet.minutes(3, 90_000)) == {1}


def test_an_endpoint_that_goes_away_in_the_middle_of_a_change_fails_the_activity(fleet: ScaledFleet) -> None:
    fleet.watch(15_000)
    fleet.minutes(2, 90_000)
    metrics = fleet.lab.sagemaker._endpoints._metrics_of("fleet", "AllTraffic")
    metrics.add(InvocationsPerInstance=90_000.0)
    fleet.lab.sagemaker.end_minute()
    fleet.lab.settled()
    fleet.lab.sagemaker._platform.records.delete("Endpoint", "fleet")

    [activity] = fleet.activities()

    assert (activity["StatusCode"], "was deleted" in activity["StatusMessage"]) == ("Failed", True)


@pytest.mark.parametrize(
    ("direction", "grown", "shrunk"),
    [("DynamicScalingInSuspended", 4, 4), ("DynamicScalingOutSuspended", 1, 1)],
)
def test_a_suspended_direction_is_not_taken(
    fleet: ScaledFleet, direction: str, grown: int, shrunk: int
) -> None:
    fleet.watch(15_000, inward=0)
    fleet.call("RegisterScalableTarget", SuspendedState={direction: True})

    assert fleet.minutes(3, 60_000)[-1] == grown
    assert fleet.minutes(20, 0)[-1] == shrunk
    fleet.call("RegisterScalableTarget", SuspendedState={direction: False})
    assert fleet.minutes(5, 0)[-1] == 1


def test_scaling_waits_for_an_update_to_end(lab: Lab, tmp_path: Path) -> None:
    """SageMaker refuses another capacity while an endpoint changes; the load is still there afterwards."""
    fleet = ScaledFleet(lab)
    serve(lab, "a")
    fleet.watch(15_000)
    fleet.minutes(2, 60_000)
    gate = tmp_path / "gate"
    lab.call(
        "UpdateEndpoint", EndpointName="fleet", EndpointConfigName=multi_model(lab, "second", GATE=str(gate))
    )

    metrics = lab.sagemaker._endpoints._metrics_of("fleet", "AllTraffic")
    metrics.add(InvocationsPerInstance=60_000.0)
    lab.sagemaker.end_minute()
    assert fleet.activities() == []

    gate.touch()
    assert fleet.count() == 1
    assert fleet.minutes(1, 60_000) == [4]


def test_an_update_keeps_the_scaled_capacity_only_where_asked(fleet: ScaledFleet) -> None:
    fleet.watch(15_000)
    assert fleet.minutes(3, 60_000)[-1] == 4

    fleet.lab.call(
        "UpdateEndpoint",
        EndpointName="fleet",
        EndpointConfigName=multi_model(fleet.lab, "second", VERSION="2"),
        RetainAllVariantProperties=True,
    )
    assert fleet.count() == 4
    assert content(fleet.lab.invoke("a"))["version"] == "2"
    fleet.lab.call("UpdateEndpoint", EndpointName="fleet", EndpointConfigName="first")
    assert fleet.count() == 1


def test_the_instance_type_of_a_scalable_target_stays(fleet: ScaledFleet) -> None:
    fleet.watch(15_000)
    config = fleet.lab.endpoint_config("first", "larger", InstanceType="ml.m5.xlarge")

    with pytest.raises(ApiError, match=r"from ml.m5.large to ml.m5.xlarge while it is a scalable target"):
        fleet.lab.call("UpdateEndpoint", EndpointName="fleet", EndpointConfigName=config)
    fleet.call("DeregisterScalableTarget")
    fleet.lab.call("UpdateEndpoint", EndpointName="fleet", EndpointConfigName=config)
    fleet.lab.settled()


def test_a_variant_that_is_a_scalable_target_is_not_removed(fleet: ScaledFleet) -> None:
    fleet.watch(15_000)
    config = fleet.lab.endpoint_config("first", "renamed", VariantName="Other")

    with pytest.raises(ApiError, match="Cannot remove variant AllTraffic while it is a scalable target"):
        fleet.lab.call("UpdateEndpoint", EndpointName="fleet", EndpointConfigName=config)
    assert fleet.lab.settled()["EndpointConfigName"] == "first"
    fleet.call("DeregisterScalableTarget")
    fleet.lab.call("UpdateEndpoint", EndpointName="fleet", EndpointConfigName=config)
    assert fleet.lab.settled()["ProductionVariants"][0]["VariantName"] == "Other"


def test_real_requests_make_the_fleet_grow_and_nobody_notices_that_it_shrinks(lab: Lab) -> None:
    fleet = ScaledFleet(lab)
    models = [f"m{number}" for number in range(12)]
    serve(lab, *models)
    fleet.watch(4, highest=3, out=0, inward=0)

    with Traffic(lab, models) as traffic:
        wait_until(lambda: busy_minute(fleet, traffic) == 3)
        fleet.call("RegisterScalableTarget", MaxCapacity=1)
        assert busy_minute(fleet, traffic) == 1
        wait_until(lambda: len(traffic.answers) > 100)
    assert traffic.failures == []

    fleet.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=3)
    fleet.call("DeleteScalingPolicy", PolicyName="invocations")
    fleet.watch(4, highest=3, out=0, inward=0)
    fleet.lab.call(
        "UpdateEndpointWeightsAndCapacities",
        EndpointName="fleet",
        DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 3}],
    )
    assert fleet.count() == 3
    wait_until(lambda: fleet.end_minute() == 1)


def busy_minute(fleet: ScaledFleet, traffic: Traffic) -> int:
    """Let a minute pass in which every instance was asked for more than its target, and return the instances."""
    seen = len(traffic.answers)
    wait_until(lambda: len(traffic.answers) > seen + 40)
    return fleet.end_minute()


RULE = Rule(target=100, out_cooldown=60, in_cooldown=300)


@pytest.mark.parametrize(
    ("points", "high", "low"),
    [
        ([], "INSUFFICIENT_DATA", "INSUFFICIENT_DATA"),
        ([101, 101], "INSUFFICIENT_DATA", "INSUFFICIENT_DATA"),
        ([101, 101, 101], "ALARM", "INSUFFICIENT_DATA"),
        ([101, 100, 101], "OK", "INSUFFICIENT_DATA"),
        ([89.9] * 15, "OK", "ALARM"),
        ([*[89.9] * 14, 90], "OK", "OK"),
        ([90, *[89.9] * 14], "OK", "OK"),
    ],
)
def test_the_alarms_want_all_their_minutes(points: list[float], high: str, low: str) -> None:
    assert (RULE.high_alarm(points), RULE.low_alarm(points)) == (high, low)


@pytest.mark.parametrize(
    ("point", "capacity", "last", "wanted"),
    [
        (250, 1, None, 3),
        (101, 3, None, 4),
        (100 + 1e-9, 3, None, 3),
        (150, 3, Step(at=970, before=1, after=3), 3),
        (200, 3, Step(at=970, before=1, after=3), 4),
        (150, 3, Step(at=940, before=1, after=3), 5),
    ],
    ids=[
        "in proportion",
        "rounded up",
        "no rounding error",
        "smaller in cooldown",
        "larger in cooldown",
        "afterwards",
    ],
)
def test_growing_counts_what_the_last_step_added_until_its_cooldown_is_over(
    point: float, capacity: int, last: Step | None, wanted: int
) -> None:
    assert RULE.outward([point] * 3, capacity, last, clock=1000) == wanted
