"""What the serving container is told by its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from fleetcast.errors import SettingError


@dataclass(frozen=True)
class ServingSettings:
    """The environment, read once.

    Attributes:
        multi_model: SageMaker loads and unloads models over HTTP; otherwise there is one, laid in `/opt/ml/model`.
        model_budget_bytes: memory that all loaded models may take together.
    """

    host: str
    port: int
    multi_model: bool
    model_budget_bytes: int

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
            model_budget_bytes=_whole(environment, "FLEETCAST_MODEL_BUDGET_BYTES", 512 * 2**20, 2**50),
        )


def _whole(environment: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = environment.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= most):
        raise SettingError(f"{name} must be a whole number from 1 to {most}, not {text!r}")
    return int(text)
