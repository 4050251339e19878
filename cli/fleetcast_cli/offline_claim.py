"""The folder of a run that is being trained: whose it is, and with what it was begun."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetcast_cli.errors import Refused, UsageMistake
from fleetcast_cli.offline_models import LEDGER

_LEDGER_FOLDER = "_ledger"
# In the ledger's folder: it goes when the run is finished.
_BEGUN_WITH = "begun-with.json"
_DATA = "data"


@dataclass(frozen=True)
class ClaimedRun:
    """A run's folder that is this process's alone.

    Attributes:
        lock: the open file that says so; whoever has it open has the folder.
    """

    folder: Path
    lock: int

    def go_on_with(self, options: Mapping[str, Any], data: str) -> None:
        """Note the options and the fingerprint of the data, which an interrupted run must be gone on with.

        Raises:
            Refused: the run was begun with others.
        """
        now = {**options, _DATA: data}
        path = self.folder / _LEDGER_FOLDER / _BEGUN_WITH
        begun = _read(path)
        if begun is None:
            path.parent.mkdir(exist_ok=True)
            temporary = path.with_suffix(".part")
            temporary.write_text(json.dumps(now))
            temporary.replace(path)
        elif begun != now:
            raise Refused(f"run {self.folder.name} was begun {_difference(begun, now)}")


@contextmanager
def claimed(models: Path, run_id: str) -> Iterator[ClaimedRun]:
    """Yield the run's folder below `models`; one that was interrupted is gone on with.

    Nothing is left of it where nothing was done in it.

    Raises:
        UsageMistake: `models` cannot be a folder.
        Refused: the run is finished, or is being trained by somebody else.
    """
    folder = models / run_id
    made = _make(folder)
    lock = os.open(folder, os.O_RDONLY)
    try:
        _lock(lock, folder)
        _check(folder)
        try:
            yield ClaimedRun(folder, lock)
        finally:
            if not any(folder.glob("*.tar.gz")) and not (folder / LEDGER).exists():
                shutil.rmtree(folder / _LEDGER_FOLDER, ignore_errors=True)
    finally:
        os.close(lock)
        with suppress(OSError):  # it is of use, and stays
            for each in made:
                each.rmdir()


def _make(folder: Path) -> list[Path]:
    """Make a folder and those around it; return the ones that are new, innermost first."""
    around = (folder, *folder.parents)
    for path in around:
        if path.exists() and not path.is_dir():
            raise UsageMistake(f"{path} is a file: name a folder for the models")
    made = [path for path in around if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return made


def _lock(lock: int, folder: Path) -> None:
    # Some network drives know no locks; there it is up to the user.
    with suppress(OSError):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"{folder} is being trained by another process; choose another --run-id") from None


def _check(folder: Path) -> None:
    if (folder / LEDGER).exists():
        raise Refused(f"{folder} holds a finished run: a model is never overwritten; choose another --run-id")
    if not (folder / _LEDGER_FOLDER).is_dir() and any(folder.iterdir()):
        raise Refused(f"{folder} exists and is no run that was interrupted; choose another --run-id")
    if _read(folder / _LEDGER_FOLDER / _BEGUN_WITH) is None and any(folder.glob(f"{_LEDGER_FOLDER}/*.jsonl")):
        raise Refused(f"{folder} does not say with what it was begun; choose another --run-id")


def _read(path: Path) -> dict[str, Any] | None:
    try:
        begun = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return begun if isinstance(begun, dict) else None


def _option(name: str, value: object) -> str:
    # What nobody can type is said as it was typed.
    return "--no-tuning" if (name, value) == ("origins", 0) else f"--{name} {value}"


def _difference(begun: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    changed = [name for name in now if begun.get(name) != now[name]]
    options = [
        f"{_option(name, begun.get(name))}, not {_option(name, now[name]).removeprefix(f'--{name} ')}"
        for name in changed
        if name != _DATA
    ]
    parts = [f"with {', '.join(options)}"] if options else []
    if _DATA in changed:
        parts.append("on other data")
    return f"{' and '.join(parts)}: go on as it was begun, or choose another --run-id"
