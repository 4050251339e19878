"""Leaves the alarms of scaling policies to the scaler: MiniStack would mix up endpoints and minutes."""

from typing import Any

from ministack.services import cloudwatch

from fleetcast_local.autoscaling.alarms import PREFIX


def install() -> None:
    """Make MiniStack's evaluation pass over the alarms whose states the scaler sets."""
    evaluate = cloudwatch._evaluate_alarm

    def evaluate_others(alarm: dict[str, Any]) -> None:
        if not alarm["AlarmName"].startswith(PREFIX):
            evaluate(alarm)

    cloudwatch._evaluate_alarm = evaluate_others
