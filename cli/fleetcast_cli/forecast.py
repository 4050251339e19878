"""fleetcast forecast: ask the API, as any application does."""

from datetime import datetime
from typing import Annotated, Any

import typer

from fleetcast_cli.api import ApiRefusal, ask_forecast
from fleetcast_cli.fleet import why_no_model
from fleetcast_cli.options import EnvOption, JsonOption
from fleetcast_cli.output import note, print_json, print_table, results, say
from fleetcast_cli.project import Environment, Project
from fleetcast_cli.session import Cloud


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Daily use")(forecast)


def forecast(  # noqa: PLR0913  # each is an option of the command
    context: typer.Context,
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id, as in the data.")],
    *,
    period: Annotated[int, typer.Option(help="How many steps ahead, in the customer's own frequency.")] = 7,
    env: EnvOption = Environment.LOCAL,
    plot: Annotated[bool, typer.Option("--plot", help="Draw it too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask the API for a customer's forecast.

    Example: fleetcast forecast 42 --period 14 --plot
    """
    cloud = Cloud(Project.find(context.obj), env)
    try:
        answer = ask_forecast(cloud, customer, period, note)
    except ApiRefusal as refusal:
        raise _with_reason(cloud, customer, refusal) from None
    if as_json:
        print_json(answer)
        return
    print_forecast(answer)
    if plot:
        print_plot(answer)


def _with_reason(cloud: Cloud, customer: str, refusal: ApiRefusal) -> ApiRefusal:
    """Add what the runs said of a customer of whom the API knows no model."""
    why = why_no_model(cloud, customer) if refusal.status == 404 else None
    return ApiRefusal(refusal.status, f"{refusal}. {why}") if why else refusal


def print_forecast(answer: dict[str, Any]) -> None:
    say(describe_model(answer))
    rows = [
        (_moment(step["timestamp"]), step["yhat"], step["yhat_lower"], step["yhat_upper"])
        for step in answer["forecast"]
    ]
    share = answer.get("interval")
    bound = f" ({share:.0%})" if share else ""
    print_table(("Time", "Forecast", f"Lower{bound}", f"Upper{bound}"), rows)


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
