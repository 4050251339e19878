"""The two CloudWatch alarms of a target tracking policy, as they show what the scaler sees."""

import logging
import uuid
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fleetcast_local.autoscaling.requests import INVOCATIONS_PER_INSTANCE, Resource
from fleetcast_local.autoscaling.target_tracking import HIGH_MINUTES, LOW_MINUTES, MINUTE, Alarm, Rule
from fleetcast_local.images import Clients
from fleetcast_local.records import Record
from fleetcast_local.service_model import ApiError

logger = logging.getLogger(__name__)

PREFIX = "TargetTracking-"


class Alarms:
    """Makes, shows and removes a policy's alarms."""

    def __init__(self, clients: Clients, region: str, account: str) -> None:
        self._clients = clients
        self._arn = f"arn:aws:cloudwatch:{region}:{account}:alarm:"
        self._shown: dict[str, Alarm] = {}

    def put(self, policy: Record) -> list[dict[str, str]]:
        """Make or change the alarms of a policy, and return them as the policy names them."""
        if not is_tracked(policy):
            return []
        names = [alarm["AlarmName"] for alarm in policy["Alarms"]] or self._new_names(policy)
        rule = Rule.of(policy["TargetTrackingScalingPolicyConfiguration"])
        high, low = names
        try:
            self._put(high, policy, HIGH_MINUTES, "GreaterThanThreshold", rule.target)
            self._put(low, policy, LOW_MINUTES, "LessThanThreshold", rule.low)
        except (ClientError, BotoCoreError) as error:
            raise ApiError(
                "FailedResourceAccessException", f"Cannot put the policy's alarms: {error}"
            ) from error
        return [{"AlarmName": name, "AlarmARN": f"{self._arn}{name}"} for name in names]

    def delete(self, policy: Record) -> None:
        names = [alarm["AlarmName"] for alarm in policy["Alarms"]]
        if names:
            self._quietly("delete_alarms", AlarmNames=names)
        for name in names:
            self._shown.pop(name, None)

    def show(self, policy: Record, high: Alarm, low: Alarm) -> None:
        """Bring the alarms into the states that the scaler has come to."""
        for alarm, state in zip(policy["Alarms"], (high, low), strict=False):
            name = alarm["AlarmName"]
            if self._shown.get(name) != state:
                self._shown[name] = state
                reason = f"The last minutes of the metric put the alarm in {state}"
                self._quietly("set_alarm_state", AlarmName=name, StateValue=state, StateReason=reason)

    def _new_names(self, policy: Record) -> list[str]:
        return [f"{PREFIX}{policy['ResourceId']}-{kind}-{uuid.uuid4()}" for kind in ("AlarmHigh", "AlarmLow")]

    def _put(self, name: str, policy: Record, minutes: int, comparison: str, threshold: float) -> None:
        resource = Resource.of(policy["ResourceId"])
        self._clients("cloudwatch").put_metric_alarm(
            AlarmName=name,
            AlarmDescription=f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy['PolicyARN']}.",
            AlarmActions=[policy["PolicyARN"]],
            Namespace="AWS/SageMaker",
            MetricName="InvocationsPerInstance",
            Dimensions=[
                {"Name": "EndpointName", "Value": resource.endpoint},
                {"Name": "VariantName", "Value": resource.variant},
            ],
            Statistic="Sum",
            Period=int(MINUTE),
            EvaluationPeriods=minutes,
            ComparisonOperator=comparison,
            Threshold=threshold,
        )

    def _quietly(self, operation: str, **params: Any) -> None:
        # What the alarms show decides nothing: scaling goes on without CloudWatch.
        try:
            getattr(self._clients("cloudwatch"), operation)(**params)
        except (ClientError, BotoCoreError) as error:
            logger.warning("An alarm of a scaling policy was left as it is: %s", error)


def is_tracked(policy: Record) -> bool:
    """Whether the local cloud has the metric that the policy tracks."""
    configuration = policy["TargetTrackingScalingPolicyConfiguration"]
    metric = configuration.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    return bool(metric == INVOCATIONS_PER_INSTANCE)
