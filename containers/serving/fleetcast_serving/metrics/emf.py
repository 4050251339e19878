"""CloudWatch's embedded metric format: a line on standard output becomes metrics, without a call and without a library.

Never a dimension per customer: each would be a metric of its own, with its own price.
"""

import json
import time
from collections import Counter
from typing import Any

from fleetcast_serving.metrics.measures import middle

NAMESPACE = "Fleetcast/Serving"
# Name of the counter here, name and unit of the metric.
_COUNTS = {
    "loads": "ModelLoads",
    "load_failures": "ModelLoadFailures",
    "unloads": "ModelUnloads",
    "hits": "ModelHits",
    "misses": "ModelMisses",
    "client_errors": "ClientErrors",
    "server_errors": "ServerErrors",
    "workers_restarted": "WorkersRestarted",
}
_GAUGES = {"models": ("LoadedModels", "Count"), "bytes": ("LoadedModelBytes", "Bytes")}
_LATENCY = "InvocationLatency"


class Totals:
    """What all workers and the keeper counted since the last line.

    Args:
        stack: whose metrics they are; without one they have no dimension.
    """

    def __init__(self, stack: str = "") -> None:
        self._dimensions = {"Stack": stack} if stack else {}
        self._counts: Counter[str] = Counter()
        self._latencies: Counter[int] = Counter()

    def count(self, event: str) -> None:
        self._counts[event] += 1

    def add(self, report: bytes) -> None:
        """Add what a worker reports."""
        document = json.loads(report)
        self._counts.update(document["counts"])
        self._latencies.update({int(number): found for number, found in document["latencies"].items()})

    def line(self, **gauges: int) -> str:
        """Return the line, and begin anew.

        Args:
            gauges: `models` and `bytes` as they are now.
        """
        metrics = [{"Name": name, "Unit": "Count"} for name in _COUNTS.values()]
        metrics += [{"Name": name, "Unit": unit} for name, unit in _GAUGES.values()]
        values: dict[str, Any] = {name: self._counts[key] for key, name in _COUNTS.items()}
        values |= {_GAUGES[key][0]: value for key, value in gauges.items()}
        if self._latencies:
            metrics.append({"Name": _LATENCY, "Unit": "Microseconds"})
            values[_LATENCY] = _distribution(self._latencies)
        self._counts.clear()
        self._latencies.clear()
        directive = {"Namespace": NAMESPACE, "Dimensions": [list(self._dimensions)], "Metrics": metrics}
        envelope = {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [directive]}
        return json.dumps({"_aws": envelope, **self._dimensions, **values}, separators=(",", ":"))


def _distribution(latencies: Counter[int]) -> dict[str, Any]:
    # The form in which the OpenTelemetry collector sends histograms to CloudWatch: percentiles are exact to a bucket.
    numbers = sorted(latencies)
    times = [middle(number) for number in numbers]
    counts = [latencies[number] for number in numbers]
    return {
        "Values": times,
        "Counts": counts,
        "Min": times[0],
        "Max": times[-1],
        "Count": sum(counts),
        "Sum": sum(time * found for time, found in zip(times, counts, strict=True)),
    }
