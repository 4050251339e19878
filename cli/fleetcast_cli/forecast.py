"""fleetcast forecast: ask the API, as any application does."""

import sys
from datetime import datetime
from typing import Annotated, Any

import typer

from fleetcast.domain.forecasts import DEFAULT_INTERVAL, FREQUENCIES, to_csv
from fleetcast_cli.api import ApiRefusal, ask_forecast
from fleetcast_cli.errors import UsageMistake
from fleetcast_cli.fleet import why_no_model
from fleetcast_cli.options import EnvOption, JsonOption
from fleetcast_cli.output import clean, note, print_json, print_table, results, say
from fleetcast_cli.project import Environment, Project
from fleetcast_cli.session import Cloud


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Daily use")(forecast)


def forecast(  # noqa: PLR0913  # each is an option of the command
    context: typer.Context,
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id, as in the data.")],
    *,
    period: Annotated[int, typer.Option(help="How many steps ahead.")] = 7,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Begin with the first step at or after it, in UTC if it names no zone; else right after the data.",
        ),
    ] = None,
    frequency: Annotated[
        str | None,
        typer.Option(
            help=f"Only the steps of a coarser frequency than the customer's own: {', '.join(FREQUENCIES)}."
        ),
    ] = None,
    interval: Annotated[
        float, typer.Option(help="Probability that the truth lies between the bounds.")
    ] = DEFAULT_INTERVAL,
    components: Annotated[bool, typer.Option("--components", help="Say what each step is made of.")] = False,
    env: EnvOption = Environment.LOCAL,
    plot: Annotated[bool, typer.Option("--plot", help="Draw it too.")] = False,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV for machines.")] = False,
) -> None:
    """Ask the API for a customer's forecast.

    Example: fleetcast forecast 42 --period 14 --plot

    Example: fleetcast forecast 42 --period 3 --frequency monthly --start 2026-03-01 --interval 0.95

    Example: fleetcast forecast 42 --components --csv > forecast.csv
    """
    if as_json + as_csv + plot > 1:
        raise UsageMistake("--json, --csv and --plot exclude each other")
    cloud = Cloud(Project.find(context.obj), env)
    asked = {
        "start": start,
        "frequency": frequency,
        "interval": None if interval == DEFAULT_INTERVAL else interval,
    }
    request = {"period": period, **{name: value for name, value in asked.items() if value is not None}}
    try:
        answer = ask_forecast(cloud, customer, request | ({"components": True} if components else {}), note)
    except ApiRefusal as refusal:
        raise _with_reason(cloud, customer, refusal) from None
    _print(answer, as_json=as_json, as_csv=as_csv, plot=plot)


def _print(answer: dict[str, Any], *, as_json: bool, as_csv: bool, plot: bool) -> None:
    if as_json:
        print_json(answer)
    elif as_csv:
        sys.stdout.write(to_csv(answer))
    else:
        print_forecast(answer)
        if plot:
            print_plot(answer)


def _with_reason(cloud: Cloud, customer: str, refusal: ApiRefusal) -> ApiRefusal:
    """Add what the runs said of a customer of whom the API knows no model."""
    why = why_no_model(cloud, customer) if refusal.status == 404 else None
    return ApiRefusal(refusal.status, f"{refusal}. {why}") if why else refusal


def print_forecast(answer: dict[str, Any]) -> None:
    say(describe_model(answer))
    steps = answer["forecast"]
    names = list(steps[0].get("components", {})) if steps else []
    rows = [
        (
            *(_moment(step["timestamp"]), step["yhat"], step["yhat_lower"], step["yhat_upper"]),
            *(step["components"][name] for name in names),
        )
        for step in steps
    ]
    share = answer.get("interval")
    bound = f" ({share * 100:.4g}%)" if share else ""
    print_table(("Time", "Forecast", f"Lower{bound}", f"Upper{bound}", *map(clean, names)), rows)


def describe_model(answer: dict[str, Any]) -> str:
    return (
        f"Customer {answer['customer_id']}: {answer['model_family']} model of run {answer['run_id']},"
        f" trained on data until {_moment(answer['training_end'])}"
    )


def print_plot(answer: dict[str, Any]) -> None:
    from fleetcast_cli.plot import draw_forecast  # noqa: PLC0415  # plotext: 0.2 s that only a plot needs

    console = results()
    # Written as it is: the plot brings its own colours, and its own line breaks.
    console.file.write(draw_forecast(answer, console.width - 1, colours=console.is_terminal) + "\n")


def _moment(timestamp: str) -> str:
    return f"{datetime.fromisoformat(timestamp):%Y-%m-%d %H:%M}".removesuffix(" 00:00")
