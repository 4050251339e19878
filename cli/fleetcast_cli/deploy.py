"""fleetcast deploy: `sam build` and `sam deploy`, to this machine or to AWS."""

import sys
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from fleetcast_cli.deployed import LastDeployment, fingerprint
from fleetcast_cli.errors import CommandFailed, UsageMistake
from fleetcast_cli.options import EnvOption, JsonOption
from fleetcast_cli.output import print_json, print_table, say
from fleetcast_cli.project import Environment, Project
from fleetcast_cli.sam import SamRunner, sam_environment, sam_scratch
from fleetcast_cli.session import Cloud, stack_outputs


@dataclass(frozen=True)
class Deployment:
    """A stack as a deployment left it; `changed` is false where there was nothing to deploy."""

    outputs: dict[str, str]
    changed: bool


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="The cloud")(deploy)


def deploy(
    context: typer.Context,
    env: EnvOption = Environment.LOCAL,
    parameter_overrides: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="A parameter of the template, on top of samconfig.toml's. Repeatable."
        ),
    ] = None,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask, where samconfig.toml says to confirm.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Build the stack and deploy it with the SAM CLI.

    Example: fleetcast deploy --env dev --parameter-overrides AlertEmail=me@example.com
    """
    cloud = Cloud(Project.find(context.obj), env)
    done = deploy_stack(cloud, parameter_overrides or [], confirmed=yes)
    if as_json:
        print_json({"stack": cloud.settings.stack_name, "changed": done.changed, "outputs": done.outputs})
        return
    state = "deployed in" if done.changed else "unchanged in"
    say(f"Stack {cloud.settings.stack_name} is {state} {env.value}.", "bold")
    print_table(("Output", "Value"), sorted(done.outputs.items()))
    if cloud.is_local:
        say(f"On this machine the API answers at {cloud.api_url}")


def deploy_stack(cloud: Cloud, overrides: list[str], *, confirmed: bool = True) -> Deployment:
    """Build, and deploy what differs from what is there."""
    asks = cloud.settings.confirms and not confirmed
    if asks and not sys.stdin.isatty():
        raise UsageMistake(
            f"samconfig.toml says to confirm deployments to {cloud.environment.value}:"
            " run this on a terminal, or add --yes"
        )
    arguments = [*_override_arguments(cloud, overrides), *([] if asks else ["--no-confirm-changeset"])]
    cloud.client("cloudformation")  # a region or a profile that is missing shows now, and not after the build
    with sam_scratch(cloud.project) as scratch:
        sam = SamRunner(cloud.project, sam_environment(cloud) | scratch, interactive=asks)
        sam.run("build", "--config-env", cloud.environment.value)
        if cloud.is_local:
            return _deploy_if_new(cloud, sam, arguments)
        return Deployment(stack_outputs(_deploy(cloud, sam, arguments)), changed=True)


def _deploy_if_new(cloud: Cloud, sam: SamRunner, arguments: list[str]) -> Deployment:
    last, digest = LastDeployment(cloud.project), fingerprint(cloud.project, arguments)
    stack = cloud.describe_stack()
    if stack is not None and last.is_current(stack, digest):
        return Deployment(stack_outputs(stack), changed=False)
    deployed = _deploy(cloud, sam, arguments)
    if digest is not None:
        last.remember(deployed, digest)
    return Deployment(stack_outputs(deployed), changed=True)


def _deploy(cloud: Cloud, sam: SamRunner, arguments: list[str]) -> dict[str, Any]:
    sam.run("deploy", "--config-env", cloud.environment.value, *arguments)
    stack = cloud.describe_stack()
    if stack is None:  # the person at the terminal has declined
        raise CommandFailed(f"stack {cloud.settings.stack_name} was not deployed")
    return stack


def _override_arguments(cloud: Cloud, overrides: list[str]) -> list[str]:
    # SAM CLI lets the command line replace the whole list of samconfig.toml, not add to it.
    merged = _as_pairs(cloud.settings.overrides) | _as_pairs(overrides)
    quoted = [f'{key}="{_escape(value)}"' for key, value in merged.items()]
    return ["--parameter-overrides", " ".join(quoted)] if overrides else []


def _as_pairs(overrides: list[str] | tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key.isalnum():
            raise UsageMistake(
                f"{override!r} is no parameter override: write KEY=VALUE, such as Schedule=daily"
            )
        pairs[key] = value
    return pairs


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
