"""fleetcast explain: what was done to one customer's data, what competed, what was chosen, and what it says."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from fleetcast.domain.names import new_run_id
from fleetcast.domain.parameters import BY_NAME
from fleetcast_cli.errors import CommandFailed, UsageMistake
from fleetcast_cli.offline_data import (
    Prepared,
    check_customers,
    load_series,
    prepare,
    quality_of,
    workspace,
)
from fleetcast_cli.offline_families import check_families
from fleetcast_cli.offline_models import ModelFolder, open_model
from fleetcast_cli.options import JsonOption
from fleetcast_cli.output import counted, notes, print_facts, print_json, print_table, results, say

if TYPE_CHECKING:
    from fleetcast_engine import Choice, LoadedModel, Series

_CANDIDATES_SHOWN = 10
# So much of the history is drawn before the forecast, in lengths of the forecast.
_HISTORY_SHARE = 2
_COUNTS = {
    "rows_read": "read",
    "rows_kept": "kept",
    "duplicates": "left out as duplicates",
    "bad_timestamps": "without a usable timestamp",
    "bad_values": "without a usable value",
    "negatives": "with a negative value",
}
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class _Subject:
    """A customer's model, and where it came from data, that data and the choice."""

    loaded: "LoadedModel"
    series: "Series | None" = None
    choice: "Choice | None" = None
    quality: Mapping[str, Any] | None = None
    files: Mapping[str, Any] | None = None


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Without a cloud")(explain)


