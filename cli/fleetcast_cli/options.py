"""Options that several commands share, so that they read and behave the same everywhere."""

from typing import Annotated

import typer

from fleetcast_cli.project import Environment

EnvOption = Annotated[
    Environment,
    typer.Option("--env", envvar="FLEETCAST_ENV", help="Which cloud: this machine, or a stack in AWS."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
