"""A release is a change of pointer: conditional, repeatable, and with a way back."""

from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleetcast.adapters.clients import client
from fleetcast.adapters.items import from_item
from fleetcast.adapters.pointer_cache import PointerCache
from fleetcast.adapters.pointer_table import PointerTable
from fleetcast.domain.names import target_model
from fleetcast.domain.pointers import Release
from fleetcast.errors import UnknownCustomer

FIRST = Release(
    run_id="r20260131020000-0a1b2c",
    key="r20260131020000-0a1b2c/42.tar.gz",
    family="prophet",
    training_end="2026-01-30T00:00:00Z",
    trained_at="2026-01-31T02:10:00Z",
    mae=1.25,
    naive_mae=2.0,
    fingerprint="sha256:ab",
)
SECOND = replace(FIRST, run_id="r20260207020000-0a1b2c", key="r20260207020000-0a1b2c/42.tar.gz", mae=None)
HOSTILE = ["../../etc", "a/b", "Ünï ¢ode", "🔌" * 128, " ", "'; DROP TABLE", "null", "%2e%2e"]


@pytest.fixture
def pointers(pointer_table: str) -> PointerTable:
    return PointerTable(pointer_table)


def item(customer_id: str) -> dict[str, Any]:
    answer = client("dynamodb").get_item(TableName="pointers", Key={"customer_id": {"S": customer_id}})
    return from_item(answer.get("Item", {}))


def test_a_customer_without_a_model_is_unknown(pointers: PointerTable) -> None:
    with pytest.raises(UnknownCustomer, match="customer '42' has no released model"):
        pointers.get("42")


def test_the_first_release_has_no_previous_one(pointers: PointerTable) -> None:
    assert pointers.promote([("42", FIRST)], by=FIRST.run_id) == 1

    assert pointers.get("42") == FIRST
    assert item("42").get("previous") is None
    assert item("42")["updated_by"] == FIRST.run_id


def test_the_second_release_keeps_the_first_as_the_previous_one(pointers: PointerTable) -> None:
    pointers.promote([("42", FIRST)], by=FIRST.run_id)

    assert pointers.promote([("42", SECOND)], by=SECOND.run_id) == 1

    assert pointers.get("42") == SECOND
    assert item("42")["previous"] == FIRST.to_document()


def test_a_repeated_release_changes_nothing(pointers: PointerTable) -> None:
    """PromoteRun is retried: a second write would make a model its own predecessor, and rollback a no-op."""
    pointers.promote([("42", FIRST)], by=FIRST.run_id)
    pointers.promote([("42", SECOND)], by=SECOND.run_id)
    before = item("42")

    assert pointers.promote([("42", SECOND)], by=SECOND.run_id) == 0

    assert item("42") == before


def test_a_batch_counts_the_pointers_that_moved(pointers: PointerTable) -> None:
    batch = [(str(number), FIRST) for number in range(40)]
    pointers.promote(batch[:10], by=FIRST.run_id)

    assert pointers.promote(batch, by=FIRST.run_id) == 30


@pytest.mark.parametrize("customer_id", HOSTILE)
def test_any_text_is_a_customer(pointers: PointerTable, customer_id: str) -> None:
    release = replace(FIRST, key=target_model(FIRST.run_id, customer_id))
    pointers.promote([(customer_id, release)], by=FIRST.run_id)

    assert pointers.get(customer_id) == release


@pytest.mark.parametrize("mae", [0.1, 1e-9, 123456789.123456, 5.0, 0.0, 1 / 3])
def test_an_error_survives_the_table_to_the_last_digit(pointers: PointerTable, mae: float) -> None:
    pointers.promote([("42", replace(FIRST, mae=mae))], by=FIRST.run_id)

    assert pointers.get("42").mae == mae


def test_a_table_that_refuses_is_an_error_and_not_a_customer_left_out(pointers: PointerTable) -> None:
    client("dynamodb").delete_table(TableName="pointers")

    with pytest.raises(ClientError, match="ResourceNotFound"):
        pointers.promote([("42", FIRST)], by=FIRST.run_id)


class Source:
    """Pointers in memory, and how often they were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.releases = {"42": FIRST, "43": SECOND}

    def get(self, customer_id: str) -> Release:
        self.asked.append(customer_id)
        if customer_id not in self.releases:
            raise UnknownCustomer(customer_id, "customer_id")
        return self.releases[customer_id]


def test_a_pointer_is_remembered_for_so_many_seconds() -> None:
    now, source = [100.0], Source()
    cache = PointerCache(source, 30, clock=lambda: now[0])

    assert cache.get("42") == FIRST
    source.releases["42"] = SECOND
    now[0] = 129.9
    assert cache.get("42") == FIRST
    now[0] = 130.0
    assert cache.get("42") == SECOND
    assert source.asked == ["42", "42"]


def test_zero_seconds_remember_nothing() -> None:
    source = Source()
    cache = PointerCache(source, 0)
    cache.get("42")
    cache.get("42")

    assert source.asked == ["42", "42"]


def test_an_unknown_customer_is_asked_for_again() -> None:
    source = Source()
    cache = PointerCache(source, 30)
    for _ in range(2):
        with pytest.raises(UnknownCustomer):
            cache.get("44")
    source.releases["44"] = FIRST

    assert cache.get("44") == FIRST


def test_the_least_recently_used_pointer_leaves_first() -> None:
    source = Source()
    source.releases |= {"44": FIRST}
    cache = PointerCache(source, 30, size=2)
    for customer_id in ("42", "43", "42", "44", "42", "43"):
        cache.get(customer_id)

    assert source.asked == ["42", "43", "44", "43"]
