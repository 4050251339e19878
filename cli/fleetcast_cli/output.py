"""What people and machines see: tables, JSON, notes; colours only on a terminal."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDTH_OF_A_FILE = 200  # a table that is piped or stored is not squeezed into 80 columns


def results() -> Console:
    """Return the console of standard output, made anew: what standard output is may change in between."""
    return _console(stderr=False)


def notes() -> Console:
    """Return the console of standard error, for progress and for everything that is no result."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDTH_OF_A_FILE
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n")


def say(sentence: str, style: str = "") -> None:
    results().print(clean(sentence), style=style or None)


def note(sentence: str, style: str = "dim") -> None:
    notes().print(clean(sentence), style=style)


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    title: str | None = None,
    right: Iterable[str] = (),
) -> None:
    """Print rows under their columns; numbers stand right, and so do the columns named in `right`."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    cells = [list(row) for row in rows]
    rightmost = set(right)
    for place, column in enumerate(columns):
        numeric = column in rightmost or any(isinstance(row[place], (int, float)) for row in cells)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(_cell, row))
    results().print(table)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Print names and values, one pair a line."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts.items():
        grid.add_row(name, _cell(value))
    results().print(grid)


def _cell(value: Any) -> Text:
    if isinstance(value, Text):
        return value
    if isinstance(value, float):
        return Text(format_number(value))
    return Text("-" if value is None else clean(str(value)))


def clean(text: str) -> str:
    """Return text that cannot steer a terminal, whatever a customer is called."""
    return "".join(
        character if character.isprintable() or character == "\n" else "\ufffd" for character in text
    )


def counted(count: int, noun: str) -> str:
    """Return such as "1 customer" or "1,200 customers"."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def format_number(value: float) -> str:
    if value == 0 or 0.01 <= abs(value) < 1e6:
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    return f"{value:.3g}"


def format_seconds(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def format_bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def format_age(moment: str | datetime, now: datetime | None = None) -> str:
    """Return how long ago a moment was, such as `3 h ago`."""
    then = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    seconds = max(0.0, ((now or datetime.now(UTC)) - then).total_seconds())
    for length, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
