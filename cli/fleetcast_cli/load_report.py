"""What a load test came to: a table, a plot for the terminal, a document for machines."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fleetcast_cli.load_figures import Figures, Histogram, Moment
from fleetcast_cli.load_scenario import Course, Scenario
from fleetcast_cli.output import clean, counted, format_seconds, note, print_table, say

# From here on more users would measure this program.
_BUSY = 0.9
_PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_PLOT_HEIGHT, _NARROWEST, _WIDEST = 14, 40, 110


@dataclass(frozen=True)
class Report:
    """A load test that is over.

    Attributes:
        asked: whom, in words.
        customers: how many different ones.
    """

    asked: str
    customers: int
    scenario: Scenario
    figures: Figures
    course: Course

    @property
    def errors(self) -> int:
        return self.figures.errors.total

    @property
    def requests(self) -> int:
        """How many got an answer of any kind, or none."""
        return self.figures.whole().count + self.errors

    @property
    def instances(self) -> tuple[int, int] | None:
        """The least and the most that the endpoint had, None where nobody knows."""
        seen = [m.instances for m in self.figures.timeline.moments if m.instances is not None]
        return (min(seen), max(seen)) if seen else None

    @property
    def is_limited_by_client(self) -> bool:
        return self.course.busy > _BUSY


def as_document(report: Report, picture: Path | None) -> dict[str, Any]:
    instances = report.instances
    return {
        "asked": report.asked,
        "customers": report.customers,
        **asdict(report.scenario),
        "interrupted": report.course.interrupted,
        "requests": report.requests,
        "errors": report.errors,
        "errors_by_kind": _errors(report),
        "whole": _whole(report),
        "hold_phase": _hold(report),
        "instances": {"least": instances[0], "most": instances[1]} if instances else None,
        "client_busy": round(report.course.busy, 3),
        "client_is_the_limit": report.is_limited_by_client,
        "timeline": [asdict(moment) for moment in report.figures.timeline.moments],
        "picture": str(picture) if picture else None,
    }


def _whole(report: Report) -> dict[str, Any]:
    figures, course = report.figures, report.course
    in_time = figures.ramp.count + figures.hold.count
    return _phase(figures.whole(), in_time, course.ramp_seconds + course.hold_seconds)


def _hold(report: Report) -> dict[str, Any]:
    hold = report.figures.hold
    return _phase(hold, hold.count, report.course.hold_seconds)


def _phase(times: Histogram, in_time: int, seconds: float) -> dict[str, Any]:
    """Describe a phase; what came when it was over counts as an answer, and not for the rate."""
    return {
        "seconds": round(seconds, 3),
        "answers": times.count,
        "answers_per_second": round(in_time / seconds, 1) if seconds else None,
        "milliseconds": {
            **{name: times.percentile(share) for name, share in _PERCENTILES.items()},
            "max": times.longest,
        },
    }


def _errors(report: Report) -> list[dict[str, Any]]:
    errors = report.figures.errors
    return [
        {"kind": kind, "count": count, "example": errors.examples[kind]}
        for kind, count in errors.by_frequency().items()
    ]


def print_report(report: Report) -> None:
    say(f"{counted(report.scenario.users, 'user')} asked {report.asked}", "bold")
    print_table(("", "Whole", "All users"), _rows(report), right=("Whole", "All users"))
    if report.errors:
        rows = [(error["kind"], error["count"], clean(error["example"])) for error in _errors(report)]
        print_table(("Error", "Count", "For example"), rows)
    if report.is_limited_by_client:
        note(
            f"This client took {report.course.busy:.0%} of a core: it was the limit, not what it asked."
            " Start it on several machines, or with fewer users.",
            "yellow",
        )


def _rows(report: Report) -> list[tuple[str, str, str]]:
    course, instances = report.course, report.instances
    whole, hold = _whole(report), _hold(report)
    rows = [
        ("Time", format_seconds(whole["seconds"]), format_seconds(hold["seconds"])),
        ("Answers", f"{whole['answers']:,}", f"{hold['answers']:,}"),
        ("Answers per second", _number(whole["answers_per_second"]), _number(hold["answers_per_second"])),
        *(
            (f"{name}, ms", _number(whole["milliseconds"][name]), _number(hold["milliseconds"][name]))
            for name in (*_PERCENTILES, "max")
        ),
        ("Errors", f"{report.errors:,}", ""),
        ("Customers", f"{report.customers:,}", ""),
    ]
    if instances:
        rows.append(("Instances", " to ".join(f"{count}" for count in dict.fromkeys(instances)), ""))
    return [*rows, ("This client, of a core", "", f"{course.busy:.0%}")]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def draw(moments: Sequence[Moment], width: int, *, colours: bool) -> str:
    """Return the answers per second over time as text."""
    import plotext  # noqa: PLC0415  # 0.2 s that only this needs

    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(min(max(width, _NARROWEST), _WIDEST), _PLOT_HEIGHT)
    figure.title("Answers per second")
    places = [moment.at for moment in moments]
    signal = figure.signal(
        places, [moment.rate for moment in moments], marker=plotext.marker("braille", "green")
    )
    if len(moments) > 1:
        signal.lines()
    figure.draw(signal)
    last = max(places)
    ticks = sorted({0.0, last / 2, last})
    figure.ruler("x").ticks(ticks, [format_seconds(tick) for tick in ticks])
    return str(figure.build().string(colorless=not colours)).rstrip()
