"""fleetcast fleet, show, runs: what the last runs made of the customers."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from botocore.exceptions import ClientError

from fleetcast.adapters.items import from_item
from fleetcast_cli.errors import CommandFailed
from fleetcast_cli.options import EnvOption, JsonOption
from fleetcast_cli.outcome import print_summary
from fleetcast_cli.output import format_age, format_seconds, note, print_facts, print_json, print_table, say
from fleetcast_cli.project import Environment, Project
from fleetcast_cli.runs import find_run, recent_runs, run_at_work, started_at
from fleetcast_cli.session import Cloud

if TYPE_CHECKING:
    import pyarrow as pa

_RUNS_SHOWN = 5
_OUTCOME_COLUMNS = {
    "Run": "run_id",
    "Status": "status",
    "Family": "family",
    "Members": "members",
    "Engine": "engine",
    "Error": "mae",
    "Naive's": "naive_mae",
    "Reason": "reason",
}
_DATA_COLUMNS = {
    "Run": "run_id",
    "Rows read": "rows_read",
    "Rows used": "rows",
    "Duplicates": "duplicates",
    "Bad timestamps": "bad_timestamps",
    "Bad values": "bad_values",
    "Missing": "missing",
    "Outage": "outage",
    "Stuck": "stuck",
    "Outliers": "outliers",
    "Until": "last",
}


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Daily use")(fleet)
    app.command(rich_help_panel="Daily use")(show)
    app.command(rich_help_panel="Daily use")(runs)


def fleet(  # noqa: PLR0913  # each is an option of the command
    context: typer.Context,
    *,
    env: EnvOption = Environment.LOCAL,
    run: Annotated[str | None, typer.Option(help="A run; without it, the latest that succeeded.")] = None,
    status: Annotated[
        list[str] | None, typer.Option(help="Only customers of this status, such as too_short. Repeatable.")
    ] = None,
    family: Annotated[
        list[str] | None, typer.Option(help="Only customers of this model family. Repeatable.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Customers in the table, worst first.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show the fleet after a run: how many customers have which status and model, and the worst of them.

    Example: fleetcast fleet --status too_short --limit 50
    """
    from fleetcast_cli import ledgers  # noqa: PLC0415  # pyarrow: 0.2 s that few commands need

    cloud = Cloud(Project.find(context.obj), env)
    run_id = find_run(cloud, run)
    rated = ledgers.with_ratio(ledgers.read_ledger(cloud, run_id))
    chosen = ledgers.only(ledgers.only(rated, "status", status or []), "family", family or [])
    report = _report(rated, chosen, run_id, limit)
    if as_json:
        print_json(report)
    else:
        _print_report(report)
        if not report["matching"]:
            say(_describe_no_match(report, status or [], family or []))


def _report(rated: "pa.Table", chosen: "pa.Table", run_id: str, limit: int) -> dict[str, Any]:
    from fleetcast_cli import ledgers  # noqa: PLC0415  # as above

    return {
        "run_id": run_id,
        "customers": rated.num_rows,
        "trained": ledgers.count(rated, "status").get("trained", 0),
        "statuses": ledgers.count(rated, "status"),
        "families": ledgers.count(rated, "family"),
        "error_ratio": ledgers.mean_ratio(rated),
        "matching": chosen.num_rows,
        "worst": ledgers.worst_first(chosen).slice(0, limit).to_pylist(),
    }


def _print_report(report: dict[str, Any]) -> None:
    say(f"The fleet after run {report['run_id']}", "bold")
    print_summary(report)
    rows = [
        (
            row["customer_id"],
            row["status"],
            row["family"],
            # Ledgers of earlier releases do not have these two.
            row.get("members"),
            row.get("engine"),
            row["rows"],
            row["mae"],
            row["ratio"],
            row["reason"],
        )
        for row in report["worst"]
    ]
    if rows:
        print_table(
            ("Customer", "Status", "Family", "Members", "Engine", "Rows", "Error", "vs naive", "Reason"), rows
        )
    if len(rows) < report["matching"]:
        note(f"{len(rows)} of {report['matching']:,} customers shown, worst first; --limit shows more")


def _describe_no_match(report: dict[str, Any], statuses: list[str], families: list[str]) -> str:
    wanted = [
        f"{kind} {' or '.join(values)}"
        for kind, values in (("status", statuses), ("family", families))
        if values
    ]
    there = [f"its {kind} are {', '.join(report[kind])}" for kind in ("statuses", "families") if report[kind]]
    asked = f" of {' and '.join(wanted)}" if wanted else ""
    known = f": {'; '.join(there)}" if there else ""
    return f"The fleet has no customer{asked}{known}."


