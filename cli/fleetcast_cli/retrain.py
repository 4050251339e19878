"""fleetcast retrain: start a run, and follow it to its end."""

import getpass
import json
import secrets
from datetime import UTC, datetime
from typing import Annotated

import typer

from fleetcast_cli.errors import INTERRUPTED, Refused
from fleetcast_cli.follow import follow_run, say_following
from fleetcast_cli.options import EnvOption, JsonOption
from fleetcast_cli.outcome import print_outcome
from fleetcast_cli.output import note, print_json, say
from fleetcast_cli.project import Environment, Project
from fleetcast_cli.runs import RunAtWork, run_at_work
from fleetcast_cli.session import Cloud


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Daily use")(retrain)


def retrain(
    context: typer.Context,
    env: EnvOption = Environment.LOCAL,
    reason: Annotated[
        str | None, typer.Option(help="Why; it stands in the email and in the run table.")
    ] = None,
    *,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait", help="Follow the run, or the one at work already; the exit code is its outcome."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start a run: prepare, train, judge and release the whole fleet.

    Example: fleetcast retrain --wait --reason "new tariffs"
    """
    cloud = Cloud(Project.find(context.obj), env)
    busy = _run_in_the_way(cloud)
    if busy is not None and not wait:
        raise Refused(_describe_refusal(cloud, busy))
    arn = _join(busy) if busy else start_run(cloud, reason)
    if wait:
        raise typer.Exit(_follow_to_the_end(cloud, arn, as_json=as_json))
    if as_json:
        print_json({"execution": arn})
    else:
        say(f"Started {arn}")
        note("See how it goes: fleetcast runs")


def _run_in_the_way(cloud: Cloud) -> RunAtWork | None:
    run = run_at_work(cloud)
    # One that still collects data is in nobody's way: what is started by hand takes its place at once.
    return None if run is None or run.collects else run


def _describe_refusal(cloud: Cloud, run: RunAtWork) -> str:
    environment = "" if cloud.is_local else f" --env {cloud.environment.value}"
    return (
        f"run {run.run_id} is in progress since {run.since}, and no other was started;"
        f" follow it: fleetcast retrain --wait{environment}"
    )


def _join(run: RunAtWork) -> str:
    say_following(run)
    return run.execution


def start_run(cloud: Cloud, reason: str | None = None) -> str:
    """Start an execution by hand; return its ARN."""
    answer = cloud.client("stepfunctions").start_execution(
        stateMachineArn=cloud.outputs.state_machine,
        name=f"manual-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}",
        input=json.dumps({"reason": reason or f"fleetcast retrain by {_user()}"}),
    )
    arn: str = answer["executionArn"]
    return arn


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no user of that number, as in some containers
        return "an unknown user"


def _follow_to_the_end(cloud: Cloud, arn: str, *, as_json: bool) -> int:
    try:
        outcome = follow_run(cloud, arn)
    except KeyboardInterrupt:
        note("You stopped watching; the run goes on. See how it ends: fleetcast runs. Its execution: " + arn)
        return INTERRUPTED
    if as_json:
        print_json(outcome.to_document())
    else:
        print_outcome(outcome)
    return outcome.exit_code
