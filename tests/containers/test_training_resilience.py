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

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
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
    root.prepare(origins=1, engine="prophet", customer_timeout_seconds="0.001")
    root.add_series("part-00001.parquet", {"slow": metered(400)})

    run = root.train()

    assert run.returncode == 0, run.stderr
    row = root.ledger()["slow"]
    assert (row["status"], row["reason"]) == ("timed_out", "not finished within 0.001 seconds")
    assert not (root.checkpoints / "slow.tar.gz").exists()
    assert "customers_done=1 customers_total=1 customers_failed=1" in run.stdout


def test_a_killed_worker_costs_one_customer(root: MlRoot) -> None:
    root.prepare(origins=1, engine="prophet")
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
    root.prepare(origins=1, engine="prophet", customer_timeout_seconds=2)
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


def test_a_customer_that_exhausts_its_memory_is_a_row(root: MlRoot) -> None:
    root.prepare(customer_memory_mb=64)
    rows = {"small": 200, "huge": 2_000_000, "after": 200}
    table = pa.table(
        {
            "customer_id": pa.array(np.repeat(list(rows), list(rows.values()))),
            "timestamp": pa.array(
                np.concatenate([3600 * np.arange(count) for count in rows.values()]), pa.timestamp("s", "UTC")
            ),
            "consumption": np.concatenate([metered(count) for count in rows.values()]),
        }
    )
    path = root.add_series("part-00001.parquet", {})
    pq.write_table(table, path)

    run = root.train()

    assert run.returncode == 0, run.stderr
    ledger = root.ledger()
    assert {name: row["status"] for name, row in ledger.items()} == {
        "small": "trained",
        "huge": "out_of_memory",
        "after": "trained",
    }
    assert "more memory than the 64 MB that a customer may take" in ledger["huge"]["reason"]
    assert not (root.checkpoints / "huge.tar.gz").exists()


TROUBLE = """
import os, time

def family(values, timestamps, horizon):
    if values[0] == 44.5:
        time.sleep(1000)
    if values[0] == 55.5:
        os._exit(3)
    return values[-1:].repeat(horizon)
"""


def test_one_batch_survives_customers_that_hang_and_customers_that_crash(tmp_path: Path) -> None:
    """What is left of a batch is trained by another worker, and comes out as if nothing had happened."""
    (tmp_path / "trouble.py").write_text(TROUBLE)
    customers = {f"c{i}": metered(60, seed=i) for i in range(16)}
    bad = {"c3": 44.5, "c4": 55.5, "c9": 44.5, "c15": 55.5}
    made = []
    for name, first in (("quiet", {}), ("troubled", bad)):
        root = MlRoot(tmp_path / name)
        root.path.mkdir()
        root.prepare(families="naive,trouble:family", customer_timeout_seconds=2)
        series = {c: np.concatenate([[first[c]], y[1:]]) if c in first else y for c, y in customers.items()}
        root.add_series("part-00001.parquet", series)
        with root.start(PYTHONPATH=str(tmp_path)) as process:
            _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
        made.append({path.name: path.read_bytes() for path in root.checkpoints.glob("*.tar.gz")})

    statuses = {name: row["status"] for name, row in root.ledger().items()}
    assert {name: status for name, status in statuses.items() if status != "trained"} == {
        "c3": "timed_out",
        "c4": "crashed",
        "c9": "timed_out",
        "c15": "crashed",
    }
    assert root.ledger()["c4"]["reason"] == "the customer's worker died with exit code 3"
    quiet, troubled = made
    assert troubled == {name: quiet[name] for name in quiet if name.removesuffix(".tar.gz") not in bad}
    assert len(troubled) == 12


def test_a_family_that_cannot_be_loaded_fails_the_job(root: MlRoot) -> None:
    root.prepare(families="nowhere:family")
    root.add_series("part-00001.parquet", {"c": metered(30)})

    run = root.train()

    assert run.returncode == 1
    assert "a training worker cannot start: UnknownFamily: the family nowhere:family" in root.failure


def test_the_number_of_workers_changes_no_artifact(tmp_path: Path) -> None:
    customers = {f"c{i}": metered(60 + i, seed=i) for i in range(20)}
    made = []
    for workers in (1, 2, 3):
        root = MlRoot(tmp_path / str(workers))
        root.path.mkdir()
        root.prepare(workers=workers)
        root.add_series("part-00001.parquet", customers)
        assert root.train().returncode == 0
        made.append({path.name: path.read_bytes() for path in root.checkpoints.glob("*.tar.gz")})

    assert len(made[0]) == len(customers)
    assert made[0] == made[1] == made[2]


def test_sigterm_stores_what_is_finished_and_a_restart_does_the_rest(root: MlRoot) -> None:
    root.prepare(origins=1, engine="prophet")
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
    root.prepare(origins=1, engine="prophet")
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
    root.prepare(origins=1, engine="prophet", workers=2)
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
    rowless = (root.checkpoints / "rowless.tar.gz").read_bytes()
    own = root.checkpoints / "_ledger" / "algo-1.jsonl"
    lines = {name: json.dumps(row, ensure_ascii=False) for name, row in ledger.items()}
    # Of two of these rows the model is gone: they are written anew, and must not be there twice.
    own.write_text(f'{lines["whole"]}\n{lines["cut off"]}\n{lines["taken"]}\n{{"customer_id":"torn')
    (root.checkpoints / "_ledger" / "algo-2.jsonl").write_text(lines["elsewhere"] + "\n")
    (root.checkpoints / "cut%20off.tar.gz").write_bytes(b"\x1f\x8b\x08")
    (root.checkpoints / ".tmp-0123456789abcdef").write_bytes(b"half")
    (root.checkpoints / "taken.tar.gz").write_bytes((root.checkpoints / "whole.tar.gz").read_bytes())

    run = root.train()

    assert run.returncode == 0, run.stderr
    again = root.ledger()
    assert set(again) == {"whole", "rowless", "cut off", "taken"}, "another host's row is not repeated"
    assert again["whole"] == ledger["whole"]
    took = {"seconds": again["rowless"]["seconds"]}
    assert again["rowless"] == ledger["rowless"] | took, "trained again, for the row's sake"
    assert (root.checkpoints / "rowless.tar.gz").read_bytes() == rowless
    assert unpack((root.checkpoints / "cut%20off.tar.gz").read_bytes()).model.run_id == RUN_ID
    assert again["taken"]["status"] == "name_collision"
    assert again["taken"]["reason"] == "taken.tar.gz is already the model of another customer, 'whole'"
    assert unpack((root.checkpoints / "taken.tar.gz").read_bytes()).model.customer_id == "whole"
    assert list(root.checkpoints.glob(".tmp-*")) == []
