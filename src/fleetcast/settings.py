"""What each function is told by its environment: one frozen object per entry point, read on first use."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from fleetcast.errors import SettingError


@dataclass(frozen=True)
class _Settings:
    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read every field from the variable of its name in capitals.

        Raises:
            SettingError: a variable is missing, empty or of the wrong type; the sentence names it.
        """
        return cls(**{field.name: _read(environ, field.name.upper(), field.type) for field in fields(cls)})


def _read(environ: Mapping[str, str], name: str, kind: object) -> str | int:
    value = environ.get(name, "")
    if not value:
        raise SettingError(f"environment variable {name} is not set")
    try:
        return int(value) if kind in (int, "int") else value
    except ValueError as error:
        raise SettingError(f"environment variable {name} is {value!r}, but must be a whole number") from error


@dataclass(frozen=True)
class InitiateRunSettings(_Settings):
    stack_name: str
    data_bucket: str
    model_bucket: str
    run_table: str
    parameter_path: str
    source_layer_arn: str


@dataclass(frozen=True)
class EvaluateRunSettings(_Settings):
    stack_name: str
    data_bucket: str
    run_table: str


@dataclass(frozen=True)
class PlanEndpointSettings(_Settings):
    endpoint_name: str


@dataclass(frozen=True)
class PromoteRunSettings(_Settings):
    data_bucket: str
    pointer_table: str
    batch_size: int
    """Customers per invocation: small enough to end well within the function's timeout."""


@dataclass(frozen=True)
class CloseRunSettings(_Settings):
    run_table: str


@dataclass(frozen=True)
class ExplainFailureSettings(_Settings):
    stack_name: str


@dataclass(frozen=True)
class ApplyScheduleSettings(_Settings):
    parameter_path: str
    schedule_name: str


@dataclass(frozen=True)
class ForecastCustomerSettings(_Settings):
    endpoint_name: str
    pointer_table: str
    pointer_cache_seconds: int
    """For so long a released model may go unnoticed by a warm function."""


@dataclass(frozen=True)
class DescribeCustomerSettings(_Settings):
    pointer_table: str


@dataclass(frozen=True)
class CheckHealthSettings(_Settings):
    endpoint_name: str
    run_table: str
