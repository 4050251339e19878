"""What the serving container is told by its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from fleetcast.errors import SettingError

_MIB = 2**20
# Longer than SageMaker's proxy keeps an idle connection, so that it is never the container that closes one.
_IDLE_SECONDS = 75


@dataclass(frozen=True)
class ServingSettings:
    """The environment, read once.

    Attributes:
        multi_model: SageMaker loads and unloads models over HTTP; otherwise they lie in `/opt/ml/model`.
        workers: processes that answer, one per core by default.
        model_budget_bytes: memory that all loaded models may take together.
        cache_bytes: memory that each worker may take beside for models that it is asked for, ready to answer.
        max_in_flight: requests that are answered at a time, by all workers together; more are told to come back.
        idle_seconds: so long a connection may rest.
        read_seconds: within this time from its first byte a request must have arrived.
        metrics_seconds: pause between two reports of the metrics.
        stack: which stack the metrics are of, or "" where there is none.
    """

    host: str
    port: int
    multi_model: bool
    workers: int
    model_budget_bytes: int
    cache_bytes: int
    max_in_flight: int
    idle_seconds: int
    read_seconds: int
    metrics_seconds: int
    stack: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings.

        Raises:
            SettingError: a variable is not a number or out of bounds.
        """
        return cls(
            host=environment.get("FLEETCAST_BIND_HOST", "0.0.0.0"),  # noqa: S104 - SageMaker calls from outside
            port=_whole(environment, "SAGEMAKER_BIND_TO_PORT", 8080, 65_535),
            multi_model=environment.get("SAGEMAKER_MULTI_MODEL", "").lower() == "true",
            workers=_whole(environment, "FLEETCAST_SERVING_WORKERS", _cores(), 256),
            model_budget_bytes=_whole(environment, "FLEETCAST_MODEL_BUDGET_BYTES", 512 * _MIB, 2**50),
            cache_bytes=_whole(environment, "FLEETCAST_MODEL_CACHE_BYTES", 64 * _MIB, 2**50),
            max_in_flight=_whole(environment, "FLEETCAST_MAX_IN_FLIGHT", 16_384, 1_000_000),
            idle_seconds=_whole(environment, "FLEETCAST_IDLE_SECONDS", _IDLE_SECONDS, 3600),
            read_seconds=_whole(environment, "FLEETCAST_READ_SECONDS", 30, 3600),
            metrics_seconds=_whole(environment, "FLEETCAST_METRICS_SECONDS", 60, 3600),
            stack=environment.get("FLEETCAST_STACK", ""),
        )


def _cores() -> int:
    # Only Linux spreads connections over the sockets of one port; elsewhere one worker would get them all.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def _whole(environment: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = environment.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= most):
        raise SettingError(f"{name} must be a whole number from 1 to {most}, not {text!r}")
    return int(text)
