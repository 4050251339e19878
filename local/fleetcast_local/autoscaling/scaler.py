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
    is_within_bounds: bool = True
    """False from registering until the capacity could be compared with the bounds."""


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

    def registered(self, resource: Resource, target: Record) -> None:
        """Bring a variant into its new bounds: now, or as soon as its endpoint is at rest."""
        with self._lock:
            self.settle()
            self._memories.setdefault(resource, _Memory()).is_within_bounds = False
            self._bring_inside(resource, target, self._memories[resource])

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
        self._bring_inside(resource, target, memory)
        capacity = self._capacity_at_rest(resource)
        change = self._change(target, policies, memory, capacity) if capacity else None
        if capacity and change:
            self._activities.begin(resource, capacity, change.capacity, change.cause)

    def _bring_inside(self, resource: Resource, target: Record, memory: _Memory) -> None:
        capacity = self._capacity_at_rest(resource)
        if memory.is_within_bounds or capacity is None:
            return
        memory.is_within_bounds = True
        change = _within_bounds(target, capacity)
        if change:
            self._activities.begin(resource, capacity, change.capacity, change.cause, cools=False)

    def _capacity_at_rest(self, resource: Resource) -> int | None:
        """Return the capacity, or None for an endpoint in motion: SageMaker would refuse to change that one."""
        capacity = self._variants.capacity(resource)
        if capacity is None or not capacity.is_settled or self._activities.is_running(resource):
            return None
        return capacity.desired

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
            # Somebody may have set a capacity outside the bounds: growing never shrinks, and shrinking never grows.
            return _changed(capacity, max(capacity, min(wanted, target["MaxCapacity"])), cause)
        shrinking = [pair for pair in rules if pair[1].scales_in]
        agreed = not _is_anybody_blind(policies) and all(
            rule.low_alarm(points) == "ALARM" for _, rule in shrinking
        )
        if not shrinking or not agreed or suspended["DynamicScalingInSuspended"]:
            return None
        wanted, cause = max(
            (rule.inward(points, capacity, memory.shrunk, self._clock), _cause(policy, 1))
            for policy, rule in shrinking
        )
        return _changed(capacity, min(capacity, max(wanted, target["MinCapacity"])), cause)


def _rules(policies: Sequence[Record]) -> list[tuple[Record, Rule]]:
    return [(policy, _rule(policy)) for policy in policies if is_tracked(policy)]


def _rule(policy: Record) -> Rule:
    return Rule.of(policy["TargetTrackingScalingPolicyConfiguration"])


def _is_anybody_blind(policies: Sequence[Record]) -> bool:
    """Whether a policy that would have to agree to shrinking tracks a metric that is not there."""
    return any(_rule(policy).scales_in and not is_tracked(policy) for policy in policies)


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
