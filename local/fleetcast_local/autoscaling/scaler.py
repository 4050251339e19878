"""The scaler: once a minute it compares every variant's load with its policies, and asks for another capacity."""

import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from fleetcast_local.autoscaling.activities import Activities
from fleetcast_local.autoscaling.alarms import Alarms, is_tracked
from fleetcast_local.autoscaling.requests import Resource
from fleetcast_local.autoscaling.target_tracking import LOW_MINUTES, MINUTE, Rule, Step
from fleetcast_local.autoscaling.variants import Variants
from fleetcast_local.records import Record

logger = logging.getLogger(__name__)


class Registered(Protocol):
    """What may scale, and by which policies."""

    def targets(self) -> list[Record]: ...

    def policies(self, resource_id: str) -> list[Record]: ...


class Change(NamedTuple):
    """Another capacity, and the sentence that says why."""

    capacity: int
    cause: str


@dataclass
class _Memory:
    """What is known of one variant; forgotten with the process, as nothing that takes minutes needs it longer."""

    points: deque[float] = field(default_factory=lambda: deque(maxlen=LOW_MINUTES))
    grown: Step | None = None
    shrunk: Step | None = None


class Scaler:
    """Its clock counts the metrics' minutes: where a minute is made shorter, cooldowns shrink with it."""

    def __init__(
        self, registered: Registered, variants: Variants, activities: Activities, alarms: Alarms
    ) -> None:
        self._registered = registered
        self._variants = variants
        self._activities = activities
        self._alarms = alarms
        self._clock = 0.0
        self._lock = threading.RLock()
        self._memories: dict[Resource, _Memory] = {}

    def minute(self, measured: Mapping[tuple[str, str], float]) -> None:
        """Take in one minute's invocations per instance of every variant in service, and scale what must be."""
        with self._lock:
            self._clock += MINUTE
            self.settle()
            targets = {Resource.of(target["ResourceId"]): target for target in self._registered.targets()}
            self._memories = {key: memory for key, memory in self._memories.items() if key in targets}
            for resource, target in targets.items():
                try:
                    self._look_at(resource, target, measured.get(resource))
                except Exception:
                    logger.exception("Scaling %s failed and is tried again", resource.id)

    def settle(self) -> None:
        """Find out which changes have come about; their cooldowns begin now."""
        with self._lock:
            for activity in self._activities.settle():
                memory = self._memories.setdefault(Resource.of(activity["ResourceId"]), _Memory())
                step = Step(self._clock, activity["_Before"], activity["_After"])
                if step.after > step.before:
                    memory.grown, memory.shrunk = step, None  # growing ends the cooldown of shrinking
                else:
                    memory.shrunk = step

    def _look_at(self, resource: Resource, target: Record, point: float | None) -> None:
        memory = self._memories.setdefault(resource, _Memory())
        if point is None:
            memory.points.clear()  # an alarm needs its minutes without a gap
        else:
            memory.points.append(point)
        policies = self._registered.policies(resource.id)
        self._show(policies, memory)
        capacity = self._variants.capacity(resource)
        # SageMaker refuses to change the capacity of an endpoint in motion: the next minute comes soon.
        if capacity is None or not capacity.is_settled or self._activities.is_running(resource):
            return
        change = _within_bounds(target, capacity.desired) or self._change(
            target, policies, memory, capacity.desired
        )
        if change is not None:
            self._activities.begin(resource, capacity.desired, change.capacity, change.cause)

    def _show(self, policies: Sequence[Record], memory: _Memory) -> None:
        for policy, rule in _rules(policies):
            self._alarms.show(policy, rule.high_alarm(memory.points), rule.low_alarm(memory.points))

    def _change(
        self, target: Record, policies: Sequence[Record], memory: _Memory, capacity: int
    ) -> Change | None:
        """Return the largest growth that any policy asks for, else the smallest shrinking, if all agree to one."""
        suspended, points = target["SuspendedState"], list(memory.points)
        rules = list(_rules(policies))
        growing = [pair for pair in rules if pair[1].high_alarm(points) == "ALARM"]
        if growing:
            if suspended["DynamicScalingOutSuspended"]:
                return None
            wanted, cause = max(
                (rule.outward(points, capacity, memory.grown, self._clock), _cause(policy, 0))
                for policy, rule in growing
            )
            return _changed(capacity, min(wanted, target["MaxCapacity"]), cause)
        shrinking = [pair for pair in rules if pair[1].scales_in]
        agreed = len(rules) == len(policies) and all(
            rule.low_alarm(points) == "ALARM" for _, rule in shrinking
        )
        if not shrinking or not agreed or suspended["DynamicScalingInSuspended"]:
            return None
        wanted, cause = max(
            (rule.inward(points, capacity, memory.shrunk, self._clock), _cause(policy, 1))
            for policy, rule in shrinking
        )
        return _changed(capacity, max(wanted, target["MinCapacity"]), cause)


def _rules(policies: Sequence[Record]) -> list[tuple[Record, Rule]]:
    return [
        (policy, Rule.of(policy["TargetTrackingScalingPolicyConfiguration"]))
        for policy in policies
        if is_tracked(policy)
    ]


def _within_bounds(target: Record, capacity: int) -> Change | None:
    if capacity < target["MinCapacity"]:
        return Change(target["MinCapacity"], f"minimum capacity was set to {target['MinCapacity']}")
    if capacity > target["MaxCapacity"]:
        return Change(target["MaxCapacity"], f"maximum capacity was set to {target['MaxCapacity']}")
    return None


def _changed(before: int, after: int, cause: str) -> Change | None:
    return Change(after, cause) if after != before else None


def _cause(policy: Record, alarm: int) -> str:
    name = policy["Alarms"][alarm]["AlarmName"]
    return f"monitor alarm {name} in state ALARM triggered policy {policy['PolicyName']}"
