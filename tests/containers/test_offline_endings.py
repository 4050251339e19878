"""How the commands without a cloud end: interrupted, asked to end, with workers that die, beside each other."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

FLEETCAST = [sys.executable, "-c", "from fleetcast_cli.main import main; main()"]
RUN_ID = "r20260131020000-0a1b2c"
CUSTOMERS = 6
PATIENCE = 60.0

FAMILIES = """
import os, signal, sys, time
import numpy as np

def _mean(values, horizon):
    return np.full(horizon, np.nanmean(values))

def loud(values, timestamps, horizon):
    print("x" * 5000, file=sys.stderr)
    return _mean(values, horizon)

def slow(values, timestamps, horizon):
    time.sleep(0.15)
    return _mean(values, horizon)

def bad(values, timestamps, horizon):
    raise KeyError("a secret")

def deadly(values, timestamps, horizon):
    if np.nanmax(values) > 1e6:
        os.kill(os.getpid(), signal.SIGKILL)
    return _mean(values, horizon)
"""


def _hear_interrupts() -> None:
    # A test run in the background ignores SIGINT, and so would whatever it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass
class Stage:
    """A folder to work in, and the commands that run there, each in a session of its own."""

    folder: Path
    running: list["subprocess.Popen[str]"] = field(default_factory=list)

    def start(self, *arguments: object) -> "subprocess.Popen[str]":
        (self.folder / "scratch").mkdir(exist_ok=True)
        process = subprocess.Popen(
            [*FLEETCAST, *map(str, arguments)],
            cwd=self.folder,
            env={**os.environ, "TMPDIR": str(self.folder / "scratch")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_hear_interrupts,  # noqa: PLW1509 - no thread is at work here
        )
        self.running.append(process)
        return process

    def run(self, *arguments: object) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err

    def finish(self, process: "subprocess.Popen[str]") -> tuple[int, str]:
        _, err = process.communicate(timeout=PATIENCE)
        return process.returncode, err

    def leftovers(self) -> list[Path]:
        return list((self.folder / "scratch").iterdir())


def others_of(process: "subprocess.Popen[str]") -> list[int]:
    """Return the processes that a command started, wherever they belong by now."""
    listed = subprocess.run(["ps", "-A", "-o", "pid="], capture_output=True, text=True, check=True)
    found = []
    for pid in map(int, listed.stdout.split()):
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == process.pid and pid != process.pid:
                found.append(pid)
    return found


def workers_of(process: "subprocess.Popen[str]") -> list[int]:
    """Return those of them that lead a group of their own."""
    found = []
    for pid in others_of(process):
        with suppress(ProcessLookupError):
            if os.getpgid(pid) == pid:
                found.append(pid)
    return found


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return customers of 100 days; the last one, "9", has values that nobody else has."""
    path = tmp_path_factory.mktemp("data") / "data.csv"
    rows = ["customer_id,timestamp,consumption"]
    for customer in (*range(CUSTOMERS - 1), 9):
        scale = 1e7 if customer == 9 else 1
        days = (f"2025-{1 + day // 28:02d}-{1 + day % 28:02d}" for day in range(112))
        rows += [f"{customer},{day},{scale * (5 + number % 7 + customer)}" for number, day in enumerate(days)]
    path.write_text("\n".join(rows))
    return path


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    (tmp_path / "chatty.py").write_text(FAMILIES)
    stage = Stage(tmp_path)
    yield stage
    for process in stage.running:
        for pid in [*others_of(process), process.pid]:
            if process.returncode is None or pid != process.pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        process.communicate()


def test_families_are_told_of_that_have_no_forecast_and_may_complain_at_length(
    stage: Stage, data: Path
) -> None:
    families = "profile,chatty:loud,chatty:bad"

    code, out, err = stage.run("train", data, "--models", "m", "--families", families, "--origins", 4)

    assert code == 0, err
    assert f"chatty:loud took part for {CUSTOMERS} of {CUSTOMERS} customers." in out
    assert f"chatty:bad took part for 0 of {CUSTOMERS} customers." in out
    assert stage.leftovers() == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_training_that_is_asked_to_end_leaves_nothing_behind(
    stage: Stage, data: Path, number: signal.Signals, code: int
) -> None:
    """The signal reaches this process alone, as that of a supervisor does."""
    process = stage.start("train", data, "--models", "m", "--families", "chatty:slow", "--workers", 1)
    wait_for(lambda: len(workers_of(process)) == 1 and list(stage.folder.glob("m/*/_ledger/*")))

    process.send_signal(number)
    ended, err = stage.finish(process)

    assert ended == code
    assert "Traceback" not in err
    wait_for(lambda: not others_of(process))
    assert stage.leftovers() == []


