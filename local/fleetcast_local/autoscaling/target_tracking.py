"""Target tracking's arithmetic: when its two alarms fire, and which capacity each of them asks for.

AWS documents the alarms (3 minutes above the target, 15 minutes below nine tenths of it), the cooldowns, and that a
policy scales out in proportion and in gradually. How gradually it does not say: here it is one instance at a time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Alarm = Literal["INSUFFICIENT_DATA", "OK", "ALARM"]

MINUTE = 60.0
HIGH_MINUTES = 3
LOW_MINUTES = 15
LOW_SHARE = 0.9
_DEFAULT_COOLDOWN = 300.0


@dataclass(frozen=True)
class Step:
    """A finished change of capacity; `at` is in seconds of the scaler's clock."""

    at: float
    before: int
    after: int


@dataclass(frozen=True)
class Rule:
    """What a policy says; the cooldowns are in seconds."""

    target: float
    out_cooldown: float = _DEFAULT_COOLDOWN
    in_cooldown: float = _DEFAULT_COOLDOWN
    scales_in: bool = True

    @classmethod
    def of(cls, configuration: dict[str, Any]) -> "Rule":
        """Read a TargetTrackingScalingPolicyConfiguration."""
        return cls(
            target=float(configuration["TargetValue"]),
            out_cooldown=float(configuration.get("ScaleOutCooldown", _DEFAULT_COOLDOWN)),
            in_cooldown=float(configuration.get("ScaleInCooldown", _DEFAULT_COOLDOWN)),
            scales_in=not configuration.get("DisableScaleIn", False),
        )

    @property
    def low(self) -> float:
        """Below this the policy thinks of scaling in."""
        return LOW_SHARE * self.target

    def high_alarm(self, points: Sequence[float]) -> Alarm:
        return _alarm([point > self.target for point in points], HIGH_MINUTES)

    def low_alarm(self, points: Sequence[float]) -> Alarm:
        return _alarm([point < self.low for point in points], LOW_MINUTES)

    def outward(self, points: Sequence[float], capacity: int, last: Step | None, clock: float) -> int:
        """Return the capacity, never less than now, that brings the newest minute down to the target."""
        wanted = self._enough(capacity, points[-1])
        if last is None or clock - last.at >= self.out_cooldown:
            return max(capacity, wanted)
        # What the last step has added counts towards the next one until its cooldown is over.
        return max(capacity, last.before + wanted - capacity)

    def inward(self, points: Sequence[float], capacity: int, last: Step | None, clock: float) -> int:
        """Return one instance less, or the same capacity when the busiest minute needs it or the cooldown lasts."""
        if last is not None and clock - last.at < self.in_cooldown:
            return capacity
        needed = self._enough(capacity, max(points[-LOW_MINUTES:]))
        return min(capacity, max(capacity - 1, needed))

    def _enough(self, capacity: int, per_instance: float) -> int:
        # Rounded first: three times a third is not to ask for a fourth instance.
        return math.ceil(round(capacity * per_instance / self.target, 6))


def _alarm(breaching: Sequence[bool], minutes: int) -> Alarm:
    if len(breaching) < minutes:
        return "INSUFFICIENT_DATA"
    return "ALARM" if all(breaching[-minutes:]) else "OK"
