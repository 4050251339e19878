"""What a training job survives: its workers, its customers, its own death, and being told to stop.

Stock Prophet fits here, because the direct solver is done before anything can happen to it.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.containers.training_support import PATIENCE, RUN_ID, MlRoot, metered

from fleetcast_engine import unpack


def wait_until(condition: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    listing = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    pairs = [tuple(map(int, line.split())) for line in listing.stdout.splitlines()]
    return [child for child, parent in pairs if parent == pid]


def workers_of(pid: int) -> list[int]:
    """Return the worker processes: those children that lead a group of their own."""
    return [child for child in children_of(pid) if os.getpgid(child) == child]


@pytest.fixture
def root(tmp_path: Path) -> MlRoot:
    return MlRoot(tmp_path)


def test_a_customer_that_takes_too_long_is_a_row(root: MlRoot) -> None:
    """No fit ends within a millisecond, so this deadline makes every customer hang."""
    root.prepare(engine="prophet", customer_timeout_seconds="0.001")
    root.add_series("part-00001.parquet", {"slow": metered(400)})

    run = root.train()

    assert run.returncode == 0, run.stderr
    row = root.ledger()["slow"]
    assert (row["status"], row["reason"]) == ("timed_out", "not finished within 0.001 seconds")
    assert not (root.checkpoints / "slow.tar.gz").exists()
    assert "customers_done=1 customers_total=1 customers_failed=1" in run.stdout


def test_a_killed_worker_costs_one_customer(root: MlRoot) -> None:
    root.prepare(engine="prophet")
    root.add_series("part-00001.parquet", {f"c{i}": metered(1500, seed=i) for i in range(12)})

    with root.start() as process:
        wait_until(root.ledger, process)
        (worker,) = workers_of(process.pid)
        os.kill(worker, signal.SIGKILL)
        _, errors = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0, errors
    statuses = [row["status"] for row in root.ledger().values()]
    assert len(statuses) == 12
    # The kill may fall between two customers and cost none.
    assert statuses.count("crashed") <= 1
    assert statuses.count("trained") >= 11


def test_a_stopped_worker_is_replaced_at_the_deadline(root: MlRoot) -> None:
    root.prepare(engine="prophet", customer_timeout_seconds=2)
    root.add_series("part-00001.parquet", {f"c{i}": metered(1500, seed=i) for i in range(8)})

    with root.start() as process:
        wait_until(root.ledger, process)
        (worker,) = workers_of(process.pid)
        os.kill(worker, signal.SIGSTOP)
        _, errors = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0, errors
    statuses = [row["status"] for row in root.ledger().values()]
    assert sorted(statuses) == ["timed_out"] + 7 * ["trained"] or statuses == 8 * ["trained"]
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_sigterm_stores_what_is_finished_and_a_restart_does_the_rest(root: MlRoot) -> None:
    root.prepare(engine="prophet")
    customers = {f"c{i}": metered(400, seed=i) for i in range(40)}
    root.add_series("part-00001.parquet", customers)

    with root.start() as process:
        wait_until(lambda: len(root.ledger()) >= 2, process)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 143
    assert time.monotonic() - began < 20
    assert "stopped; finished customers are stored" in output
    before = root.ledger()
    assert len(before) < 40
    written = {
        row["artifact"]: (root.checkpoints / row["artifact"]).stat().st_mtime_ns for row in before.values()
    }

    run = root.train()

    assert run.returncode == 0, run.stderr
    after = root.ledger()
    assert set(after) == set(customers)
    assert {name: after[name] for name in before} == before
    assert {name: (root.checkpoints / name).stat().st_mtime_ns for name in written} == written


def test_workers_do_not_outlive_a_killed_job(root: MlRoot) -> None:
    root.prepare(engine="prophet")
    root.add_series("part-00001.parquet", {f"c{i}": metered(400, seed=i) for i in range(40)})

    with root.start() as process:
        wait_until(root.ledger, process)
        (worker,) = workers_of(process.pid)
        process.kill()
        process.communicate(timeout=PATIENCE)

    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _is_alive(worker):
        time.sleep(0.05)
    assert not _is_alive(worker)


def _is_alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(state.stdout.strip()) and not state.stdout.startswith("Z")


def test_workers_that_cannot_start_fail_the_job(root: MlRoot) -> None:
    """Such as a wheel without the library that the optimiser needs."""
    root.prepare(engine="prophet", workers=2)
    root.add_series("part-00001.parquet", {"c": metered(30)})
    broken = root.path / "broken"
    broken.mkdir()
    (broken / "prophet.py").write_text("raise ImportError('libtbb.so.2 is missing')\n")

    with root.start(PYTHONPATH=str(broken)) as process:
        process.communicate(timeout=PATIENCE)

    assert process.returncode == 1
    assert root.failure == "a training worker cannot start: ImportError: libtbb.so.2 is missing"


def test_a_restart_trusts_artifacts_of_this_run_and_nothing_else(root: MlRoot) -> None:
    """One restart over a folder in which every kind of half-finished state is present."""
    root.prepare(hosts=["algo-1", "algo-2"])
    names = ["whole", "rowless", "cut off", "elsewhere", "taken"]
    root.add_series("part-00001.parquet", {name: metered(30) for name in names})
    assert root.train().returncode == 0
    ledger = root.ledger()
    own = root.checkpoints / "_ledger" / "algo-1.jsonl"
    lines = {name: json.dumps(row, ensure_ascii=False) for name, row in ledger.items()}
    own.write_text(f'{lines["whole"]}\n{{"customer_id":"torn')
    (root.checkpoints / "_ledger" / "algo-2.jsonl").write_text(lines["elsewhere"] + "\n")
    (root.checkpoints / "cut%20off.tar.gz").write_bytes(b"\x1f\x8b\x08")
    (root.checkpoints / ".tmp-0123456789abcdef").write_bytes(b"half")
    (root.checkpoints / "taken.tar.gz").write_bytes((root.checkpoints / "whole.tar.gz").read_bytes())

    run = root.train()

    assert run.returncode == 0, run.stderr
    again = root.ledger()
    assert set(again) == {"whole", "rowless", "cut off", "taken"}, "another host's row is not repeated"
    assert again["whole"] == ledger["whole"]
    unknown = {"seconds": None}
    assert again["rowless"] == ledger["rowless"] | unknown, "rebuilt from the artifact"
    assert unpack((root.checkpoints / "cut%20off.tar.gz").read_bytes()).model.run_id == RUN_ID
    assert again["taken"]["status"] == "name_collision"
    assert again["taken"]["reason"] == "taken.tar.gz is already the model of another customer, 'whole'"
    assert unpack((root.checkpoints / "taken.tar.gz").read_bytes()).model.customer_id == "whole"
    assert list(root.checkpoints.glob(".tmp-*")) == []