def show(
    context: typer.Context,
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id, as in the data.")],
    *,
    env: EnvOption = Environment.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Show one customer: the model that answers, and what the last runs said.

    Example: fleetcast show 42
    """
    cloud = Cloud(Project.find(context.obj), env)
    facts = describe_customer(cloud, customer)
    if as_json:
        print_json(facts)
        return
    say(facts["explanation"], "bold")
    if facts["model"]:
        print_facts(_model_in_words(facts))
    for columns in (_OUTCOME_COLUMNS, _DATA_COLUMNS):
        print_table(list(columns), [[row.get(name) for name in columns.values()] for row in facts["runs"]])


def describe_customer(cloud: Cloud, customer: str) -> dict[str, Any]:
    """Return a customer's pointer, ledger rows of the last runs, and a sentence that explains them."""
    from fleetcast_cli.ledgers import customer_row  # noqa: PLC0415  # pyarrow: 0.2 s that few commands need

    key = {"customer_id": {"S": customer}}
    answer = cloud.client("dynamodb").get_item(TableName=cloud.outputs.pointer_table, Key=key)
    pointer = from_item(answer.get("Item", {}))
    found = [customer_row(cloud, run["run_id"], customer) for run in recent_runs(cloud, _RUNS_SHOWN)]
    rows = [row for row in found if row]
    if not pointer and not rows:
        raise CommandFailed(
            f"customer {customer!r} is unknown: no model, and in none of the last {_RUNS_SHOWN} runs"
        )
    return {
        "customer_id": customer,
        "model": pointer.get("champion"),
        "previous": pointer.get("previous"),
        "updated_at": pointer.get("updated_at"),
        "updated_by": pointer.get("updated_by"),
        "runs": rows,
        "explanation": explain_customer(customer, pointer.get("champion"), rows),
    }


def why_no_model(cloud: Cloud, customer: str) -> str | None:
    """Return what the last runs said of a customer without a model, None where nothing is known or allowed to be."""
    try:
        facts = describe_customer(cloud, customer)
    except (CommandFailed, ClientError):
        return None
    return str(facts["explanation"]) if facts["model"] is None and facts["runs"] else None


def explain_customer(customer: str, champion: dict[str, Any] | None, rows: list[dict[str, Any]]) -> str:
    """Say in a sentence or two what serves a customer and why.

    Args:
        customer: the customer's id.
        champion: the released model, if any.
        rows: ledger rows, newest first.
    """
    latest = rows[0] if rows else None
    if champion is None:
        why = f"run {latest['run_id']} says {_verdict(latest)}" if latest else "no run has seen this customer"
        return f"Customer {customer} has no model: {why}."
    sentence = (
        f"Customer {customer} is served by a {champion['family']} model, trained {format_age(champion['trained_at'])}"
        f" on data until {champion['training_end']}{_quality(champion)}."
    )
    if latest and latest["run_id"] != champion["run_id"] and latest["run_id"] > champion["run_id"]:
        sentence += f" The newer run {latest['run_id']} did not replace it: {_verdict(latest)}."
    return sentence


def _verdict(row: dict[str, Any]) -> str:
    return f"{row['status']} ({row['reason']})" if row["reason"] else str(row["status"])


def _quality(champion: dict[str, Any]) -> str:
    if not champion["mae"] or not champion["naive_mae"]:
        return ""
    ratio = champion["mae"] / champion["naive_mae"]
    return f"; its backtest error is {ratio:.2f} of the seasonal naive's"


def _model_in_words(facts: dict[str, Any]) -> dict[str, Any]:
    model, previous = facts["model"], facts["previous"]
    return {
        "Run": model["run_id"],
        "Model": f"models/{model['key']}",
        "Trained at": model["trained_at"],
        "Error": model["mae"],
        "Naive's error": model["naive_mae"],
        "Released": f"{facts['updated_at']} by {facts['updated_by']}",
        "Before": previous["run_id"] if previous else None,
    }


def runs(
    context: typer.Context,
    *,
    env: EnvOption = Environment.LOCAL,
    limit: Annotated[int, typer.Option(min=1, help="Runs in the table, newest first.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the runs, newest first.

    Example: fleetcast runs --limit 5
    """
    cloud = Cloud(Project.find(context.obj), env)
    found = recent_runs(cloud, limit)
    if as_json:
        print_json(found)
        return
    coming = _describe_coming(cloud, found)
    if found:
        columns = ("Run", "Status", "Trigger", "Started", "Took", "Trained", "Customers", "Why")
        print_table(columns, map(_run_row, found), right=("Took",))
    elif not coming:
        say("No run yet: fleetcast ingest FILE, then fleetcast retrain --wait.")
    if coming:
        say(coming)


def _describe_coming(cloud: Cloud, found: list[dict[str, Any]]) -> str:
    """Say which run is not in the table yet, because it still waits for more data."""
    run = run_at_work(cloud)
    if run is None or not run.collects or run.run_id in {row["run_id"] for row in found}:
        return ""
    return (
        f"Run {run.run_id} is collecting: it was asked for {format_age(run.since)}, waits a little for more data,"
        " and is listed once it begins."
    )


def _run_row(run: dict[str, Any]) -> list[Any]:
    summary = run.get("summary") or {}
    return [
        run["run_id"],
        run["status"],
        run.get("trigger"),
        format_age(started_at(run)),
        _duration(run),
        summary.get("trained"),
        summary.get("customers"),
        _why(run, summary),
    ]


def _duration(run: dict[str, Any]) -> str | None:
    if not run.get("ended_at"):
        return None
    took = datetime.fromisoformat(run["ended_at"]) - started_at(run)
    return format_seconds(max(0.0, took.total_seconds()))


def _why(run: dict[str, Any], summary: dict[str, Any]) -> str:
    if run.get("error"):
        return f"{run['error']}: {run.get('cause', '')}"[:200]
    return "; ".join(summary.get("reasons", [])) or str(run.get("reason", ""))
