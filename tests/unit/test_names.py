"""Names tie a run together; customers choose theirs freely."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcast.domain.names import (
    MAX_CUSTOMER_ID,
    RUN_ID,
    artifact_name,
    check_customer_id,
    new_run_id,
    target_model,
)
from fleetcast.errors import RequestError

customers = st.text(st.characters(codec="utf-8", min_codepoint=32), min_size=1, max_size=MAX_CUSTOMER_ID)


def test_run_ids_sort_by_time_and_are_legal_everywhere() -> None:
    early = new_run_id(datetime(2026, 1, 31, 2, 0, 0, tzinfo=UTC))
    late = new_run_id(datetime(2026, 1, 31, 2, 0, 1, tzinfo=UTC))

    assert early.startswith("r20260131020000-")
    assert early < late
    assert RUN_ID.fullmatch(early)


def test_a_run_id_is_in_universal_time() -> None:
    berlin = timezone(timedelta(hours=1))
    assert new_run_id(datetime(2026, 1, 31, 2, 0, 0, tzinfo=berlin)).startswith("r20260131010000-")


def test_runs_of_one_second_differ() -> None:
    assert len({new_run_id(datetime(2026, 1, 31, tzinfo=UTC)) for _ in range(50)}) == 50


@pytest.mark.parametrize("customer_id", ["", "x" * 129, "a\nb", "\x00", "\ud800", "tab\t"])
def test_what_is_no_id_is_refused_with_its_field(customer_id: str) -> None:
    with pytest.raises(RequestError, match="customer_id must") as raised:
        check_customer_id(customer_id)
    assert raised.value.field == "customer_id"


@given(customers)
def test_any_other_text_is_an_id(customer_id: str) -> None:
    assert check_customer_id(customer_id) == customer_id


@given(customers)
def test_an_artifact_is_one_plain_visible_file(customer_id: str) -> None:
    name = artifact_name(customer_id)

    assert re.fullmatch(r"[A-Za-z0-9_.%~-]+\.tar\.gz", name)
    assert len(name) <= 220
    assert not name.startswith(".")
    assert name.removesuffix(".tar.gz") not in ("", ".", "..")


@given(customers, customers)
def test_two_customers_never_share_an_artifact(one: str, other: str) -> None:
    assert (artifact_name(one) == artifact_name(other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a/b", "a%2Fb"),
        ("~", "%7E"),
        (".", "%2E"),
        ("..", "%2E."),
        ("é", "e\u0301"),
        ("a", "A"),
        (" ", "%20"),
    ],
)
def test_ids_that_look_alike_once_encoded_are_kept_apart(one: str, other: str) -> None:
    assert artifact_name(one) != artifact_name(other)


@pytest.mark.parametrize("character", ["🔌", "%", "é"])
def test_long_ids_that_begin_alike_are_kept_apart(character: str) -> None:
    one, other = character * 127 + "1", character * 127 + "2"
    assert artifact_name(one) != artifact_name(other)
    assert len(artifact_name(one)) <= 208


def test_a_target_model_is_the_key_below_models() -> None:
    assert target_model("r20260131020000-0a1b2c", "a/b") == "r20260131020000-0a1b2c/a%2Fb.tar.gz"