def test_an_interrupted_run_is_gone_on_with_by_the_same_options_and_data_only(
    stage: Stage, data: Path, tmp_path: Path
) -> None:
    asked = ("train", data, "--models", "m", "--run-id", RUN_ID, "--families", "profile,chatty:slow")
    asked += ("--origins", 2, "--workers", 1)
    process = stage.start(*asked)
    first = stage.folder / "m" / RUN_ID / "0.tar.gz"
    wait_for(first.exists)
    made = first.stat()

    meanwhile = stage.run(*asked)
    os.killpg(process.pid, signal.SIGINT)
    interrupted, _ = stage.finish(process)
    other_options = stage.run(*asked, "--horizon", 14)
    fewer = tmp_path / "fewer.csv"
    fewer.write_text("\n".join(data.read_text().splitlines()[:-1]))
    other_data = stage.run("train", fewer, *asked[2:])
    code, out, _ = stage.run(*asked, "--json")

    assert meanwhile[0] == 3
    assert "is being trained by another process" in meanwhile[2]
    assert interrupted == 130
    assert other_options[0] == other_data[0] == 3
    assert "was begun with --horizon 28, not 14" in other_options[2]
    assert "was begun on other data" in other_data[2]
    assert code == 0
    assert json.loads(out)["trained"] == CUSTOMERS
    assert first.stat().st_mtime_ns == made.st_mtime_ns
    ledger = pq.read_table(stage.folder / "m" / RUN_ID / "ledger.parquet")
    assert len(ledger) == CUSTOMERS
    assert not (stage.folder / "m" / RUN_ID / "_ledger").exists()


def test_a_backtest_is_interrupted_at_once(stage: Stage, data: Path) -> None:
    process = stage.start("backtest", data, "--families", "chatty:slow", "--workers", 2)
    wait_for(lambda: workers_of(process))

    os.killpg(process.pid, signal.SIGINT)
    began = time.monotonic()
    code, err = stage.finish(process)

    assert code == 130
    assert "Traceback" not in err
    assert time.monotonic() - began < 10
    wait_for(lambda: not others_of(process))
    assert stage.leftovers() == []


def test_a_worker_that_is_killed_costs_nothing(stage: Stage, data: Path) -> None:
    process = stage.start("backtest", data, "--families", "naive", "--no-stock", "--workers", 1, "--json")
    wait_for(lambda: workers_of(process))

    os.kill(workers_of(process)[0], signal.SIGKILL)
    out, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0, err
    assert json.loads(out)["judged"] == CUSTOMERS


def test_a_customer_who_kills_workers_is_named_and_the_others_are_shown(stage: Stage, data: Path) -> None:
    code, out, err = stage.run(
        "backtest", data, "--families", "naive,chatty:deadly", "--no-stock", "--workers", 1, "--json"
    )

    assert code == 1
    report = json.loads(out)
    assert report["judged"] == CUSTOMERS - 1
    assert report["failed"] == {"9": "its process died"}
    assert "customer '9' could not be judged: its process died" in err
    assert "Traceback" not in err


def test_forecasts_go_into_whatever_has_a_name(stage: Stage, data: Path) -> None:
    assert stage.run("train", data, "--models", "m", "--no-tuning", "--run-id", RUN_ID)[0] == 0
    ask = ("predict", "--models", "m", "--period", 2, "--output")
    fifo, link, target = (stage.folder / name for name in ("fifo", "link.csv", "target.csv"))
    os.mkfifo(fifo)
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)

    reading = stage.start(*ask, "fifo")
    from_fifo = fifo.read_text()
    through_stdout = stage.run(*ask, "/dev/stdout")
    codes = [stage.finish(reading)[0], *(stage.run(*ask, name)[0] for name in ("link.csv", "/dev/null", "."))]

    assert codes == [0, 0, 0, 2]
    assert len(from_fifo.splitlines()) == 1 + 2 * CUSTOMERS
    assert target.read_text() == from_fifo == through_stdout[1]
    assert "12 rows in /dev/stdout" in through_stdout[2]
    assert (link.is_symlink(), fifo.is_fifo(), target.stat().st_mode & 0o777) == (True, True, 0o640)
