"""The training container as SageMaker runs it: a real process on a folder that looks like /opt/ml."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.containers.training_support import RUN_ID, MlRoot, metered

from fleetcast.domain.names import artifact_name
from fleetcast_engine import forecast, unpack

HOSTILE_IDS = ["../../etc", "a/b", "Ünï ¢ode", "🔌" * 128, "..", "%2e%2e", "a" * 128]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[MlRoot, str]:
    """One run over customers of every kind; the tests below each look at one aspect of it."""
    root = MlRoot(tmp_path_factory.mktemp("job"))
    root.prepare(workers=2)
    root.add_series("part-00001.parquet", {"plain": metered(372), "constant": [5.0] * 60})
    root.add_series("part-00002.parquet", {customer_id: metered(30) for customer_id in HOSTILE_IDS})
    odd = {
        "zeros": [0.0] * 40,
        "negative": (metered(60) - 50).tolist(),
        "one row": [1.0],
        "no values": [np.nan] * 40,
    }
    root.add_series("part-00003.parquet", odd)
    run = root.train()
    assert run.returncode == 0, run.stderr
    return root, run.stdout


def test_a_trained_customer_has_an_artifact_that_forecasts(trained: tuple[MlRoot, str]) -> None:
    root, _ = trained

    loaded = unpack((root.checkpoints / "plain.tar.gz").read_bytes())

    assert loaded.model.customer_id == "plain"
    assert loaded.model.run_id == RUN_ID
    assert forecast(loaded, 7).yhat.mean() == pytest.approx(50, abs=5)


def test_the_ledger_says_everything_about_a_trained_customer(trained: tuple[MlRoot, str]) -> None:
    root, _ = trained

    row = root.ledger()["plain"]

    assert row["status"] == "trained"
    assert row["reason"] is None
    assert (row["family"], row["engine"]) == ("mix", "map")
    assert "+" in row["members"]
    assert row["repairs"] == {}
    assert (row["rows"], row["horizon"]) == (372, 28)
    assert row["origins"] >= 26
    assert row["trained_at"] == "2026-01-31T02:00:00Z", "the run's own moment"
    assert (row["first"], row["last"]) == ("2024-01-01T00:00:00Z", "2025-01-06T00:00:00Z")
    assert 0 < row["mae"] < row["naive_mae"]
    assert row["bytes"] == (root.checkpoints / row["artifact"]).stat().st_size
    assert row["seconds"] > 0
    assert row["host"] == "algo-1"


def test_an_id_can_never_name_a_file_outside_the_checkpoints(trained: tuple[MlRoot, str]) -> None:
    root, _ = trained
    ledger = root.ledger()

    for customer_id in HOSTILE_IDS:
        row = ledger[customer_id]
        assert row["status"] == "trained"
        assert row["artifact"] == artifact_name(customer_id)
        artifact = root.checkpoints / row["artifact"]
        assert artifact.parent == root.checkpoints
        assert unpack(artifact.read_bytes()).model.customer_id == customer_id
    assert len(list(root.checkpoints.glob("*.tar.gz"))) == len(HOSTILE_IDS) + 4


@pytest.mark.parametrize("customer_id", ["constant", "zeros", "negative"])
def test_degenerate_but_usable_customers_are_trained(trained: tuple[MlRoot, str], customer_id: str) -> None:
    root, _ = trained

    assert root.ledger()[customer_id]["status"] == "trained"


@pytest.mark.parametrize(
    ("customer_id", "status", "reason"),
    [
        ("one row", "too_short", "1 usable rows; at least 14 are needed"),
        ("no values", "no_valid_rows", "none of 40 rows has a usable value"),
    ],
)
def test_an_unusable_customer_is_a_row_with_a_reason(
    trained: tuple[MlRoot, str], customer_id: str, status: str, reason: str
) -> None:
    root, _ = trained

    row = root.ledger()[customer_id]

    assert (row["status"], row["artifact"]) == (status, None)
    assert row["reason"].startswith(reason)


def test_the_last_metrics_line_counts_everybody(trained: tuple[MlRoot, str]) -> None:
    _, output = trained

    total = len(HOSTILE_IDS) + 6
    lines = [line for line in output.splitlines() if "customers_done" in line]
    assert f"customers_done={total} customers_total={total} customers_failed=2 mean_mae_ratio=" in lines[-1]


def test_the_hosts_summary_is_part_of_the_jobs_model(trained: tuple[MlRoot, str]) -> None:
    root, _ = trained

    summary = json.loads((root.path / "model" / "run-algo-1.json").read_text())

    total = len(HOSTILE_IDS) + 6
    assert (summary["run_id"], summary["host"]) == (RUN_ID, "algo-1")
    assert (summary["customers"], summary["trained"], summary["failed"]) == (total, total - 2, 2)
    assert summary["settings"]["horizon"] == 28
    assert summary["versions"]["prophet"]


def test_nothing_temporary_is_left_behind(trained: tuple[MlRoot, str]) -> None:
    root, _ = trained

    assert list((root.path / "tmp").iterdir()) == []
    assert list(root.checkpoints.rglob(".tmp-*")) == []


def test_the_fit_says_nothing_on_the_log(trained: tuple[MlRoot, str]) -> None:
    _, output = trained

    assert all(line.startswith("fleetcast: ") for line in output.splitlines())


def test_a_host_without_objects_succeeds_among_others(tmp_path: Path) -> None:
    root = MlRoot(tmp_path, host="algo-2")
    root.prepare(hosts=["algo-1", "algo-2"])

    run = root.train()

    assert run.returncode == 0, run.stderr
    assert "customers_done=0 customers_total=0" in run.stdout
    assert json.loads((tmp_path / "model" / "run-algo-2.json").read_text())["customers"] == 0


def test_a_job_without_any_customer_fails(tmp_path: Path) -> None:
    root = MlRoot(tmp_path)
    root.prepare()

    run = root.train()

    assert run.returncode == 1
    assert root.failure == "the channel `series` holds no customer; there is nothing to train"


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"run_id": "latest"}, "hyperparameter run_id must look like r20260131020000-0a1b2c, not 'latest'"),
        ({"horizon": "0"}, "hyperparameter horizon must be a whole number from 1 to 8784, not '0'"),
        ({"origins": "1.5"}, "hyperparameter origins must be a whole number from 0 to 100, not '1.5'"),
        (
            {"families": "prophet; rm"},
            "hyperparameter families cannot be 'prophet; rm': there is no family prophet; rm",
        ),
        ({"run_id": "r20261399000000-0a1b2c"}, "hyperparameter run_id must look like r20260131020000-0a1b2c"),
        ({"engine": "magic"}, "hyperparameter engine must be one of map, prophet, not 'magic'"),
        (
            {"customer_timeout_seconds": "nan"},
            "hyperparameter customer_timeout_seconds must be from 0.001 to 86400 seconds, not 'nan'",
        ),
    ],
)
def test_a_wrong_hyperparameter_is_named_in_the_failure(
    tmp_path: Path, hyperparameters: dict[str, str], message: str
) -> None:
    root = MlRoot(tmp_path)
    root.prepare(**hyperparameters)

    run = root.train()

    assert run.returncode == 1
    assert root.failure.startswith(message)
    assert "Traceback" not in run.stderr


def test_any_other_command_is_refused(tmp_path: Path) -> None:
    with MlRoot(tmp_path).start("serve") as process:
        _, errors = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "usage: python -m fleetcast_training train" in errors


def test_an_unreadable_object_fails_the_job_only_after_the_others(tmp_path: Path) -> None:
    """The retry then has only the broken object's customers left to do."""
    root = MlRoot(tmp_path)
    root.prepare()
    root.add_series("part-00001.parquet", {"lost": metered(30)}).write_bytes(b"PAR1 and then nothing")
    root.add_series("part-00002.parquet", {"kept": metered(30)})

    run = root.train()

    assert run.returncode == 1
    assert root.failure.startswith("part-00001.parquet cannot be read as prepared series: ")
    assert root.ledger()["kept"]["status"] == "trained"
