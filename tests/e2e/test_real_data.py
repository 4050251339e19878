"""Real consumption of 326 customers, as it comes: gaps, zeros, stuck meters, absent years."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.product import Product, deployed_product

pytestmark = [pytest.mark.realdata, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def real_product(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Iterator[Product]:
    for product in deployed_product(tmp_path_factory.mktemp("real")):
        product.run("ingest", *map(str, sorted(real_data.glob("daily_*.csv.gz"))))
        product.run("retrain", "--wait", timeout=800)
        yield product


@pytest.fixture(scope="module")
def ledger(real_product: Product) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = real_product.read("fleet", "--limit", "1000")["worst"]
    return rows


def test_every_real_customer_has_a_ledger_row_and_most_have_a_model(ledger: list[dict[str, Any]]) -> None:
    statuses = Counter(row["status"] for row in ledger)

    assert len({row["customer_id"] for row in ledger}) == 326
    assert statuses["trained"] >= 300
    assert all(row["reason"] for row in ledger if row["status"] != "trained")


def test_every_real_customer_with_a_model_answers_over_http(
    real_product: Product, ledger: list[dict[str, Any]]
) -> None:
    answers = {row["customer_id"]: real_product.forecast(row["customer_id"]) for row in ledger}

    for row in ledger:
        status, answer = answers[row["customer_id"]]
        assert status == (200 if row["status"] == "trained" else 404), (row, answer)


def test_the_fleet_beats_the_seasonal_naive_in_its_backtest(real_product: Product) -> None:
    assert real_product.read("fleet", "--limit", "1")["error_ratio"] < 1
