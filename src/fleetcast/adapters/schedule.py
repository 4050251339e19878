"""The EventBridge schedule that starts runs."""

from fleetcast.adapters.clients import client


def update_schedule(name: str, *, expression: str, time_zone: str, state: str) -> None:
    """Change when the schedule fires; its target, role and dead-letter queue stay as they are."""
    scheduler = client("scheduler")
    current = scheduler.get_schedule(Name=name)
    # UpdateSchedule replaces the whole schedule: what is not sent again is lost.
    kept = {
        key: current[key]
        for key in ("Target", "FlexibleTimeWindow", "Description", "GroupName")
        if key in current
    }
    scheduler.update_schedule(
        Name=name, ScheduleExpression=expression, ScheduleExpressionTimezone=time_zone, State=state, **kept
    )
