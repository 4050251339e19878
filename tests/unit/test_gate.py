"""The ledger and the verdict: every customer is a row, and the fleet is judged by rows."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcast.domain.gate import Gate, LedgerRow, build_ledger, error_ratio
from fleetcast.domain.names import target_model

RUN = "r20260131020000-0a1b2c"
GATE = Gate(max_failed_share=0.1, max_error_ratio=1.0, minimum_customers=1)


def quality(customer_id: str, **changes: Any) -> dict[str, Any]:
    row = {
        "customer_id": customer_id,
        "status": "ready",
        "reason": "",
        "rows_read": 30,
        "rows_kept": 28,
        "duplicates": 1,
        "bad_timestamps": 0,
        "bad_values": 1,
        "negatives": 0,
        "first": "2026-01-01T00:00:00Z",
        "last": "2026-01-28T00:00:00Z",
        "fingerprint": "sha256:ab",
        "object": "part-00001.parquet",
    }
    return {**row, **changes}


def training(customer_id: str, status: str = "trained", **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"customer_id": customer_id, "status": status, "reason": "", "host": "algo-1"}
    if status == "trained":
        row |= {
            "family": "prophet",
            "trained_at": "2026-01-31T02:10:00Z",
            "horizon": 28,
            "origins": 1,
            "mae": 1.0,
            "naive_mae": 2.0,
            "bytes": 900,
            "seconds": 0.5,
        }
    return {**row, **changes}


def fleet(trained: int, **failures: int) -> list[LedgerRow]:
    customers = [training(f"ok{number}") for number in range(trained)]
    customers += [training(f"{s}{number}", s) for s, count in failures.items() for number in range(count)]
    return build_ledger(RUN, [quality(row["customer_id"]) for row in customers], customers)


def test_a_trained_customer_is_promoted_to_its_own_model() -> None:
    (row,) = build_ledger(RUN, [quality("a/b")], [training("a/b")])

    assert (row.status, row.decision, row.family) == ("trained", "promote", "prophet")
    assert row.model_key == target_model(RUN, "a/b")
    assert (row.rows_read, row.rows, row.duplicates, row.bad_values) == (30, 28, 1, 1)
    assert row.fingerprint == "sha256:ab"


def test_the_ledger_tells_how_a_model_was_made_and_what_was_done_to_its_data() -> None:
    outcome = training("a", engine="map", members="level3+ar", repairs={"stuck": 4, "outliers": 1})

    (row,) = build_ledger(RUN, [quality("a")], [outcome])

    assert (row.engine, row.members) == ("map", "level3+ar")
    assert (row.missing, row.outage, row.stuck, row.outliers) == (0, 0, 4, 1)


@pytest.mark.parametrize(
    "status", ["too_short", "no_valid_rows", "fit_failed", "timed_out", "out_of_memory", "crashed"]
)
def test_a_customer_that_could_not_be_trained_keeps_its_old_model(status: str) -> None:
    (row,) = build_ledger(RUN, [quality("42")], [training("42", status, reason="because")])

    assert (row.status, row.reason, row.decision, row.model_key) == (status, "because", "none", None)


def test_a_customer_without_usable_rows_says_why() -> None:
    (row,) = build_ledger(RUN, [quality("42", status="unusable", reason="every value is NaN")], [])

    assert (row.status, row.reason) == ("unusable", "every value is NaN")


def test_a_customer_no_host_reported_on_is_missing() -> None:
    (row,) = build_ledger(RUN, [quality("42")], [])

    assert (row.status, row.decision) == ("missing", "none")


def test_of_several_rows_the_trained_one_counts() -> None:
    """After an interruption another host may have tried again, in any order."""
    rows = [training("42", "crashed"), training("42"), training("42", "timed_out")]

    for order in (rows, rows[::-1]):
        assert build_ledger(RUN, [quality("42")], order)[0].status == "trained"


def test_rows_are_sorted_and_one_per_customer() -> None:
    ledger = build_ledger(RUN, [quality("b"), quality("a")], [training("c"), training("a")])

    assert [row.customer_id for row in ledger] == ["a", "b", "c"]


def test_a_good_fleet_is_accepted() -> None:
    verdict = GATE.judge(fleet(95, fit_failed=5))

    assert verdict.accepted
    assert (verdict.customers, verdict.trained, verdict.failed_share) == (100, 95, 0.05)
    assert verdict.error_ratio == pytest.approx(0.5)
    assert verdict.families == {"prophet": 95}


def test_exactly_the_allowed_share_is_accepted_and_one_more_is_not() -> None:
    assert GATE.judge(fleet(90, fit_failed=10)).accepted

    verdict = GATE.judge(fleet(89, fit_failed=11))
    assert not verdict.accepted
    assert verdict.reasons == ("11.0% of the customers failed, and gate/max_failed_share allows 10.0%",)


def test_customers_that_are_merely_too_short_do_not_count_as_failed() -> None:
    assert GATE.judge(fleet(10, too_short=90)).accepted


def test_a_fleet_worse_than_the_naive_is_rejected() -> None:
    ledger = build_ledger(RUN, [quality("42")], [training("42", mae=3.0, naive_mae=2.0)])

    verdict = GATE.judge(ledger)
    assert verdict.reasons == ("the error is 1.500 of the naive's, and gate/max_error_ratio allows 1",)


def test_a_fleet_without_a_single_model_is_rejected() -> None:
    verdict = GATE.judge(fleet(0, too_short=3))

    assert verdict.reasons == ("0 customers were trained, and gate/minimum_customers asks for 1",)


def test_an_empty_fleet_is_rejected_for_every_reason() -> None:
    verdict = GATE.judge([])

    assert not verdict.accepted
    assert verdict.failed_share == 1.0
    assert verdict.error_ratio is None


def test_every_reason_is_told_at_once() -> None:
    """Otherwise the operator learns of the second only after curing the first."""
    ledger = build_ledger(
        RUN, [quality(c) for c in "ab"], [training("a", mae=9.0), training("b", "fit_failed")]
    )
    assert len(Gate(0.1, 1.0, 2).judge(ledger).reasons) == 3


def test_the_ratio_is_the_geometric_mean() -> None:
    rows = build_ledger(
        RUN, [], [training("a", mae=1.0, naive_mae=2.0), training("b", mae=2.0, naive_mae=1.0)]
    )

    assert error_ratio(rows) == pytest.approx(1.0)


@pytest.mark.parametrize("mae", [None, 0.0, math.nan, math.inf])
@pytest.mark.parametrize("field", ["mae", "naive_mae"])
def test_a_customer_that_cannot_be_compared_does_not_drown_the_others(field: str, mae: float | None) -> None:
    """A NaN would even pass every threshold, and is no JSON for the state machine."""
    rows = build_ledger(RUN, [], [training("a", mae=1.0, naive_mae=2.0), {**training("b"), field: mae}])

    assert error_ratio(rows) == pytest.approx(0.5)


errors = st.none() | st.floats(min_value=0, max_value=1e300)


@given(
    st.lists(st.tuples(st.sampled_from(["trained", "too_short", "fit_failed"]), errors, errors), max_size=30)
)
def test_any_fleet_gets_a_verdict_that_adds_up(
    customers: list[tuple[str, float | None, float | None]],
) -> None:
    rows = [
        training(str(number), status, mae=mae, naive_mae=naive)
        for number, (status, mae, naive) in enumerate(customers)
    ]
    verdict = GATE.judge(build_ledger(RUN, [], rows))

    assert sum(verdict.statuses.values()) == verdict.customers == len(customers)
    assert 0 <= verdict.failed_share <= 1
    assert verdict.accepted == (not verdict.reasons)
    assert verdict.error_ratio is None or math.isfinite(verdict.error_ratio)
