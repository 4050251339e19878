"""fleetcast predict: the models of a folder, asked all at once."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from fleetcast_cli.errors import CommandFailed, UsageMistake
from fleetcast_cli.offline_data import check_customers
from fleetcast_cli.offline_models import ModelFolder, open_model
from fleetcast_cli.offline_target import Target
from fleetcast_cli.options import JsonOption
from fleetcast_cli.output import counted, note, notes, print_json, say

if TYPE_CHECKING:
    from fleetcast_engine import Forecast

# As far as the engine forecasts: beyond it, an answer means nothing.
_MOST_STEPS = 100_000
_SHOWN = 10
_COLUMNS = ("customer_id", "timestamp", "yhat", "yhat_lower", "yhat_upper")


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Without a cloud")(predict)


def predict(  # noqa: PLR0913  # each is an option of the command
    models: Annotated[
        Path,
        typer.Option("--models", help="A folder of models: a run of fleetcast train, or the latest in it."),
    ],
    period: Annotated[
        int,
        typer.Option(min=1, max=_MOST_STEPS, help="How many steps ahead, in each customer's own frequency."),
    ],
    output: Annotated[Path, typer.Option("--output", help="The CSV file to write; an old one is replaced.")],
    *,
    customer: Annotated[
        list[str] | None, typer.Option("--customer", help="Only this customer. Repeatable; without it, all.")
    ] = None,
    interval: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="Share of the truth that the bounds are to hold.")
    ] = 0.8,
    as_json: JsonOption = False,
) -> None:
    """Forecast every customer from the models in a folder, into one CSV file.

    A model that is broken is named, the others are written, and the exit code is 1.

    Example: fleetcast predict --models models --period 28 --output forecasts.csv --customer 42
    """
    target = Target.of(output)
    if as_json and target.is_stdout:
        raise UsageMistake("--json and the forecasts cannot both be written to standard output")
    folder = ModelFolder.find(models)
    artifacts = folder.artifacts(check_customers(customer or []))
    report = write_forecasts(artifacts, target, period, interval)
    if as_json:
        print_json({"models": str(folder.path), "output": str(output), **report})
    elif report["customers"]:
        what = f"{counted(report['customers'], 'customer')}, {counted(report['rows'], 'row')}"
        tell = note if target.is_stdout else say
        tell(f"{what} in {output}, by the models in {folder.path}.")
    _complain(report["broken"], len(artifacts))


def _complain(broken: Sequence[Mapping[str, str]], asked: int) -> None:
    for one in broken[:_SHOWN]:
        note(f"{one['artifact']} is left out: {one['reason']}", "red")
    if len(broken) > _SHOWN:
        note(f"{_SHOWN} of {len(broken):,} that are left out shown; --json names all of them")
    if broken:
        raise CommandFailed(f"{len(broken):,} of {counted(asked, 'model')} could not forecast")


def write_forecasts(
    artifacts: Sequence[Path], target: "Target", period: int, interval: float
) -> dict[str, Any]:
    """Write one block of rows per artifact; return what was written and what is broken."""
    broken: list[dict[str, str]] = []
    with target.open() as written:
        customers = _write(written.file, _forecasts(artifacts, period, interval, broken))
        written.is_complete = customers > 0
    return {"customers": customers, "rows": customers * period, "broken": broken}


def _write(file: IO[str], forecasts: "Iterator[tuple[str, Forecast]]") -> int:
    import numpy as np  # noqa: PLC0415  # 0.1 s that few commands need

    writer, written = csv.writer(file, lineterminator="\n"), 0
    writer.writerow(_COLUMNS)
    for customer_id, answer in forecasts:
        moments = np.datetime_as_string(answer.timestamps.astype("datetime64[s]"), timezone="UTC").tolist()
        numbers = (answer.yhat.tolist(), answer.lower.tolist(), answer.upper.tolist())
        writer.writerows(zip([customer_id] * len(moments), moments, *numbers, strict=True))
        written += 1
    return written


def _forecasts(
    artifacts: Sequence[Path], period: int, interval: float, broken: list[dict[str, str]]
) -> "Iterator[tuple[str, Forecast]]":
    from fleetcast_engine import forecast  # noqa: PLC0415  # numpy: as above
    from fleetcast_engine.errors import EngineError  # noqa: PLC0415

    console = notes()
    columns = (TextColumn("forecasting"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        for path in bar.track(artifacts):
            try:
                loaded = open_model(path)
                yield loaded.model.customer_id, forecast(loaded, period, interval=interval)
            except EngineError as error:
                broken.append({"artifact": str(path), "reason": str(error)})
            except OSError as error:
                broken.append({"artifact": str(path), "reason": error.strerror or str(error)})
