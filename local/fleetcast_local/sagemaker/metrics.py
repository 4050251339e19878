"""Metrics that SageMaker reads out of a training job's log."""

import logging
import re
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fleetcast_local.images import Clients
from fleetcast_local.sagemaker.platform import now

logger = logging.getLogger(__name__)

_NAMESPACE = "/aws/sagemaker/TrainingJobs"
_MAX_DATA = 500


class JobMetrics:
    """Applies a job's MetricDefinitions to its log lines; the first group of a match is the number."""

    def __init__(self, clients: Clients, job: str, definitions: list[dict[str, str]]) -> None:
        self._clients = clients
        self._dimensions = [{"Name": "TrainingJobName", "Value": job}]
        self._patterns = [(item["Name"], re.compile(item["Regex"])) for item in definitions]
        self._final: dict[str, dict[str, Any]] = {}

    def read(self, lines: list[str]) -> bool:
        """Take the values from the lines, remember the last of each metric, publish all; return if any."""
        data: list[dict[str, Any]] = [
            {"MetricName": name, "Value": value, "Timestamp": now()}
            for line in lines
            for name, pattern in self._patterns
            if (value := _number(pattern, line)) is not None
        ]
        self._final.update({item["MetricName"]: item for item in data})
        for start in range(0, len(data), _MAX_DATA):
            self._publish(data[start : start + _MAX_DATA])
        return bool(data)

    def final(self) -> list[dict[str, Any]]:
        return list(self._final.values())

    def _publish(self, data: list[dict[str, Any]]) -> None:
        try:
            self._clients("cloudwatch").put_metric_data(
                Namespace=_NAMESPACE, MetricData=[{**item, "Dimensions": self._dimensions} for item in data]
            )
        except (ClientError, BotoCoreError) as error:
            logger.warning("Metrics of a training job were not published: %s", error)


def _number(pattern: re.Pattern[str], line: str) -> float | None:
    match = pattern.search(line)
    if match is None or not pattern.groups:
        return None
    try:
        return float(match[1])
    except (TypeError, ValueError):
        return None
