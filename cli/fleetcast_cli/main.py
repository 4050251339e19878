"""The command `fleetcast`: its verbs, and the one place where errors become sentences and exit codes."""

import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fleetcast_cli import (
    cloud,
    data,
    demo,
    deploy,
    fleet,
    forecast,
    load,
    offline_backtest,
    offline_explain,
    offline_predict,
    offline_train,
    retrain,
)
from fleetcast_cli.errors import FAILED, INTERRUPTED, CommandFailed, UsageMistake, exit_code, explain
from fleetcast_cli.output import note
from fleetcast_cli.project import Project

_HELP = """Train, check, release and serve one forecasting model per customer.

The same commands work on this machine (--env local, the default) and on a stack in AWS.
"""
_EPILOG = (
    "Exit codes: 0 done; 1 the outcome is a failure; 2 the command was typed wrongly;"
    " 3 refused, because something is in progress or in the way; 130 interrupted."
    "\n\nExample: fleetcast up && fleetcast deploy && fleetcast synth data && fleetcast ingest data"
    " && fleetcast retrain --wait && fleetcast forecast 0 --period 7 --plot"
)


class _Commands(TyperGroup):
    """Ends every command with a sentence and an exit code, however it is called."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            if _is_foreseen(error):
                raise
            raise CommandFailed(_log_unexpected(error, ctx.obj or Path.cwd())) from error

    def main(self, *args: Any, **kwargs: Any) -> Any:
        sys.exit(_guard(lambda: super(_Commands, self).main(*args, **kwargs | {"standalone_mode": False})))


def _guard(run: Callable[[], Any]) -> int:
    try:
        code = run()
        sys.stdout.flush()  # here, where a reader that has left is no error
    except typer.Abort:
        code = INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe, such as head, has seen enough. Python would complain again while it closes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # noqa: BLE001  # the last stop: whatever happened becomes a sentence
        return _report(error)
    if code == INTERRUPTED:
        note("Interrupted.")
    return int(code or 0)


def _report(error: Exception) -> int:
    typed_wrongly = getattr(error, "format_message", None)
    if typed_wrongly:
        return _report_usage(error, typed_wrongly())
    if os.environ.get("FLEETCAST_DEBUG"):
        traceback.print_exception(error)
    note(f"fleetcast: {explain(error) or repr(error)}", "red")
    return exit_code(error)


def _report_usage(error: Exception, sentence: str) -> int:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "fleetcast"
    if sentence:  # without any argument the help has been printed, and there is nothing to add
        hint = _explain_dash(error, command)
        note(f"{command}: {sentence.rstrip('.')}. {hint}See {command} --help.", "red")
    return int(getattr(error, "exit_code", FAILED))


def _explain_dash(error: Exception, command: str) -> str:
    """Say how to write an id that looks like an option, to whoever may have meant one."""
    context = getattr(error, "ctx", None)
    if context is None or not getattr(error, "option_name", "") or getattr(error, "possibilities", None):
        return ""
    named = [
        one.metavar for one in context.command.params if one.param_type_name == "argument" and one.metavar
    ]
    return f"What begins with - and is no option comes after --: {command} -- {named[0]}. " if named else ""


def _is_foreseen(error: Exception) -> bool:
    flow = isinstance(error, (typer.Exit, typer.Abort))
    return flow or hasattr(error, "format_message") or explain(error) is not None


def _log_unexpected(error: Exception, folder: Path) -> str:
    path = _log_folder(folder) / "cli.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {sys.argv[1:]}\n")
        traceback.print_exception(error, file=file)
    return f"unexpected error: {error!r}. The full traceback is in {path}; with FLEETCAST_DEBUG=1 it is shown here"


def _log_folder(folder: Path) -> Path:
    try:
        return Project.find(folder).logs
    except UsageMistake:
        return Path(tempfile.gettempdir()) / "fleetcast"


app = typer.Typer(
    name="fleetcast",
    cls=_Commands,
    help=_HELP,
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def choose_project(
    context: typer.Context,
    project: Annotated[
        Path | None,
        typer.Option(
            "--project", help="The project's folder; without it, the one around the current folder."
        ),
    ] = None,
) -> None:
    context.obj = project or Path.cwd()


_OFFLINE = (offline_train, offline_predict, offline_backtest, offline_explain)
for _module in (cloud, deploy, data, retrain, forecast, load, fleet, *_OFFLINE, demo):
    _module.register(app)


def main() -> None:
    app(prog_name="fleetcast")
