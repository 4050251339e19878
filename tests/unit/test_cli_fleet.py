"""The fleet after a run: counted, the worst first, and readable however many customers there are."""

import io
import time
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.conftest import RunningCloud
from tests.unit.cli_stage import Stage, stand_up

from fleetcast.domain.gate import build_ledger
from fleetcast_cli.fleet import explain_customer

pytestmark = pytest.mark.timeout(120)
RUN, OLD, LARGE, FAILED = (f"r2026010{day}120000-abcdef" for day in (3, 2, 1, 4))
BROKEN = {"rows_kept": 720, "duplicates": 4, "bad_timestamps": 3, "bad_values": 2}
HOSTILE = "\x1b[2J[red]evil[/red]"


def quality(customer: str, **more: Any) -> dict[str, Any]:
    return {
        "customer_id": customer,
        "status": "ready",
        "rows_read": 730,
        "rows_kept": 730,
        "last": "2025-12-31T00:00:00Z",
        **more,
    }


def training(customer: str, **more: Any) -> dict[str, Any]:
    return {
        "customer_id": customer,
        "status": "trained",
        "family": "prophet",
        "mae": 1.0,
        "naive_mae": 2.0,
        **more,
    }


def put_ledger(stage: Stage, run_id: str, table: pa.Table) -> None:
    body = io.BytesIO()
    parquet.write_table(table, body)
    stage.put("DataBucketName", f"ledger/run_id={run_id}/part-0.parquet", body.getvalue())


@pytest.fixture(scope="module")
def stage(cloud: RunningCloud) -> Stage:
    stage = stand_up(cloud)
    checks = [quality("good"), quality("poor", **BROKEN), quality("short", rows_kept=3), quality(HOSTILE)]
    checks.append(quality("gone", status="unusable", reason="every value is empty"))
    outcomes = [
        training("good"),
        training("poor", family="seasonal_naive", mae=8.0, naive_mae=4.0),
        training("short", status="too_short", reason="3 usable rows", family=None, mae=None, naive_mae=None),
        training(HOSTILE, mae=0.0),
    ]
    rows = [row.to_document() for row in build_ledger(RUN, checks, outcomes)]
    put_ledger(stage, RUN, pa.Table.from_pylist(rows))
    put_ledger(
        stage,
        OLD,
        pa.Table.from_pylist([row | {"run_id": OLD} for row in rows if row["customer_id"] == "good"]),
    )
    for run_id, status in ((RUN, "SUCCEEDED"), (OLD, "SUCCEEDED"), (FAILED, "FAILED")):
        stage.put_item(
            "RunTableName", {"run_id": run_id, "status": status, "started_at": "2026-01-01T00:00:00Z"}
        )
    stage.put_item(
        "PointerTableName",
        {"customer_id": "good", "champion": champion(), "updated_at": "now", "updated_by": RUN},
    )
    return stage


def champion(run_id: str = RUN) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "key": f"{run_id}/good.tar.gz",
        "family": "prophet",
        "training_end": "2025-12-31T00:00:00Z",
        "trained_at": "2026-01-03T12:01:00Z",
        "mae": 1.0,
        "naive_mae": 2.0,
        "fingerprint": "sha256:1",
    }


def test_the_latest_run_that_succeeded_is_counted(stage: Stage) -> None:
    report = stage.read("fleet")

    assert report["run_id"] == RUN
    assert report["statuses"] == {"trained": 3, "too_short": 1, "unusable": 1}
    assert report["families"] == {"prophet": 2, "seasonal_naive": 1}
    assert report["error_ratio"] == pytest.approx(
        1.0
    )  # the geometric mean of 1/2 and 8/4; zero errors do not count


def test_customers_without_a_model_come_first_then_the_worst_ratio(stage: Stage) -> None:
    order = [row["customer_id"] for row in stage.read("fleet")["worst"]]

    assert order == ["gone", "short", "poor", "good", HOSTILE]


@pytest.mark.parametrize(
    ("arguments", "customers"),
    [
        (["--status", "too_short"], ["short"]),
        (["--status", "too_short", "--status", "unusable"], ["gone", "short"]),
        (["--family", "seasonal_naive"], ["poor"]),
        (["--limit", "1"], ["gone"]),
        (["--status", "nonsense"], []),
        (["--run", OLD], ["good"]),
    ],
)
def test_the_table_can_be_narrowed(stage: Stage, arguments: list[str], customers: list[str]) -> None:
    report = stage.read("fleet", *arguments)

    assert [row["customer_id"] for row in report["worst"]] == customers
    assert stage.fleetcast("fleet", *arguments).exit_code == 0


