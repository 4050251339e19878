"""What a build is told: its targets by the command line, the rest by the environment."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from containers.image_build.errors import BuildError

BUILDERS = ("docker", "buildah", "process")
_REPOSITORY = re.compile(
    r"(?P<registry>\d{12}\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?)/(?P<name>[a-z0-9][a-z0-9._/-]*)"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Target:
    """One image: the stage of the Dockerfile and what its process image consists of.

    Attributes:
        packages: the folders below `containers/` that it needs.
        requirements: its lock file.
    """

    name: str
    packages: tuple[str, ...]
    requirements: str

    @property
    def entrypoint(self) -> str:
        return f"python -m fleetcast_{self.name}"

    @property
    def pythonpath(self) -> tuple[str, ...]:
        return ("src", *(f"containers/{package}" for package in self.packages))

    @property
    def variable(self) -> str:
        return f"{self.name.upper()}_REPOSITORY_URI"


TARGETS = {
    target.name: target
    for target in (
        Target("processing", ("processing",), "requirements/processing.txt"),
        Target("training", ("engine", "training"), "requirements/training.txt"),
        Target("serving", ("engine", "serving"), "requirements/serving.txt"),
    )
}


@dataclass(frozen=True)
class Repository:
    """A repository of Amazon ECR."""

    uri: str
    registry: str
    region: str
    name: str

    @classmethod
    def parse(cls, variable: str, uri: str) -> Self:
        match = _REPOSITORY.fullmatch(uri)
        if match is None:
            raise BuildError(
                f"{variable} must look like 123456789012.dkr.ecr.us-east-1.amazonaws.com/name, not {uri!r}"
            )
        return cls(uri, match["registry"], match["region"], match["name"])


@dataclass(frozen=True)
class BuildSettings:
    """The environment, read once.

    Attributes:
        builder: who builds; None leaves the choice to what is there.
        image_store: the local cloud's folder of process images; None on AWS.
        base_image: replaces the Dockerfile's base, such as by a mirror or an exact digest.
    """

    targets: tuple[Target, ...]
    repositories: Mapping[str, Repository]
    tag: str
    builder: str | None
    image_store: Path | None
    base_image: str | None

    @classmethod
    def read(cls, names: Sequence[str], environment: Mapping[str, str]) -> Self:
        """Read the settings.

        Raises:
            BuildError: a target or a variable is missing or wrong.
        """
        unknown = [name for name in names if name not in TARGETS]
        if unknown or not names:
            raise BuildError(f"usage: containers/build TARGET…, where TARGET is one of {', '.join(TARGETS)}")
        targets = tuple(TARGETS[name] for name in dict.fromkeys(names))
        store = environment.get("FLEETCAST_IMAGE_STORE")
        return cls(
            targets=targets,
            repositories={
                target.name: Repository.parse(target.variable, _required(environment, target.variable))
                for target in targets
            },
            tag=_tag(_required(environment, "IMAGE_TAG")),
            builder=_builder(environment.get("FLEETCAST_BUILDER") or None),
            image_store=Path(store) if store else None,
            base_image=environment.get("FLEETCAST_BASE_IMAGE") or None,
        )


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise BuildError(f"the environment variable {name} is missing")
    return value


def _tag(text: str) -> str:
    if not _TAG.fullmatch(text):
        raise BuildError(f"IMAGE_TAG must be an image tag such as 0123456789abcdef, not {text!r}")
    return text


def _builder(name: str | None) -> str | None:
    if name is not None and name not in BUILDERS:
        raise BuildError(f"FLEETCAST_BUILDER must be one of {', '.join(BUILDERS)}, not {name!r}")
    return name
