"""The project that a command works in: its folder, its state, and what samconfig.toml says of its stacks."""

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from fleetcast_cli.errors import UsageMistake


class Environment(StrEnum):
    """Where a stack lives; `local` is this machine, every other one is in AWS."""

    LOCAL = "local"
    DEV = "dev"
    STAGING = "staging"
    PROD = "prod"


@dataclass(frozen=True)
class StackSettings:
    """What samconfig.toml says about one environment's stack; SAM CLI reads the same lines."""

    stack_name: str
    region: str | None
    profile: str | None
    overrides: tuple[str, ...]
    confirms: bool


@dataclass(frozen=True)
class Project:
    root: Path

    @classmethod
    def find(cls, start: Path) -> Self:
        """Return the project around a folder: the nearest parent that holds a template.yaml."""
        resolved = start.resolve()
        for folder in (resolved, *resolved.parents):
            if (folder / "template.yaml").is_file():
                return cls(folder)
        raise UsageMistake(
            f"{resolved} is not inside a Fleetcast project (no template.yaml here or above):"
            " change into one, or name it with fleetcast --project FOLDER"
        )

    @property
    def state(self) -> Path:
        return self.root / ".fleetcast"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def inbox(self) -> Path:
        return self.state / "inbox"

    def shorten(self, path: Path) -> str:
        """Return a path as a person inside the project would write it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def settings(self, environment: Environment) -> StackSettings:
        commands = self._configuration().get(environment.value, {})
        everywhere = commands.get("global", {}).get("parameters", {})
        deploy = everywhere | commands.get("deploy", {}).get("parameters", {})
        if "stack_name" not in deploy:
            raise UsageMistake(
                f"samconfig.toml names no stack for {environment.value}: add stack_name under"
                f" [{environment.value}.global.parameters]"
            )
        return StackSettings(
            stack_name=deploy["stack_name"],
            region=deploy.get("region"),
            profile=deploy.get("profile"),
            overrides=_as_list(deploy.get("parameter_overrides", [])),
            confirms=bool(deploy.get("confirm_changeset", False)),
        )

    def _configuration(self) -> dict[str, Any]:
        path = self.root / "samconfig.toml"
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UsageMistake(
                f"{path} is missing: it says which stack belongs to which environment"
            ) from None
        except tomllib.TOMLDecodeError as error:
            raise UsageMistake(f"{path} is not valid TOML: {error}") from error


def _as_list(overrides: Any) -> tuple[str, ...]:
    # SAM CLI takes a list of KEY=VALUE, or one text of them with spaces between.
    return tuple(overrides.split()) if isinstance(overrides, str) else tuple(map(str, overrides))
