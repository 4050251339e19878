"""What a training job is told: its hyperparameters, and which of the job's hosts this is."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from fleetcast.domain.names import run_moment
from fleetcast.errors import SettingError
from fleetcast_engine.choice.families import parse_families
from fleetcast_engine.errors import UnknownFamily
from fleetcast_engine.prophet.fitting import ENGINES, Engine

_HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}")


@dataclass(frozen=True)
class TrainingSettings:
    """The hyperparameters of a job.

    Attributes:
        horizon: steps that the choice is tuned for; never fewer than the frequency's own.
        origins: how many cuts of the history each customer's models are compared at, half as many older ones follow;
            0 fits Prophet's defaults untested.
        engine: who fits: "map", the direct solver, or "prophet".
        families: which kinds of model compete: "all", "prophet", or names separated by commas.
        customer_timeout_seconds: after this a customer's worker is killed and the customer is a failed row.
        customer_memory_mb: memory that training a customer may take beyond its data; 0 means all there is.
        minimum_rows: customers with fewer usable rows get no model.
        workers: processes; 0 means one for each core.
    """

    run_id: str
    horizon: int = 28
    origins: int = 26
    engine: Engine = "map"
    families: str = "all"
    customer_timeout_seconds: float = 120.0
    customer_memory_mb: int = 2048
    minimum_rows: int = 14
    workers: int = 0

    @classmethod
    def from_hyperparameters(cls, hyperparameters: Mapping[str, Any]) -> Self:
        """Read the settings from SageMaker's map, whose values are all text.

        Raises:
            SettingError: a value is missing, is not what it should be, or is out of bounds.
        """
        given = _Hyperparameters(hyperparameters)
        return cls(
            run_id=given.run_id(),
            horizon=given.whole("horizon", cls.horizon, 1, 8784),
            origins=given.whole("origins", cls.origins, 0, 100),
            engine=given.engine(cls.engine),
            families=given.families(cls.families),
            customer_timeout_seconds=given.seconds(
                "customer_timeout_seconds", cls.customer_timeout_seconds, 0.001, 86_400
            ),
            customer_memory_mb=given.whole("customer_memory_mb", cls.customer_memory_mb, 0, 1_000_000),
            minimum_rows=given.whole("minimum_rows", cls.minimum_rows, 1, 1_000_000),
            workers=given.whole("workers", cls.workers, 0, 1024),
        )

    @property
    def trained_at(self) -> int:
        """When the run began: all its models say so, and a job that is tried again writes the same bytes."""
        return int(run_moment(self.run_id).timestamp())

    @classmethod
    def unknown(cls, hyperparameters: Mapping[str, Any]) -> list[str]:
        """Return the names that mean nothing to this release."""
        return sorted(set(hyperparameters) - {field.name for field in fields(cls)})


class _Hyperparameters:
    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def run_id(self) -> str:
        value = str(self._values.get("run_id", ""))
        try:
            run_moment(value)
        except ValueError:
            raise SettingError(
                f"hyperparameter run_id must look like r20260131020000-0a1b2c, not {value!r}"
            ) from None
        return value

    def families(self, default: str) -> str:
        value = str(self._values.get("families", default))
        try:
            parse_families(value)
        except UnknownFamily as error:
            raise SettingError(f"hyperparameter families cannot be {value!r}: {error}") from error
        return value

    def engine(self, default: Engine) -> Engine:
        value = str(self._values.get("engine", default))
        for engine in ENGINES:
            if value == engine:
                return engine
        raise SettingError(f"hyperparameter engine must be one of {', '.join(ENGINES)}, not {value!r}")

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        text = str(self._values.get(name, default))
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise SettingError(
                f"hyperparameter {name} must be a whole number from {least} to {most}, not {text!r}"
            )
        return int(text)

    def seconds(self, name: str, default: float, least: float, most: float) -> float:
        text = str(self._values.get(name, default))
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or not least <= float(text) <= most:
            raise SettingError(f"hyperparameter {name} must be from {least} to {most} seconds, not {text!r}")
        return float(text)


@dataclass(frozen=True)
class Host:
    """One of the machines that share a job."""

    name: str
    count: int

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Read SageMaker's resource configuration; without one this is the only host.

        Raises:
            SettingError: the host's name could not be part of a file name.
        """
        name = config.get("current_host", "algo-1")
        hosts = config.get("hosts", [name])
        if not isinstance(name, str) or not _HOST_NAME.fullmatch(name) or not isinstance(hosts, list):
            raise SettingError(f"resourceconfig.json names no usable host: current_host is {name!r}")
        return cls(name, max(len(hosts), 1))


def read_config(path: Path) -> dict[str, Any]:
    """Return a configuration file of SageMaker's; a missing one is empty.

    Raises:
        SettingError: the file is not a JSON object.
    """
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(config, dict):
        raise SettingError(f"{path} must be a JSON object")
    return config