def explain(  # noqa: PLR0913  # each is an option of the command
    data: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DATA...]", help="CSV, .csv.gz or Parquet files, or folders of them."),
    ] = None,
    *,
    customer: Annotated[str, typer.Option("--customer", help="The customer's id, as in the data.")],
    models: Annotated[
        Path | None,
        typer.Option("--models", help="Instead of DATA: a folder of models; then the data is not known."),
    ] = None,
    horizon: Annotated[
        int, typer.Option(min=1, max=8784, help="How many steps are tuned for and shown.")
    ] = 28,
    families: Annotated[str, typer.Option(help="What competes, as with fleetcast train.")] = "all",
    plot: Annotated[bool, typer.Option(help="Draw the end of the history and the forecast.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Explain one customer's model: repairs, candidates and their errors, the choice, components, forecast.

    Example: fleetcast explain data --customer 42
    """
    if bool(data) == bool(models):
        raise UsageMistake("name either DATA or --models: what should be explained?")
    check_customers([customer])
    if models:
        _show(_read(_from_models, models, customer), horizon, plot=plot, as_json=as_json)
        return
    families = check_families(families)
    with workspace() as root:
        with notes().status("reading the data"):
            prepared = prepare(data or [], root, new_run_id())
        (quality,) = quality_of(prepared, [customer])
        try:
            with notes().status("comparing models"):
                subject = _read(_from_data, prepared, quality, horizon, families)
        except CommandFailed as error:
            _show_quality(quality, str(error), as_json=as_json)
            raise
    _show(subject, horizon, plot=plot, as_json=as_json)


def _show(subject: _Subject, horizon: int, *, plot: bool, as_json: bool) -> None:
    report = _read(_report, subject, horizon)
    if as_json:
        print_json(report)
        return
    _print(report)
    if plot:
        _plot(report)


def _show_quality(quality: Mapping[str, Any], why: str, *, as_json: bool) -> None:
    """Show what is known of a customer that no model can be made for."""
    if as_json:
        print_json({"customer_id": quality["customer_id"], "why": why, "data": _counts(quality)})
    else:
        say(f"Customer {quality['customer_id']}: no model.", "bold")
        print_facts(
            {
                "Rows": _in_words(_counts(quality)),
                "First": quality["first"],
                "Last": quality["last"],
            }
        )


def _read(work: Callable[..., _Result], *arguments: Any) -> _Result:
    """Return what the work returns; what the engine says of the customer becomes the command's failure."""
    from fleetcast_engine.errors import EngineError  # noqa: PLC0415  # numpy: 0.1 s that few commands need

    try:
        return work(*arguments)
    except EngineError as error:
        raise CommandFailed(str(error)) from error


def _from_models(models: Path, customer: str) -> _Subject:
    return _Subject(open_model(ModelFolder.find(models).artifact(customer)))


def _from_data(prepared: Prepared, quality: Mapping[str, Any], horizon: int, families: str) -> _Subject:
    from fleetcast_engine import LoadedModel, TrainSettings, choose, train  # noqa: PLC0415  # numpy: as above

    series = load_series(prepared, quality)
    least = int(BY_NAME["training/minimum_rows"].default)
    if len(series) < least:
        raise CommandFailed(f"{counted(len(series), 'usable row')}; at least {least} are needed")
    settings = TrainSettings(run_id=new_run_id(), horizon=horizon, families=families)
    model = train(series, settings)
    return _Subject(LoadedModel(model, 0), series, choose(series, settings), quality, prepared.to_document())


def _report(subject: _Subject, period: int) -> dict[str, Any]:
    from fleetcast_engine import forecast, iso_time  # noqa: PLC0415  # numpy: as above

    model = subject.loaded.model
    answer = forecast(subject.loaded, period)
    steps = zip(answer.timestamps, answer.yhat, answer.lower, answer.upper, strict=True)
    parts = _parts(subject, period)
    return {
        "customer_id": model.customer_id,
        "family": model.family,
        "members": [list(names) for names in getattr(model.parameters, "members", ())],
        "why": _why(subject),
        "frequency": model.timeline.frequency,
        "first": iso_time(model.training_start),
        "last": iso_time(model.timeline.end),
        "mae": model.metrics.mae if model.metrics.origins else None,
        "naive_mae": model.metrics.naive_mae if model.metrics.origins else None,
        "origins": model.metrics.origins,
        **(_facts_of_data(subject) if subject.choice else {}),
        "components": parts,
        "shares_of_trend": [name for name in _multiplicative(model.parameters) if name in parts],
        "nonnegative": model.nonnegative,
        "interval": answer.interval,
        "forecast": [
            {
                "timestamp": iso_time(int(moment)),
                "yhat": float(yhat),
                "yhat_lower": float(lower),
                "yhat_upper": float(upper),
            }
            for moment, yhat, lower, upper in steps
        ],
    }


def _parts(subject: _Subject, period: int) -> dict[str, list[float]]:
    """Return what the forecast is the sum of; Prophet's own sums of some of these parts are left out."""
    from fleetcast_engine import components  # noqa: PLC0415  # numpy: as above
    from fleetcast_engine.prophet.model import SUMS, TREND  # noqa: PLC0415  # as above

    found = components(subject.loaded, period).items()
    return {
        name: values.tolist()
        for name, values in found
        if name not in SUMS and (values.any() or name == TREND)
    }


def _multiplicative(parameters: Any) -> list[str]:
    """Return the parts that are shares of the trend."""
    long_run = getattr(parameters, "tail", parameters)
    return list(dict.fromkeys(term.name for term in getattr(long_run, "terms", ()) if term.multiplicative))


def _facts_of_data(subject: _Subject) -> dict[str, Any]:
    choice, series, quality = subject.choice, subject.series, subject.quality
    if choice is None or series is None or quality is None:
        return {}
    return {
        "data": _counts(quality),
        "all_data": subject.files,
        "repairs": choice.repairs.as_dict(),
        "repaired": choice.repairs.sentence,
        "blocks": list(choice.blocks),
        "coverage": _coverage(choice, subject.loaded.model.parameters),
        "candidates": [
            {
                "name": one.name,
                "errors": [_number(error) for error in one.errors],
                "chosen": list(one.chosen),
                "remark": one.remark,
            }
            for one in choice.candidates
        ],
        "history": series.values.tolist(),
    }


def _counts(quality: Mapping[str, Any]) -> dict[str, int]:
    return {name: quality[name] for name in _COUNTS}


def _coverage(choice: "Choice", parameters: Any) -> list[dict[str, Any]]:
    """Return how much the 80 % interval held in the backtest, by steps; nothing where no mix is served."""
    lasts = [int(last) for last in getattr(parameters, "blocks", ())]
    firsts = [1, *(last + 1 for last in lasts)]
    return [
        {"steps": _range(first, last), "share": _number(share)}
        for first, last, share in zip(firsts, lasts, choice.coverage, strict=False)
    ]


def _range(first: int, last: int) -> str:
    return f"{first}-{last}" if first < last else str(last)


def _in_words(counts: Mapping[str, int]) -> str | None:
    said = (f"{count:,} {_COUNTS[name]}" for name, count in counts.items() if count)
    return ", ".join(said) or None


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _why(subject: _Subject) -> str:
    model = subject.loaded.model
    if not model.metrics.origins and model.family == "seasonal_naive":
        return "The history has too few rows to test anything, so the naive serves."
    if not model.metrics.origins:
        return "Prophet's defaults, as asked for: nothing was compared."
    if model.family == "seasonal_naive":
        return why_naive(model.metrics.origins, subject.choice)
    ratio = model.metrics.mae / model.metrics.naive_mae if model.metrics.naive_mae else 0.0
    blocks = getattr(model.parameters, "members", ())
    mixed = " | ".join(dict.fromkeys(" + ".join(names) for names in blocks))
    what = f"the mean of {mixed}" if mixed else f"a {model.family} model"
    return f"In {counted(model.metrics.origins, 'backtest')} {what} had {ratio:.2f} of the seasonal naive's error."


def why_naive(origins: int, choice: "Choice | None") -> str:
    """Return why the naive serves, without claiming more of the candidates than was tested."""
    tested = counted(origins, "backtest")
    why = f"In {tested} what had been chosen did not beat the seasonal naive, so the naive serves."
    if choice and any(error < 1 for one in choice.candidates for error in one.errors):
        why += (
            " What was tested is the mean of candidates that were chosen, each time, by their errors at the other"
            " origins. One that looks better in the table does so in hindsight."
        )
    return why


def _print(report: Mapping[str, Any]) -> None:
    say(f"Customer {report['customer_id']}: {report['family']}. {report['why']}", "bold")
    facts = {
        "Data": f"{report['frequency']}, {report['first']} to {report['last']}",
        "Backtest error": report["mae"],
        "Naive's error": report["naive_mae"],
    }
    if "data" in report:
        facts["Rows"] = _in_words(report["data"])
        facts["Repairs"] = report["repaired"]
        held = (
            f"{one['share']:.0%} in steps {one['steps']}"
            for one in report["coverage"]
            if one["share"] is not None
        )
        facts["80 % interval held"] = ", ".join(held) or None
    print_facts(facts)
    if "candidates" in report:
        _print_candidates(report)
    _print_components(report)


def _print_candidates(report: Mapping[str, Any]) -> None:
    first, headings = 1, []
    for last in report["blocks"]:
        headings.append(f"Steps {_range(first, last)}")
        first = last + 1
    rows = [
        (one["name"], *map(_cell, one["errors"], one["chosen"]), one["remark"])
        for place, one in enumerate(report["candidates"])
        if place < _CANDIDATES_SHOWN or any(one["chosen"])
    ]
    title = "Candidates: error in the backtest against the seasonal naive's; * is averaged"
    print_table(("Candidate", *headings, "Remark"), rows, title=title, right=headings)


def _cell(error: float | None, chosen: bool) -> str:  # noqa: FBT001 - a column of the table
    return ("-" if error is None else f"{error:.3f}") + (" *" if chosen else "  ")


def _print_components(report: Mapping[str, Any]) -> None:
    shares = report["shares_of_trend"]
    rows = [
        (
            f"{name}, share of trend" if name in shares else name,
            values[0],
            values[-1],
            min(values),
            max(values),
        )
        for name, values in report["components"].items()
    ]
    sums = "the sum of these"
    if shares:
        sums += ", each share multiplied by the trend"
    if report["nonnegative"]:
        sums += "; below zero it is cut off"
    title = f"What the next {counted(len(report['forecast']), 'step')} are made of: {sums}"
    print_table(("Component", "First", "Last", "Least", "Most"), rows, title=title)


def _plot(report: Mapping[str, Any]) -> None:
    from fleetcast_cli.plot import draw_history  # noqa: PLC0415  # plotext: 0.2 s that only a plot needs

    console = results()
    past = report.get("history", [])[-_HISTORY_SHARE * len(report["forecast"]) :]
    # Written as it is: the plot brings its own colours, and its own line breaks.
    console.file.write(draw_history(past, report, console.width - 1, colours=console.is_terminal) + "\n")
