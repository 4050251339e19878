"""fleetcast synth, ingest: data that is made up, and data on its way to the stack."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from fleetcast_cli.errors import Refused
from fleetcast_cli.options import EnvOption, JsonOption
from fleetcast_cli.output import format_bytes, note, notes, print_json, print_table, say
from fleetcast_cli.project import Environment, Project
from fleetcast_cli.session import Cloud
from fleetcast_cli.upload import PlannedUpload, RawFile, find_raw_files, plan_uploads, upload


class Step(StrEnum):
    """Time between two readings."""

    DAILY = "daily"
    HOURLY = "hourly"


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Data")(synth)
    app.command(rich_help_panel="Data")(ingest)


def synth(  # noqa: PLR0913  # each is an option of the command
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the files; made if need be.")],
    *,
    customers: Annotated[int, typer.Option(min=1, help="How many customers, with ids from 0.")] = 1000,
    days: Annotated[
        int, typer.Option(min=1, help="Days of each series, unless --start and --end are given.")
    ] = 730,
    start: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day.")] = None,
    end: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day, inclusive.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
    frequency: Annotated[Step, typer.Option(help="A reading a day, or one an hour.")] = Step.DAILY,
    defects: Annotated[
        bool, typer.Option("--defects", help="Break one customer in twenty, as real data is broken.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make up a data set: consumption from 0 to 1000 with seasons, in CSV files.

    Example: fleetcast synth data --customers 1000 --days 730 --defects
    """
    settings = {
        "customers": customers,
        "days": days,
        "start": start and start.date(),
        "end": end and end.date(),
        "seed": seed,
        "frequency": frequency.value,
        "defects": defects,
    }
    report = make_up(out, settings)
    if as_json:
        print_json(report)
        return
    say(
        f"{report['customers']} customers, {report['rows']:,} rows from {report['start']} to {report['end']},"
        f" {len(report['files'])} files in {out}."
    )
    if report["defects"]:
        say(
            f"{len(report['defects'])} customers are broken on purpose; --json lists them with what is wrong."
        )


def make_up(out: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Generate a data set with a progress bar; return what was made."""
    from fleetcast_cli.synth import generate  # noqa: PLC0415  # numpy and pyarrow: 0.3 s that only this needs

    with _bar(TextColumn("{task.completed:.0f} of {task.total:.0f} customers")) as bar:
        task = bar.add_task("making up data", total=settings["customers"])
        report = generate(out, **settings, progress=lambda done, _: bar.update(task, completed=done))
    return {
        "customers": report.customers,
        "rows": report.rows,
        "start": report.start.isoformat(),
        "end": report.end.isoformat(),
        "files": [str(path) for path in report.files],
        "defects": report.defects,
        "unreadable": report.unreadable and str(report.unreadable),
    }


def ingest(
    context: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="CSV, .csv.gz or Parquet files, or folders of them."),
    ],
    env: EnvOption = Environment.LOCAL,
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace objects of the same name that have other content.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Put raw data under raw/; where the stack trains on new data, a run starts by itself.

    Example: fleetcast ingest january.csv.gz february.parquet --env prod
    """
    found = find_raw_files(files)
    report = ingest_files(Cloud(Project.find(context.obj), env), found, replace=replace)
    if as_json:
        print_json(report)
        return
    print_table(("Object", "Bytes", "Result"), [(row["key"], row["bytes"], row["result"]) for row in report])


def ingest_files(cloud: Cloud, files: list[RawFile], *, replace: bool = False) -> list[dict[str, Any]]:
    """Upload what is not there yet; return a row for each file."""
    bucket = cloud.outputs.data_bucket
    plan = plan_uploads(cloud, files)
    in_the_way = [planned for planned in plan if planned.situation == "different"]
    if in_the_way and not replace:
        raise Refused(_describe_conflict(bucket, in_the_way))
    wanted = [planned for planned in plan if planned.situation != "unchanged"]
    _upload_with_bar(cloud, wanted)
    size = format_bytes(sum(planned.file.size for planned in wanted))
    unchanged = len(plan) - len(wanted)
    note(f"{len(wanted)} files uploaded ({size}) to s3://{bucket}/raw/, {unchanged} unchanged and skipped")
    results = {"new": "uploaded", "different": "replaced", "unchanged": "unchanged"}
    return [
        {
            "key": planned.file.key,
            "bytes": planned.file.size,
            "sha256": planned.digest,
            "result": results[planned.situation],
        }
        for planned in plan
    ]


def _describe_conflict(bucket: str, uploads: list[PlannedUpload]) -> str:
    keys = [planned.file.key for planned in uploads]
    shown = ", ".join(keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
    return (
        f"nothing was uploaded: s3://{bucket} already holds {shown} with other content;"
        " rename the file, or add --replace (the former version is kept)"
    )


def _upload_with_bar(cloud: Cloud, wanted: list[PlannedUpload]) -> None:
    with _bar(DownloadColumn(), TransferSpeedColumn()) as bar:
        task = bar.add_task("uploading", total=sum(planned.file.size for planned in wanted))
        upload(cloud, wanted, lambda size: bar.advance(task, size))


def _bar(*columns: Any) -> Progress:
    console = notes()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
