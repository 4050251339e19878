"""What one worker counts, at a cost that a request does not notice."""

import json

# Four to each doubling of the time, which is as exact as a percentile needs; CloudWatch takes up to a hundred values.
BUCKETS = 100


def bucket(microseconds: int) -> int:
    """Return the number of the bucket that a time falls into."""
    if microseconds < 4:
        return microseconds
    shift = microseconds.bit_length() - 3
    number = 4 * shift + (microseconds >> shift)
    return number if number < BUCKETS else BUCKETS - 1


def middle(number: int) -> float:
    """Return the time in the middle of a bucket, in microseconds."""
    if number < 4:
        return float(number)
    shift = (number - 4) // 4
    return ((number - 4 * shift) << shift) + ((1 << shift) - 1) / 2


class Measures:
    """Counters since the last report.

    Attributes:
        hits: invocations of a model that the worker had ready.
        misses: invocations that had to wait for the keeper to hand the model over.
        client_errors: answers of 400 to 499.
        server_errors: answers from 500.
        latencies: invocations by bucket of time, from the end of a request's head until its answer is handed
            to the kernel, refusals among them.
    """

    __slots__ = ("client_errors", "hits", "latencies", "misses", "server_errors")

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.hits = self.misses = self.client_errors = self.server_errors = 0
        self.latencies = [0] * BUCKETS

    def answered(self, status: int) -> None:
        if status >= 500:
            self.server_errors += 1
        elif status >= 400:
            self.client_errors += 1

    def report(self) -> bytes | None:
        """Return what was counted since the last time, or None when nothing happened."""
        latencies = {number: found for number, found in enumerate(self.latencies) if found}
        counts = {
            "hits": self.hits,
            "misses": self.misses,
            "client_errors": self.client_errors,
            "server_errors": self.server_errors,
        }
        self._reset()
        if not latencies and not any(counts.values()):
            return None
        return json.dumps({"counts": counts, "latencies": latencies}).encode()