def test_a_filter_that_matches_nobody_says_what_there_is(stage: Stage) -> None:
    shown = stage.fleetcast("fleet", "--status", "nonsense", "--status", "rubbish").stdout
    both = stage.fleetcast("fleet", "--status", "too_short", "--family", "prophet").stdout

    assert "no customer of status nonsense or rubbish: its statuses are trained, too_short, unusable" in shown
    assert "no customer of status too_short and family prophet" in both
    assert "its families are prophet, seasonal_naive" in both
    assert "no customer" not in stage.fleetcast("fleet", "--status", "trained", "--limit", "0").stdout


def test_a_customers_name_cannot_steer_the_terminal(stage: Stage) -> None:
    shown = stage.fleetcast("fleet").stdout

    assert "\x1b" not in shown
    assert "[red]evil[/red]" in shown


@pytest.mark.parametrize("run_id", ["nonsense", "../raw"])
def test_what_is_no_run_id_is_refused(stage: Stage, run_id: str) -> None:
    assert stage.fleetcast("fleet", "--run", run_id).exit_code == 2


def test_a_run_that_was_never_judged_has_no_fleet(stage: Stage) -> None:
    done = stage.fleetcast("fleet", "--run", FAILED)

    assert done.exit_code == 1
    assert "it was never judged" in done.stderr


def test_a_fleet_of_100_000_stays_short_and_quick(stage: Stage) -> None:
    size = 100_000
    numbers = pa.array(range(size))
    rows = {
        name: pa.repeat(value, size)
        for name, value in (("status", "trained"), ("family", "prophet"), ("reason", ""))
    }
    rows |= {
        "customer_id": numbers.cast(pa.string()),
        "rows": numbers,
        "mae": numbers.cast(pa.float64()),
        "naive_mae": pa.repeat(9.0, size),
    }
    put_ledger(stage, LARGE, pa.table(rows))

    began = time.monotonic()
    done = stage.fleetcast("fleet", "--run", LARGE)

    assert time.monotonic() - began < 5
    assert len(done.stdout.splitlines()) < 45
    assert "20 of 100,000 customers shown" in done.stderr


def test_one_customer_is_explained(stage: Stage) -> None:
    facts = stage.read("show", "good")

    assert facts["model"]["run_id"] == RUN
    assert [row["run_id"] for row in facts["runs"]] == [RUN, OLD]
    assert "is served by a prophet model" in facts["explanation"]
    assert "0.50 of the seasonal naive's" in stage.fleetcast("show", "good").stdout


def test_what_was_wrong_with_a_customers_rows_is_counted(stage: Stage) -> None:
    lines = [line.strip() for line in stage.fleetcast("show", "poor").stdout.splitlines()]

    (header,) = [number for number, line in enumerate(lines) if "Duplicates" in line]
    columns = ("Rows read", "Rows used", "Duplicates", "Bad timestamps", "Bad values")
    assert all(column in lines[header] for column in columns)
    assert lines[header + 2].split()[:6] == [RUN, "730", "720", "4", "3", "2"]


def test_a_customer_without_a_model_is_told_why(stage: Stage) -> None:
    assert (
        f"has no model: run {RUN} says too_short (3 usable rows)" in stage.fleetcast("show", "short").stdout
    )


def test_an_unknown_customer_is_an_error(stage: Stage) -> None:
    done = stage.fleetcast("show", "nobody")

    assert done.exit_code == 1
    assert "'nobody' is unknown" in done.stderr


@pytest.mark.parametrize(
    ("model", "rows", "sentence"),
    [
        (None, [], "no run has seen this customer"),
        (
            champion(OLD),
            [{"run_id": RUN, "status": "fit_failed", "reason": "all zero"}],
            "did not replace it: fit_failed (all zero)",
        ),
        (champion(RUN), [{"run_id": OLD, "status": "fit_failed", "reason": ""}], "is served by"),
        (champion() | {"mae": None}, [], "until 2025-12-31T00:00:00Z."),
    ],
    ids=["never-seen", "newer-run-failed", "older-run-failed", "no-backtest"],
)
def test_the_explanation_fits_the_case(
    model: Mapping[str, Any] | None, rows: list[dict[str, Any]], sentence: str
) -> None:
    explanation = explain_customer("7", dict(model) if model else None, rows)

    assert sentence in explanation
    assert ("did not replace" in explanation) == ("did not replace" in sentence)
