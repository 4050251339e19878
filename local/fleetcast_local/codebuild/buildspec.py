"""The build specification: read, checked, and turned into phases."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

PHASES = ("install", "pre_build", "build", "post_build")
_TOP = {"version", "run-as", "env", "proxy", "batch", "phases", "reports", "artifacts", "cache"}
_SHELLS = {"sh", "/bin/sh", "bash", "/bin/bash"}


class BuildspecError(Exception):
    """A buildspec that CodeBuild would refuse; the text says where."""


@dataclass(frozen=True)
class Phase:
    """The commands of one phase."""

    commands: tuple[str, ...] = ()
    finally_: tuple[str, ...] = ()
    on_failure: str | None = None


@dataclass(frozen=True)
class Buildspec:
    """What a buildspec says, as far as a build without artifacts and reports needs it."""

    shell: str = "/bin/sh"
    variables: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    exported: tuple[str, ...] = ()
    phases: Mapping[str, Phase] = field(default_factory=dict)


def find_buildspec(given: str | None, source: Path) -> str:
    """Return the text: inline, or a file of the source (buildspec.yml unless another path is given)."""
    if given and ("\n" in given or given.lstrip().startswith("version")):
        return given
    path = given or "buildspec.yml"
    file = (source / path).resolve()
    if not file.is_relative_to(source.resolve()) or not file.is_file():
        raise BuildspecError(f"stat {path}: no such file or directory in the source")
    return file.read_text(encoding="utf-8")


def parse_buildspec(text: str) -> Buildspec:
    """Return the parsed buildspec, or raise BuildspecError."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BuildspecError(f"YAML file error: {error}") from error
    if not isinstance(document, dict):
        raise BuildspecError("YAML file error: a buildspec is a mapping with version and phases")
    if str(document.get("version")) != "0.2":
        raise BuildspecError(f"version must be 0.2, not {document.get('version')}")
    unknown = sorted(set(map(str, document)) - _TOP)
    if unknown:
        raise BuildspecError(f"unknown keys: {', '.join(unknown)}")
    return _buildspec(document)


def _buildspec(document: dict[str, Any]) -> Buildspec:
    env = _mapping(document, "env")
    shell = str(env.get("shell", "sh"))
    if shell not in _SHELLS:
        raise BuildspecError(f"env.shell must be sh or bash, not {shell}")
    exported = tuple(map(str, env.get("exported-variables") or ()))
    forbidden = [name for name in exported if name.startswith("AWS_")]
    if forbidden:
        raise BuildspecError(f"env.exported-variables must not begin with AWS_: {', '.join(forbidden)}")
    phases = _mapping(document, "phases")
    if not phases or set(phases) - set(PHASES):
        raise BuildspecError(
            f"phases must be some of {', '.join(PHASES)}, not {', '.join(phases) or 'empty'}"
        )
    return Buildspec(
        shell=shell if shell.startswith("/") else f"/bin/{shell}",
        variables=_strings(env, "variables"),
        parameters=_strings(env, "parameter-store"),
        secrets=_strings(env, "secrets-manager"),
        exported=exported,
        phases={name: _phase(name, content) for name, content in phases.items()},
    )


def _phase(name: str, content: Any) -> Phase:
    if not isinstance(content, dict):
        raise BuildspecError(f"phases.{name} must be a mapping with commands")
    on_failure = content.get("on-failure")
    if on_failure not in {None, "ABORT", "CONTINUE"}:
        raise BuildspecError(f"phases.{name}.on-failure must be ABORT or CONTINUE, not {on_failure}")
    return Phase(_commands(name, content, "commands"), _commands(name, content, "finally"), on_failure)


def _commands(phase: str, content: dict[str, Any], key: str) -> tuple[str, ...]:
    commands = content.get(key) or []
    if not isinstance(commands, list) or not all(isinstance(c, str) for c in commands):
        raise BuildspecError(f"phases.{phase}.{key} must be a list of strings")
    return tuple(commands)


def _mapping(document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key) or {}
    if not isinstance(value, dict):
        raise BuildspecError(f"{key} must be a mapping")
    return value


def _strings(document: dict[str, Any], key: str) -> dict[str, str]:
    return {str(name): _text(value) for name, value in _mapping(document, key).items()}


def _text(value: Any) -> str:
    # YAML reads `true` as a boolean; the variable was meant as it is written.
    return str(value).lower() if isinstance(value, bool) else str(value)
