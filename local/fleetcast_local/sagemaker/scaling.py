"""What SageMaker tells, and asks, whoever scales its variants."""

from collections.abc import Mapping
from typing import Protocol


class Scaling(Protocol):
    """Application Auto Scaling, as SageMaker knows it."""

    def minute(self, measured: Mapping[tuple[str, str], float]) -> None:
        """Take in the invocations per instance of every variant in service, by endpoint and variant."""

    def watches(self, endpoint: str, variant: str) -> bool:
        """Whether the variant is a scalable target."""

    def forget(self, endpoint: str) -> None:
        """Deregister the variants of an endpoint that is deleted."""


class Unscaled:
    """Nothing scales."""

    def minute(self, measured: Mapping[tuple[str, str], float]) -> None: ...

    def watches(self, endpoint: str, variant: str) -> bool:  # noqa: ARG002 - the shape of the question
        return False

    def forget(self, endpoint: str) -> None: ...
