"""Follows an execution to its end: which state it is in, and how many customers are done on each host."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from fleetcast_cli.history import Execution, noteworthy
from fleetcast_cli.outcome import REFUSED_RUN, SKIPPED, Outcome, judge
from fleetcast_cli.output import format_seconds, note, notes
from fleetcast_cli.runs import RunAtWork, run_at_work
from fleetcast_cli.session import Cloud
from fleetcast_cli.training_rows import TrainingRows

_PAUSE_LOCAL, _PAUSE_AWS = 0.5, 3.0
_TRAINING = "TrainModels"
_HANDOVERS = 5


def follow_run(cloud: Cloud, arn: str) -> Outcome:
    """Follow an execution; where another run is at work in its place, follow that one to its end."""
    outcome = follow(cloud, arn)
    for _ in range(_HANDOVERS):
        other = run_at_work(cloud) if outcome.status in (REFUSED_RUN, SKIPPED) else None
        if other is None:
            break
        say_following(other)
        outcome = follow(cloud, other.execution)
    return outcome


def say_following(run: RunAtWork) -> None:
    note(f"Run {run.run_id} is at work already; following it.")


def follow(cloud: Cloud, arn: str) -> Outcome:
    """Show an execution's progress until it ends."""
    sfn = cloud.client("stepfunctions")
    execution = Execution(sfn, arn)
    pause = _PAUSE_LOCAL if cloud.is_local else _PAUSE_AWS
    rows: TrainingRows | None = None
    with _display() as display:
        while True:
            described = sfn.describe_execution(executionArn=arn)
            execution.read()
            if execution.plan and rows is None:
                uris = execution.plan["uris"]
                rows = TrainingRows(cloud.client("s3"), uris["checkpoints"], uris["quality"])
            display.show(execution, rows if _has_rows_to_count(execution, rows) else None)
            if described["status"] != "RUNNING":
                return judge(cloud, execution, described)
            time.sleep(pause)


def _has_rows_to_count(execution: Execution, rows: TrainingRows | None) -> bool:
    if rows is None:
        return False
    training = execution.current == _TRAINING
    just_left = any(step.state == _TRAINING for step in execution.steps)
    if training or just_left:
        rows.refresh()
    return training or just_left


class _Display:
    """One line for each state that is over; below, on a terminal, what goes on now."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tenth = 0
        self._state = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console
        )
        self._customers = Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failed]}"),
            console=console,
        )
        self._current = self._state.add_task("starting", total=None)
        self._bars: dict[str, Any] = {}
        self.picture = Group(self._state, self._customers)

    def show(self, execution: Execution, rows: TrainingRows | None) -> None:
        if rows is not None:
            self._show_rows(rows)
        for step in noteworthy(execution.take_steps()):
            self._console.print(f"  {step.state:<24} {format_seconds(step.seconds):>9}")
        self._state.update(self._current, description=_describe(execution))

    def _show_rows(self, rows: TrainingRows) -> None:
        failed = sum(host.failed for host in rows.hosts.values())
        self._show_bar("customers", rows.done, rows.total, failed)
        if len(rows.hosts) > 1:
            for name, host in sorted(rows.hosts.items()):
                self._show_bar(name, host.done, None, host.failed)
        self._tell(rows.done, rows.total)

    def _show_bar(self, name: str, done: int, total: int | None, failed: int) -> None:
        if name not in self._bars:
            self._bars[name] = self._customers.add_task(name, total=total, failed="")
        mark = f"{failed} not trained" if failed else ""
        self._customers.update(self._bars[name], completed=done, total=total, failed=mark)

    def _tell(self, done: int, total: int | None) -> None:
        # Without a terminal there is no bar: a line at every tenth is enough for a log.
        tenth = done * 10 // total if total else 0
        if tenth > self._tenth and not self._console.is_terminal:
            self._tenth = tenth
            self._console.print(f"  {done} of {total} customers")


def _describe(execution: Execution) -> str:
    run = execution.plan.get("run_id")
    state = execution.current or "starting"
    return f"{state} · run {run}" if run else state


@contextmanager
def _display() -> Iterator[_Display]:
    console = notes()
    display = _Display(console)
    if not console.is_terminal:
        yield display
        return
    with Live(display.picture, console=console, transient=True, refresh_per_second=8):
        yield display
