"""Training without a cloud: the training container's own code on prepared series, and what became of the fleet."""

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fleetcast.domain.gate import Gate, LedgerRow, Verdict, build_ledger
from fleetcast.domain.parameters import BY_NAME
from fleetcast_cli.errors import CommandFailed
from fleetcast_cli.offline_claim import ClaimedRun
from fleetcast_cli.offline_data import Prepared, container_environment, free
from fleetcast_cli.offline_models import LEDGER
from fleetcast_cli.offline_processes import stop
from fleetcast_cli.output import notes

_HOST = "algo-1"
_TICK_SECONDS = 0.1
_TAIL_BYTES = 4096


@dataclass(frozen=True)
class TrainedFleet:
    """The outcome: one row per customer, and what the gate of the cloud would say of them all.

    Attributes:
        data: what was made of the files.
    """

    folder: Path
    ledger: list[LedgerRow]
    verdict: Verdict
    data: Mapping[str, Any]


def train_fleet(prepared: Prepared, run: ClaimedRun, hyperparameters: Mapping[str, object]) -> TrainedFleet:
    """Train every prepared customer into the run's folder.

    Raises:
        CommandFailed: the job failed; what is finished is kept, and the same --run-id goes on with it.
    """
    root = prepared.root
    _lay_out(root, prepared.series, run.folder, hyperparameters)
    rows = run.folder / "_ledger" / f"{_HOST}.jsonl"
    said = root / "training-errors"
    with said.open("wb") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "fleetcast_training", "train"],
            env=container_environment(root),
            stdout=subprocess.DEVNULL,
            # A pipe that nobody reads would stop it as soon as it is full.
            stderr=errors,
            # While it runs nobody else may have the folder, even if this process is gone.
            pass_fds=(run.lock,),
        )
    try:
        _show_progress(child, rows, prepared.summary["ready"])
    except BaseException:
        stop(child)
        raise
    if child.returncode:
        raise CommandFailed(_explain_failure(child.returncode, root, said, rows))
    return _take_stock(prepared, run.folder, rows)


def _lay_out(root: Path, series: Path, folder: Path, hyperparameters: Mapping[str, object]) -> None:
    config = root / "input" / "config"
    config.mkdir(parents=True)
    texts = {name: str(value) for name, value in hyperparameters.items()}
    (config / "hyperparameters.json").write_text(json.dumps(texts))
    (root / "input" / "data").mkdir()
    (root / "input" / "data" / "series").symlink_to(series.resolve())
    (root / "checkpoints").symlink_to(folder.resolve())


def _show_progress(process: "subprocess.Popen[bytes]", rows: Path, total: int) -> None:
    console = notes()
    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task, counted, read = bar.add_task("training", total=total), 0, 0
        while process.poll() is None:
            time.sleep(_TICK_SECONDS)
            if not bar.disable and rows.exists():
                with rows.open("rb") as file:
                    file.seek(read)
                    fresh = file.read()
                read, counted = read + len(fresh), counted + fresh.count(b"\n")
                bar.update(task, completed=counted)


def _explain_failure(code: int, root: Path, said: Path, rows: Path) -> str:
    failure = root / "output" / "failure"
    why = failure.read_text(encoding="utf-8") if failure.exists() else _last_line(said)
    sentence = f"training failed: {why or f'exit code {code}'}"
    if rows.exists() and b'"status":"trained"' in rows.read_bytes():
        sentence += f"; --run-id {rows.parent.parent.name} goes on with what is finished"
    return sentence


def _last_line(said: Path) -> str:
    with said.open("rb") as file:
        file.seek(max(0, said.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


def _take_stock(prepared: Prepared, folder: Path, rows: Path) -> TrainedFleet:
    from fleetcast.adapters.ledger import to_parquet  # noqa: PLC0415  # pyarrow: 0.2 s that few commands need

    training = [json.loads(line) for line in rows.read_bytes().splitlines()]
    ledger = build_ledger(folder.name, prepared.quality(), training)
    verdict = _gate().judge(ledger)
    temporary = folder / f".{LEDGER}"
    temporary.write_bytes(to_parquet(ledger))
    temporary.replace(folder / LEDGER)
    free(folder / "_ledger")
    return TrainedFleet(folder, ledger, verdict, prepared.to_document())


def _gate() -> Gate:
    """Return the gate of a stack whose parameters nobody changed."""
    names = ("max_failed_share", "max_error_ratio", "minimum_customers")
    return Gate(**{name: BY_NAME[f"gate/{name}"].default for name in names})  # type: ignore[arg-type]


def took_part(fleet: TrainedFleet, family: str) -> int:
    """Return for how many of the trained customers a user's family had forecasts to compare."""
    # The reason of a customer with a model holds a remark for each family that had none.
    return sum(row.status == "trained" and not _was_absent(family, row.reason) for row in fleet.ledger)


def _was_absent(family: str, remarks: str) -> bool:
    return any(remark.startswith(f"{family}: ") for remark in remarks.split("; "))


def summary_of(fleet: TrainedFleet, seconds: float, families: Iterable[str]) -> dict[str, Any]:
    """Return the outcome for machines."""
    return {
        "run_id": fleet.folder.name,
        "models": str(fleet.folder),
        "ledger": str(fleet.folder / LEDGER),
        "seconds": round(seconds, 2),
        **fleet.verdict.to_document(),
        "families_of_users": {name: took_part(fleet, name) for name in families},
        "data": fleet.data,
    }
