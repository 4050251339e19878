"""fleetcast load: many users at once, each of whom waits for its answer before it asks again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live
from rich.text import Text

from fleetcast_cli.errors import INTERRUPTED, CommandFailed, UsageMistake, explain
from fleetcast_cli.load_customers import customers_with_a_model, loaded_models
from fleetcast_cli.load_figures import Figures, Moment
from fleetcast_cli.load_instances import Instances
from fleetcast_cli.load_picture import save_svg
from fleetcast_cli.load_report import Report, as_document, draw, print_report
from fleetcast_cli.load_scenario import LoadTest, Scenario
from fleetcast_cli.load_targets import Address, ApiTarget, Target, multi_model_target, single_model_target
from fleetcast_cli.options import EnvOption, JsonOption
from fleetcast_cli.output import format_seconds, note, notes, print_json, results, say
from fleetcast_cli.project import Environment, Project
from fleetcast_cli.session import Cloud

_MOST_USERS, _MOST_CUSTOMERS, _LONGEST_SECONDS = 50_000, 10_000, 7 * 86_400.0
# The container's own limit may be lower, and then says so.
_MOST_STEPS = 100_000


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Daily use")(load)


def load(  # noqa: PLR0913  # each is an option of the command
    context: typer.Context,
    *,
    users: Annotated[
        int, typer.Option(min=1, max=_MOST_USERS, help="How many ask at the same time, each on a connection.")
    ] = 1000,
    ramp: Annotated[
        float, typer.Option(min=0, max=_LONGEST_SECONDS, help="Seconds from the first user to the last.")
    ] = 60,
    hold: Annotated[
        float, typer.Option(min=0, max=_LONGEST_SECONDS, help="Seconds for which all of them ask.")
    ] = 240,
    period: Annotated[int, typer.Option(min=1, max=_MOST_STEPS, help="How many steps they ask for.")] = 7,
    patience: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds after which an answer is given up.")
    ] = 35,
    customer: Annotated[
        list[str] | None,
        typer.Option(help="Only this customer. Repeatable. Without it, whoever has a model, at random."),
    ] = None,
    customers: Annotated[
        int, typer.Option(min=1, max=_MOST_CUSTOMERS, help="At most so many customers, drawn at random.")
    ] = _MOST_CUSTOMERS,
    container: Annotated[
        str | None, typer.Option(metavar="URL", help="Ask a serving container directly, without any cloud.")
    ] = None,
    env: EnvOption = Environment.LOCAL,
    picture: Annotated[
        Path | None,
        typer.Option(help="Where the picture goes; without it, into .fleetcast/load of the project."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Put load on the API, or on a serving container, and report what came back.

    Users come one by one until all are there, and every user waits for its answer before it asks again. Ctrl-C ends
    the test early; the report then covers what was asked until then.

    Example: fleetcast load --users 100 --ramp 10 --hold 60
    """
    scenario = Scenario(users, ramp, hold, patience)
    if ramp + hold <= 0:
        raise UsageMistake("--ramp and --hold are both 0: the test would be over before it begins")
    place = picture or _place_for_picture(context.obj, needs_project=container is None)
    chosen = list(dict.fromkeys(customer or []))
    if container is not None:
        url = container.rstrip("/")
        target, count = _container(url, chosen, customers, period)
        report = _run(scenario, target, lambda: None, f"the container at {url}", count)
    else:
        cloud = Cloud(Project.find(context.obj), env)
        chosen = chosen or customers_with_a_model(cloud, customers)
        with Instances(cloud.client("sagemaker"), cloud.outputs.endpoint) as instances:
            api = ApiTarget(cloud, chosen, period)
            report = _run(scenario, api, instances.now, f"the API in {env.value}", len(chosen))
    _tell(report, place, as_json=as_json)


def _container(url: str, chosen: list[str], most: int, period: int) -> tuple[Target, int]:
    Address.of(url)  # what is no URL is refused before anything is asked
    models = loaded_models(url, most)
    if models is None:
        return single_model_target(url, chosen, period), max(1, len(chosen))
    asked = chosen or models
    return multi_model_target(url, asked, period), len(asked)


def _run(
    scenario: Scenario, target: Target, instances: Callable[[], int | None], asked: str, customers: int
) -> Report:
    with _progress(scenario) as show:
        test = LoadTest(scenario, target, instances, show)
        course = test.run()
    return Report(asked, customers, scenario, test.figures, course)


def _tell(report: Report, place: Path | None, *, as_json: bool) -> None:
    saved = _save_picture(report, place)
    if as_json:
        print_json(as_document(report, saved))
    else:
        print_report(report)
        _show_picture(report, saved)
    if report.course.interrupted:
        raise typer.Exit(INTERRUPTED)
    if report.errors:
        raise CommandFailed(f"{report.errors:,} of {report.requests:,} requests failed")
    if not report.requests:
        raise CommandFailed("no request was answered before the test was over")


def _save_picture(report: Report, place: Path | None) -> Path | None:
    """Write the picture and return where it is; a folder that cannot be written to costs no report."""
    moments = report.figures.timeline.moments
    if place is None or not moments:
        return None
    try:
        save_svg(moments, f"{report.scenario.users:,} users asked {report.asked}", place)
    except OSError as error:
        note(f"The picture could not be written: {explain(error) or error}", "yellow")
        return None
    return place


def _show_picture(report: Report, place: Path | None) -> None:
    moments = report.figures.timeline.moments
    if not moments:
        return
    console = results()
    # Written as it is: the plot brings its own colours, and its own line breaks.
    console.file.write(draw(moments, console.width - 1, colours=console.is_terminal) + "\n")
    if place is not None:
        say(f"Picture: {place}")


def _place_for_picture(start: Path, *, needs_project: bool) -> Path | None:
    try:
        project = Project.find(start)
    except UsageMistake:
        if needs_project:
            raise
        return None
    return project.state / "load" / f"{datetime.now(UTC):%Y%m%dT%H%M%S}.svg"


@contextmanager
def _progress(scenario: Scenario) -> Iterator[Callable[[Moment, Figures], None]]:
    """Show on a terminal how it goes; elsewhere only say how long it will take."""
    console = notes()
    whole = scenario.ramp + scenario.hold
    if not console.is_terminal:
        note(f"{scenario.users:,} users for {format_seconds(whole)} ...")
    live = Live(console=console, transient=True, refresh_per_second=4) if console.is_terminal else None
    with live or nullcontext():

        def show(moment: Moment, figures: Figures) -> None:
            if live is not None:
                live.update(Text(_line(moment, figures, whole)))

        yield show


def _line(moment: Moment, figures: Figures, whole: float) -> str:
    parts = [
        f"{format_seconds(moment.at)} of {format_seconds(whole)}",
        f"{moment.users:,} users",
        f"{moment.rate:,.0f} answers/s",
        f"p99 {moment.p99:,.1f} ms" if moment.p99 is not None else "no answer yet",
        f"{figures.errors.total:,} errors",
    ]
    if moment.instances is not None:
        parts.append(f"{moment.instances} instances")
    return " · ".join(parts)
