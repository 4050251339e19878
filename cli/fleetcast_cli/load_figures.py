"""What a load test has seen so far, in the same memory after a minute and after a day."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

# Buckets of the histogram: exact below 256 microseconds, 0.8 % wide above, up to an hour.
_BITS = 7
_LARGEST = 3_600_000_000
_MOST_POINTS = 600
_MOST_KINDS = 40
_EXAMPLE = 300


class Histogram:
    """Counts times in microseconds; a percentile is less than 1 % above the true one."""

    def __init__(self) -> None:
        self.count = 0
        self.largest = 0
        self._buckets = [0] * (_bucket(_LARGEST) + 1)

    def add(self, microseconds: int) -> None:
        value = min(microseconds, _LARGEST)
        self._buckets[_bucket(value)] += 1
        self.count += 1
        self.largest = max(self.largest, value)

    def merge(self, other: "Histogram") -> None:
        for bucket, count in enumerate(other._buckets):  # noqa: SLF001 - another one of this class
            self._buckets[bucket] += count
        self.count += other.count
        self.largest = max(self.largest, other.largest)

    def percentile(self, share: float) -> float | None:
        """Return the milliseconds that this share of all answers took at most, None without any answer."""
        wanted, seen = share * self.count, 0
        for bucket, count in enumerate(self._buckets):
            seen += count
            if count and seen >= wanted:
                return min(_upper_end(bucket), self.largest) / 1000
        return None

    @property
    def longest(self) -> float | None:
        """The longest time in milliseconds."""
        return self.largest / 1000 if self.count else None


def _bucket(value: int) -> int:
    shift = max(0, value.bit_length() - _BITS - 1)
    return (shift << _BITS) + (value >> shift)


def _upper_end(bucket: int) -> int:
    if bucket < 2 << _BITS:
        return bucket
    shift = (bucket >> _BITS) - 1
    return ((bucket - (shift << _BITS) + 1) << shift) - 1


@dataclass(frozen=True)
class Moment:
    """A stretch of the test.

    Attributes:
        at: seconds from the test's begin to the stretch's end.
        seconds: how long it is.
        users: how many asked at its end.
        p99: milliseconds; where stretches were joined, the longer of the two.
        instances: how many the endpoint had, None where nobody knows.
    """

    at: float
    seconds: float
    users: int
    requests: int
    errors: int
    p99: float | None
    instances: int | None

    @property
    def rate(self) -> float:
        return self.requests / self.seconds if self.seconds else 0.0

    def join(self, later: "Moment") -> "Moment":
        known = [p99 for p99 in (self.p99, later.p99) if p99 is not None]
        return replace(
            later,
            seconds=self.seconds + later.seconds,
            requests=self.requests + later.requests,
            errors=self.errors + later.errors,
            p99=max(known, default=None),
        )


class Timeline:
    """The test's moments; of a long test fewer and longer ones."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self._joined, self._parts = 1, 0

    def add(self, moment: Moment) -> None:
        if self._parts % self._joined:
            self.moments[-1] = self.moments[-1].join(moment)
        else:
            self.moments.append(moment)
        self._parts += 1
        if len(self.moments) == _MOST_POINTS and self._parts % self._joined == 0:
            pairs = zip(self.moments[::2], self.moments[1::2], strict=True)
            self.moments = [first.join(second) for first, second in pairs]
            self._joined *= 2


@dataclass
class Errors:
    """How many requests failed in which way, with the first of each kind as an example."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, example: str) -> None:
        if kind not in self.counts and len(self.counts) >= _MOST_KINDS:
            kind = "other"
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.examples.setdefault(kind, example[:_EXAMPLE])

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def by_frequency(self) -> Mapping[str, int]:
        return dict(sorted(self.counts.items(), key=lambda entry: -entry[1]))


class Figures:
    """Everything that is counted, phase by phase: the ramp, the hold, and what came after the test's end."""

    def __init__(self) -> None:
        self.ramp, self.hold, self.farewell = Histogram(), Histogram(), Histogram()
        self.errors, self.timeline = Errors(), Timeline()
        self.users = 0
        self._phase, self._lately = self.ramp, Histogram()
        self._errors_before = 0

    def begin_hold(self) -> None:
        self._phase = self.hold

    def begin_farewell(self) -> None:
        self._phase = self.farewell

    def answered(self, microseconds: int) -> None:
        self._phase.add(microseconds)
        self._lately.add(microseconds)

    def failed(self, kind: str, example: str) -> None:
        self.errors.add(kind, example)

    def end_moment(self, at: float, seconds: float, instances: int | None) -> Moment:
        """Close the stretch that went on until now, and return it."""
        lately, self._lately = self._lately, Histogram()
        errors, self._errors_before = self.errors.total - self._errors_before, self.errors.total
        moment = Moment(at, seconds, self.users, lately.count, errors, lately.percentile(0.99), instances)
        self.timeline.add(moment)
        return moment

    def whole(self) -> Histogram:
        """Return the times of all answers."""
        all_of_them = Histogram()
        for phase in (self.ramp, self.hold, self.farewell):
            all_of_them.merge(phase)
        return all_of_them
