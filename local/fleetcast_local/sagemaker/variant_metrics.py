"""Metrics of production variants, gathered per minute as SageMaker publishes them."""

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from fleetcast_local.images import Clients

logger = logging.getLogger(__name__)

_NAMESPACE = "AWS/SageMaker"
_MAX_VALUES = 150  # of one metric datum
_MAX_DATA = 500  # of one request
_MICROSECONDS = {
    "ModelLatency",
    "OverheadLatency",
    "ModelLoadingWaitTime",
    "ModelDownloadingTime",
    "ModelLoadingTime",
    "ModelUnloadingTime",
}


class Minute(NamedTuple):
    """What one variant did between two looks: for CloudWatch, and the number that autoscaling goes by."""

    data: list[dict[str, Any]]
    invocations_per_instance: float


class VariantMetrics:
    """Counts what one variant did; cheap enough to be called on every request."""

    def __init__(self, endpoint: str, variant: str) -> None:
        self._dimensions = [
            {"Name": "EndpointName", "Value": endpoint},
            {"Name": "VariantName", "Value": variant},
        ]
        self._lock = threading.Lock()
        self._values: dict[str, Counter[float]] = {}

    def add(self, **values: float) -> None:
        with self._lock:
            for name, value in values.items():
                rounded = _rounded(value) if name in _MICROSECONDS else value
                self._values.setdefault(name, Counter())[rounded] += 1

    def take(self, *, in_service: bool) -> Minute:
        """Return the metrics since the last call, and begin anew."""
        with self._lock:
            values, self._values = self._values, {}
        per_instance = values.get("InvocationsPerInstance", Counter())
        if in_service and not per_instance:
            # A variant that nobody asks says so; without these zeros autoscaling would never scale in.
            values |= {name: Counter({0.0: 1}) for name in ("Invocations", "InvocationsPerInstance")}
        return Minute(self._data(values), sum(value * count for value, count in per_instance.items()))

    def _data(self, values: dict[str, Counter[float]]) -> list[dict[str, Any]]:
        moment = datetime.now(UTC)
        return [
            {
                "MetricName": name,
                "Dimensions": self._dimensions,
                "Timestamp": moment,
                "Values": [float(value) for value, _ in part],
                "Counts": [float(count) for _, count in part],
                "Unit": "Microseconds" if name in _MICROSECONDS else "None",
            }
            for name, counter in values.items()
            for part in _parts(list(counter.items()))
        ]


def publish(clients: Clients, data: list[dict[str, Any]]) -> None:
    """Send metric data to CloudWatch; a failure there is logged and loses one minute."""
    try:
        for start in range(0, len(data), _MAX_DATA):
            clients("cloudwatch").put_metric_data(
                Namespace=_NAMESPACE, MetricData=data[start : start + _MAX_DATA]
            )
    except (ClientError, BotoCoreError) as error:
        logger.warning("Endpoint metrics were not published: %s", error)


def _rounded(microseconds: float) -> float:
    # Two significant digits keep percentiles honest and the number of distinct values small.
    return float(f"{microseconds:.2g}")


def _parts(items: list[tuple[float, int]]) -> Iterator[list[tuple[float, int]]]:
    for start in range(0, len(items), _MAX_VALUES):
        yield items[start : start + _MAX_VALUES]
