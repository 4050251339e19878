"""The text of a CloudWatch alarm's e-mail: people get sentences, only machines get the JSON."""

import json
from datetime import datetime
from typing import Any

from fleetcast_local.layout import REGION

_REGION_NAME = "US East (N. Virginia)"


def alarm_of(message: str) -> dict[str, Any] | None:
    """Return the alarm that a published message is about, if it is about one."""
    try:
        document = json.loads(message)
    except ValueError:
        return None
    known = isinstance(document, dict) and {"AlarmName", "NewStateValue", "Trigger"} <= document.keys()
    return document if known else None


def subject(alarm: dict[str, Any]) -> str:
    return f'{alarm["NewStateValue"]}: "{alarm["AlarmName"]}" in {_REGION_NAME}'


def text(alarm: dict[str, Any]) -> str:
    """Return the body of the e-mail that AWS sends for an alarm."""
    name, state, trigger = alarm["AlarmName"], alarm["NewStateValue"], alarm["Trigger"]
    at = datetime.fromisoformat(alarm["StateChangeTime"]).strftime("%A %d %B, %Y %H:%M:%S UTC")
    console = f"https://{REGION}.console.aws.amazon.com/cloudwatch/deeplink.js?region={REGION}"
    dimensions = " ".join(_dimension(dimension) for dimension in trigger.get("Dimensions", ()))
    return f"""You are receiving this email because your Amazon CloudWatch Alarm "{name}" in the {_REGION_NAME} \
region has entered the {state} state, because "{alarm["NewStateReason"]}" at "{at}".

View this alarm in the AWS Management Console:
{console}#alarmsV2:alarm/{name}

Alarm Details:
- Name:                       {name}
- Description:                {alarm.get("AlarmDescription") or ""}
- State Change:               {alarm["OldStateValue"]} -> {state}
- Reason for State Change:    {alarm["NewStateReason"]}
- Timestamp:                  {at}
- AWS Account:                {alarm["AWSAccountId"]}

Threshold:
- The alarm is in the ALARM state when the metric is {trigger["ComparisonOperator"]} {trigger["Threshold"]} for \
at least {trigger["EvaluationPeriods"]} of the last {trigger["EvaluationPeriods"]} period(s) of \
{trigger["Period"]} seconds.

Monitored Metric:
- MetricNamespace:                     {trigger["Namespace"]}
- MetricName:                          {trigger["MetricName"]}
- Dimensions:                          {dimensions}
- Period:                              {trigger["Period"]} seconds
- Statistic:                           {trigger["Statistic"]}
- Unit:                                {trigger.get("Unit") or "not specified"}
"""


def _dimension(dimension: dict[str, str]) -> str:
    given = {name.lower(): value for name, value in dimension.items()}
    return f"[{given['name']} = {given['value']}]"
