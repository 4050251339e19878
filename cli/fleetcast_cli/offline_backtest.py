"""fleetcast backtest: the fleet against the naives and Prophet, on rows that were held back."""

import math
import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fleetcast.domain.names import new_run_id
from fleetcast_cli.errors import CommandFailed
from fleetcast_cli.offline_data import Prepared, check_customers, prepare, quality_of, workspace
from fleetcast_cli.offline_families import check_families
from fleetcast_cli.options import JsonOption
from fleetcast_cli.output import counted, note, notes, print_json, print_table

if TYPE_CHECKING:
    from fleetcast_cli.offline_judging import Judgement, Question

_STOCK_SAMPLE = 12
_SHOWN = 10
_FIGURES = {
    "relMAE": "relMAE",
    "beats last week, %": "beats last week, %",
    "sMAPE median": "sMAPE",
    "MASE median": "MASE",
    "coverage of 80 %": "coverage of 80 %",
    "customers": "customers",
}


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Without a cloud")(backtest)


def backtest(  # noqa: PLR0913  # each is an option of the command
    data: Annotated[
        list[Path],
        typer.Argument(metavar="DATA...", help="CSV, .csv.gz or Parquet files, or folders of them."),
    ],
    *,
    horizon: Annotated[
        int | None,
        typer.Option(
            min=1, max=8784, help="Steps to forecast; without it a week and four, of hours a day and a week."
        ),
    ] = None,
    customer: Annotated[
        list[str] | None, typer.Option("--customer", help="Only this customer. Repeatable; without it, all.")
    ] = None,
    stock: Annotated[
        bool, typer.Option(help=f"Ask stock Prophet too, of {_STOCK_SAMPLE} customers: some seconds.")
    ] = True,
    families: Annotated[str, typer.Option(help="What competes, as with fleetcast train.")] = "all",
    workers: Annotated[int, typer.Option(min=0, max=1024, help="Processes; 0 means one for each core.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Hold back the last weeks three times, forecast them, and compare: the fleet, the naives, Prophet.

    relMAE is the geometric mean over customers of the error against "same step last week"; below 1 is better.

    Example: fleetcast backtest data --horizon 28
    """
    from fleetcast_cli.offline_judging import Question  # noqa: PLC0415  # numpy: 0.1 s that few commands need
    from fleetcast_engine import TrainSettings  # noqa: PLC0415  # as above

    named = check_customers(customer or [])
    settings = TrainSettings(horizon=horizon or 28, families=check_families(families))
    question = Question(settings, (horizon,) if horizon else ())
    with workspace() as root:
        with notes().status("reading and checking the data"):
            prepared = prepare(data, root, new_run_id())
            prepared.check_ready()
            customers = _with_rows(prepared, named)
        judgement = _judge(prepared, customers, question, workers)
        sample = _sample(customers) if stock and _has_prophet() else []
        stock_question = Question(settings, question.horizons, stock=True)
        asked = _judge(prepared, sample, stock_question, workers) if sample else None
    _report(judgement, asked, prepared, as_json=as_json)
    _say_who_is_missing(judgement, asked.failed if asked else {}, horizon)


def _with_rows(prepared: Prepared, named: Sequence[str]) -> list[str]:
    """Return the customers to judge; without any named, all that have usable rows."""
    rows = quality_of(prepared, named)
    unusable = [row for row in rows if row["object"] is None]
    for row in unusable[:_SHOWN] if named else ():
        note(f"customer {row['customer_id']!r} is left out: {row['reason']}", "yellow")
    return [row["customer_id"] for row in rows if row["object"] is not None]


def _sample(customers: Sequence[str]) -> list[str]:
    stride = max(1, len(customers) // _STOCK_SAMPLE)
    return list(customers[::stride][:_STOCK_SAMPLE])


def _has_prophet() -> bool:
    found = find_spec("prophet") is not None
    if not found:
        note("stock Prophet is not installed, and is left out", "yellow")
    return found


def _judge(prepared: Prepared, customers: Sequence[str], question: "Question", workers: int) -> "Judgement":
    from fleetcast_cli.offline_judging import judge  # noqa: PLC0415  # numpy: as above

    console = notes()
    what = "asking stock Prophet" if question.stock else "forecasting what was held back"
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    processes = max(1, min(workers or os.cpu_count() or 1, len(customers)))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=len(customers))
        rows = prepared.customers(frozenset(customers))
        return judge(rows, question, processes, lambda count: bar.advance(task, count))


def _report(judgement: "Judgement", asked: "Judgement | None", prepared: Prepared, *, as_json: bool) -> None:
    if not as_json:
        _print(judgement, "Every customer")
        if asked:
            _print(asked, "Those that stock Prophet was asked of")
        return
    document = {
        "judged": judgement.judged,
        "unjudged": judgement.unjudged,
        "failed": judgement.failed,
        "tables": judgement.tables(),
        "data": prepared.to_document(),
    }
    if asked:
        document["sample"] = asked.tables()
    print_json(_without_nan(document))


def _say_who_is_missing(judgement: "Judgement", failed_stock: Mapping[str, str], horizon: int | None) -> None:
    """Say which customers are in no table; CommandFailed where one failed, or none is in a table."""
    long = f"{horizon:,} steps" if horizon else "four weeks"
    if judgement.unjudged and judgement.judged:
        who = counted(judgement.unjudged, "customer")
        note(f"{who} left out: irregular, or with too short a history to hold {long} back")
    failed = {**failed_stock, **judgement.failed}
    for customer, reason in islice(failed.items(), _SHOWN):
        note(f"customer {customer!r} could not be judged: {reason}", "red")
    if failed:
        raise CommandFailed(f"{counted(len(failed), 'customer')} could not be judged")
    if not judgement.judged:
        raise CommandFailed(f"no customer has a history that is regular and long enough to hold {long} back")


def _print(judgement: "Judgement", title: str) -> None:
    for frequency, rows in judgement.tables().items():
        cells = [(row["method"], row["steps"], *(_cell(row[name]) for name in _FIGURES)) for row in rows]
        columns = ("Method", "Steps", *_FIGURES.values())
        print_table(columns, cells, title=f"{title} ({frequency})", right=_FIGURES.values())


def _cell(value: Any) -> str | None:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if math.isfinite(value) else None


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nan(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
