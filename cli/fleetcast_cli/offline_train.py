"""fleetcast train: files in, one model per customer out, by the containers' own code and without a cloud."""

import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fleetcast.domain.names import new_run_id, run_moment
from fleetcast_cli.errors import CommandFailed, UsageMistake
from fleetcast_cli.offline_claim import claimed
from fleetcast_cli.offline_data import prepare, workspace
from fleetcast_cli.offline_families import check_families, users_own
from fleetcast_cli.offline_training import TrainedFleet, summary_of, took_part, train_fleet
from fleetcast_cli.options import JsonOption
from fleetcast_cli.outcome import print_summary
from fleetcast_cli.output import counted, format_seconds, note, notes, print_json, print_table, say

_SHOWN = 10


class Engine(StrEnum):
    """Who fits Prophet's model."""

    MAP = "map"
    PROPHET = "prophet"


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Without a cloud")(train)


def train(  # noqa: PLR0913  # each is an option of the command
    data: Annotated[
        list[Path],
        typer.Argument(metavar="DATA...", help="CSV, .csv.gz or Parquet files, or folders of them."),
    ],
    *,
    models: Annotated[
        Path, typer.Option("--models", help="Folder for the models; the run is a folder in it.")
    ],
    horizon: Annotated[
        int, typer.Option(min=1, max=8784, help="How far ahead the backtest looks, in steps.")
    ] = 28,
    origins: Annotated[int, typer.Option(min=1, max=100, help="Backtests that candidates compete in.")] = 26,
    workers: Annotated[int, typer.Option(min=0, max=1024, help="Processes; 0 means one for each core.")] = 0,
    engine: Annotated[
        Engine, typer.Option(help="Who fits: the exact maximum of Prophet's posterior, or stock Prophet.")
    ] = Engine.MAP,
    families: Annotated[
        str,
        typer.Option(
            help="What competes: all, prophet, names separated by commas, or package.module:attribute."
        ),
    ] = "all",
    no_tuning: Annotated[
        bool, typer.Option("--no-tuning", help="Fit Prophet's defaults once, and choose and test nothing.")
    ] = False,
    run_id: Annotated[
        str | None,
        typer.Option("--run-id", help="Name of the run; one that was interrupted is gone on with."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train one model per customer on this machine: clean, choose by backtest, fit, pack.

    Example: fleetcast train data --models models --horizon 28
    """
    began = time.monotonic()
    run_id = _checked(run_id) if run_id else new_run_id()
    options = {
        "horizon": horizon,
        "origins": 0 if no_tuning else origins,
        "engine": engine.value,
        "families": check_families(families),
    }
    with workspace() as root, claimed(models, run_id) as run:
        with notes().status("reading and checking the data"):
            prepared = prepare(data, root, run_id)
            prepared.check_ready()
            run.go_on_with(options, prepared.fingerprint())
        fleet = train_fleet(prepared, run, {**options, "run_id": run_id, "workers": workers})
    _report(fleet, time.monotonic() - began, users_own(str(options["families"])), as_json=as_json)


def _checked(run_id: str) -> str:
    try:
        run_moment(run_id)
    except ValueError:
        raise UsageMistake(f"--run-id must look like {new_run_id()}, not {run_id!r}") from None
    return run_id


def _report(fleet: TrainedFleet, seconds: float, families: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        print_json(summary_of(fleet, seconds, families))
    else:
        print_summary(fleet.verdict.to_document())
        _print_failures(fleet)
        trained = fleet.verdict.trained
        for name in families:
            say(f"{name} took part for {took_part(fleet, name):,} of {counted(trained, 'customer')}.")
        say(f"{counted(trained, 'model')} in {fleet.folder} after {format_seconds(seconds)}.", "bold")
    if not fleet.verdict.accepted:
        raise CommandFailed("; ".join(fleet.verdict.reasons))


def _print_failures(fleet: TrainedFleet) -> None:
    failed = [row for row in fleet.ledger if row.status != "trained"]
    if failed:
        rows = [(row.customer_id, row.status, row.reason) for row in failed[:_SHOWN]]
        print_table(("Customer", "Status", "Reason"), rows)
    if len(failed) > _SHOWN:
        note(f"{_SHOWN} of {len(failed):,} customers without a model shown; the ledger has all of them")
