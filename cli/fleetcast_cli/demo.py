"""fleetcast demo: the whole product on this machine, step by step."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from fleetcast_cli.api import ApiRefusal, ask_forecast
from fleetcast_cli.cloud import read_subject
from fleetcast_cli.data import ingest_files, make_up
from fleetcast_cli.deploy import deploy_stack
from fleetcast_cli.errors import CommandFailed, UsageMistake
from fleetcast_cli.fleet import describe_customer
from fleetcast_cli.follow import follow_run
from fleetcast_cli.forecast import describe_model, print_plot
from fleetcast_cli.outcome import SUCCEEDED, Outcome, print_outcome
from fleetcast_cli.output import format_seconds, note, print_facts, say
from fleetcast_cli.project import Environment, Project
from fleetcast_cli.retrain import start_run
from fleetcast_cli.runs import run_at_work
from fleetcast_cli.session import Cloud
from fleetcast_cli.upload import find_raw_files
from fleetcast_local import lifecycle

_CUSTOMERS = "FLEETCAST_DEMO_CUSTOMERS"
_DEFAULT_CUSTOMERS = 1_000
_SECONDS_FOR_EVENTS = 20.0
_PERIOD = 28

_NEWCOMER = "newcomer"
_NEWCOMER_ROWS = "customer_id,timestamp,consumption\nnewcomer,2024-12-30,120.5\nnewcomer,2024-12-31,118.25\n"


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="The cloud")(demo)


def demo(context: typer.Context) -> None:
    """Show the whole product on this machine: deploy, train, release, serve, ask.

    FLEETCAST_DEMO_CUSTOMERS says how many customers (1,000). A second demo goes on where the first ended.
    Images are recorded as process images; FLEETCAST_BUILDER=docker (or buildah) builds them as well.

    Example: FLEETCAST_DEMO_CUSTOMERS=50 fleetcast demo
    """
    customers, project = _customers(), Project.find(context.obj)
    began = time.monotonic()
    # A demo should need neither an image registry nor the minutes that a build takes.
    os.environ.setdefault("FLEETCAST_BUILDER", "process")
    with _step("Start the local cloud"):
        address = lifecycle.up(project.root)
        say(f"It answers at {address.endpoint_url}, on this machine only.")
    cloud = Cloud(project, Environment.LOCAL)
    with _step("Deploy the stack with the real SAM CLI"):
        done = deploy_stack(cloud, [])
        state = "" if done.changed else "It is unchanged: "
        say(f"{state}{len(done.outputs)} outputs; API: {cloud.api_url}")
    with _step(f"Make up {customers} customers, some of them broken as real data is"):
        folder, defects = _make_data(project, customers)
    with _step("Ingest the data"):
        ingested = ingest_files(cloud, find_raw_files([folder]))
    with _step("Retrain: build images, prepare, train, judge, release"):
        outcome = _retrain(cloud, has_new_data=any(row["result"] != "unchanged" for row in ingested))
        print_outcome(outcome)
    if outcome.status != SUCCEEDED:
        raise CommandFailed(f"the run did not succeed; its emails are in {project.inbox}")
    with _step("Ask for forecasts through the HTTP API"):
        _ask(cloud, defects)
    _last_screen(cloud, time.monotonic() - began)


def _customers() -> int:
    text = os.environ.get(_CUSTOMERS, str(_DEFAULT_CUSTOMERS))
    if not text.isdigit() or int(text) < 1:
        raise UsageMistake(f"{_CUSTOMERS} is {text!r}, but must be a whole number from 1")
    return int(text)


@contextmanager
def _step(headline: str) -> Iterator[None]:
    say(f"\n▶ {headline}", "bold cyan")
    began = time.monotonic()
    yield
    note(f"done in {format_seconds(time.monotonic() - began)}")


def _make_data(project: Project, customers: int) -> tuple[Path, dict[str, str]]:
    folder = project.state / "demo" / str(customers)
    report = make_up(folder, {"customers": customers, "defects": True})
    (folder / "newcomer.csv").write_text(_NEWCOMER_ROWS, encoding="utf-8")
    say(
        f"{report['customers']} customers, {report['rows']:,} rows, {len(report['defects'])} customers with defects,"
        f" a newcomer with two rows, and one unreadable file, in {project.shorten(folder)}."
    )
    return folder, report["defects"]


def _retrain(cloud: Cloud, *, has_new_data: bool) -> Outcome:
    """Follow the run that the new data started by itself; start one by hand where there is none."""
    found = _find_execution(cloud, _SECONDS_FOR_EVENTS if has_new_data else 0.0)
    return follow_run(cloud, found or start_run(cloud, "fleetcast demo"))


def _find_execution(cloud: Cloud, patience: float) -> str | None:
    deadline = time.monotonic() + patience
    while True:
        run = run_at_work(cloud)
        if run is not None:
            note(f"Run {run.run_id} is at work: new data starts one by itself, and waits a little for more.")
            return run.execution
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.5)


def _ask(cloud: Cloud, defects: dict[str, str]) -> None:
    for customer, remark in _interesting(defects):
        answer = ask_forecast(cloud, customer, {"period": _PERIOD}, note)
        say(f"\n{describe_model(answer)}{remark}.")
        print_plot(answer)
    try:
        ask_forecast(cloud, _NEWCOMER, {"period": _PERIOD}, note)
    except ApiRefusal as refusal:
        say(f"\nCustomer {_NEWCOMER}, whose data are too short: {refusal}")
        say(describe_customer(cloud, _NEWCOMER)["explanation"])
    else:
        raise CommandFailed(f"customer {_NEWCOMER} has two rows of data and should have no forecast")


def _interesting(defects: dict[str, str]) -> list[tuple[str, str]]:
    """Choose three customers that have models: two healthy ones and one whose data were broken."""
    healthy = [str(number) for number in range(_customers()) if str(number) not in defects][:2]
    telling = ("outliers", "gap_month", "gap_day", "negatives", "duplicates")
    broken = sorted((telling.index(name), customer) for customer, name in defects.items() if name in telling)
    chosen = [(customer, "") for customer in healthy]
    return chosen + [
        (customer, f", in spite of its data ({defects[customer]})") for _, customer in broken[:1]
    ]


def _last_screen(cloud: Cloud, seconds: float) -> None:
    inbox = cloud.project.inbox
    emails = sorted(inbox.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
    say(f"\n✔ All of it took {format_seconds(seconds)}.", "bold green")
    newest = f"; newest: {read_subject(emails[-1])}" if emails else ""
    say(f"\n{len(emails)} emails are in {cloud.project.shorten(inbox)}{newest}")
    say("\nWhat to try next", "bold")
    print_facts(_NEXT)


_NEXT: dict[str, Any] = {
    ".venv/bin/fleetcast fleet": "the fleet, worst customers first",
    ".venv/bin/fleetcast show 0": "one customer: its model, and why",
    ".venv/bin/fleetcast forecast 0 --period 14 --plot": "a forecast through the API",
    ".venv/bin/fleetcast ingest FILE.csv": "your own data; it starts a run by itself",
    ".venv/bin/fleetcast retrain --wait": "a run by hand, followed to its end",
    ".venv/bin/fleetcast runs": "all runs",
    ".venv/bin/fleetcast status": "cloud, stack, endpoint, last run, inbox",
    ".venv/bin/fleetcast deploy --env dev": "the same stack in your AWS account",
    "make down": "stop everything; nothing is lost",
}
