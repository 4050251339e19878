"""Makes EventBridge Scheduler fire as on AWS: in the schedule's time zone, and not at once after a restart."""

import json
import logging
import time
import uuid
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from ministack.core.responses import request_scope
from ministack.services import eventbridge, scheduler

logger = logging.getLogger("fleetcast.schedules")

_TICK_SECONDS = 1.0


def install() -> None:
    """Replace MiniStack's sweep over the schedules; its thread goes on calling it."""
    clock = _Clock()
    scheduler._SCHEDULE_TICK_INTERVAL = _TICK_SECONDS
    scheduler._tick_schedules = clock.tick


class _Clock:
    """Remembers until when it has looked; a time that passed while the cloud was down is not made up for."""

    def __init__(self) -> None:
        self._looked = time.time()

    def tick(self) -> None:
        since, self._looked = self._looked, time.time()
        for key, schedule in list(scheduler._schedules.all_items()):
            try:
                due = _due(schedule, since, self._looked)
            except ValueError:
                logger.exception("the schedule %s cannot be understood", schedule["Arn"])
                continue
            if due is not None:
                _fire(key, schedule, due)


def _due(schedule: dict[str, Any], since: float, now: float) -> float | None:
    """Return the last moment in (since, now] at which the schedule is to fire, or None."""
    if schedule.get("State") != "ENABLED":
        return None
    moment = _next_after(schedule, since)
    start, end = (scheduler._to_epoch(schedule.get(name)) for name in ("StartDate", "EndDate"))
    if moment is None or moment > now or (start and moment < start) or (end and moment > end):
        return None
    return moment


def _next_after(schedule: dict[str, Any], since: float) -> float | None:
    expression = schedule["ScheduleExpression"]
    zone = ZoneInfo(schedule.get("ScheduleExpressionTimezone") or "UTC")
    if expression.strip().startswith("at("):
        moment = datetime.fromisoformat(expression.strip()[3:-1]).replace(tzinfo=zone).timestamp()
        return moment if moment > since else None
    interval: float | None = eventbridge._parse_rate_seconds(expression)
    if interval is not None:
        created = float(schedule["CreationDate"])
        return created + (max(0, int((since - created) // interval)) + 1) * interval
    fields = eventbridge._parse_cron_fields(expression)
    if fields is None:
        raise ValueError(f"not a schedule expression: {expression}")
    following = eventbridge._cron_next_fire(fields, datetime.fromtimestamp(since, zone))
    return float(following.timestamp()) if following else None


def _fire(key: tuple[str, str, str], schedule: dict[str, Any], moment: float) -> None:
    account, region, _ = key
    stamp = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {
        "EventId": str(uuid.uuid4()),
        "Source": "aws.scheduler",
        "DetailType": "Scheduled Event",
        "Detail": json.dumps({}),
        "Time": moment,
        "Resources": [schedule["Arn"]],
        "Account": account,
        "Region": region,
    }
    with request_scope(account, region):
        try:
            eventbridge._invoke_target(_target(schedule, stamp), event, schedule)
        except Exception:
            logger.exception("the schedule %s could not reach its target", schedule["Arn"])
    if schedule.get("ActionAfterCompletion") == "DELETE" and schedule["ScheduleExpression"].startswith("at("):
        scheduler._schedules.pop_scoped(*key, None)


def _target(schedule: dict[str, Any], stamp: str) -> dict[str, Any]:
    target = dict(schedule["Target"])
    known = {
        "<aws.scheduler.schedule-arn>": schedule["Arn"],
        "<aws.scheduler.scheduled-time>": stamp,
        "<aws.scheduler.execution-id>": str(uuid.uuid4()),
        "<aws.scheduler.attempt-number>": "1",
    }
    for name, value in known.items():
        if "Input" in target:
            target["Input"] = target["Input"].replace(name, value)
    return target
