"""Why a run starts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.function_support import sample

from fleetcast.domain.triggers import parse_trigger

KEYS = ("source", "detail-type", "detail", "id", "time", "after", "reason", "object", "key", "name")


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("execution_new_data", "data", "new data: raw/readings-2026-01.csv.gz"),
        (
            "execution_changed_parameter",
            "parameter",
            "changed parameter: /fleetcast/fleetcast/training/horizon",
        ),
        ("execution_schedule", "schedule", "schedule at 2026-01-31T03:00:00Z"),
        ("execution_queued", "queued", "asked for during execution r20260131020000-0a1b2c"),
        ("execution_manual", "manual", "new tariff zones, asked for by the data team"),
    ],
)
def test_every_way_to_start_a_run_is_recognised(name: str, kind: str, reason: str) -> None:
    trigger = parse_trigger(sample(name))

    assert (trigger.kind, trigger.reason) == (kind, reason)


@pytest.mark.parametrize("name", ["execution_new_data", "execution_changed_parameter", "execution_schedule"])
def test_events_carry_the_id_by_which_a_second_delivery_is_known(name: str) -> None:
    assert parse_trigger(sample(name)).event_id == sample(name)["id"]


def test_a_scheduler_that_fills_nothing_in_has_no_id() -> None:
    """Otherwise every firing would be a repetition of the first."""
    event = {**sample("execution_schedule"), "id": "<aws.scheduler.execution-id>"}

    assert parse_trigger(event).event_id == ""


def test_a_person_who_sends_an_id_is_not_taken_for_a_repetition() -> None:
    assert parse_trigger({"id": "1", "reason": "again"}).event_id == ""


def test_only_what_may_come_in_numbers_waits_for_more() -> None:
    settling = {name for name in _kinds() if parse_trigger(sample(name)).settles}
    assert settling == {"execution_new_data", "execution_changed_parameter"}


def test_only_a_person_is_told_instead_of_queued() -> None:
    refused = {name for name in _kinds() if not parse_trigger(sample(name)).may_queue}
    assert refused == {"execution_manual"}


def _kinds() -> list[str]:
    return [f"execution_{kind}" for kind in ("new_data", "changed_parameter", "schedule", "queued", "manual")]


@pytest.mark.parametrize(
    "event",
    [{}, {"reason": None}, {"reason": ""}, {"source": "somebody.else"}, {"detail": None}, [], "now", 7, None],
)
def test_whatever_else_is_sent_counts_as_started_by_hand(event: object) -> None:
    assert parse_trigger(event).kind == "manual"
    assert parse_trigger(event).reason == "started by hand"


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(KEYS), _JSON, max_size=6), st.sampled_from(["aws.s3", "aws.ssm", "x"]))
def test_any_object_is_a_trigger_with_a_reason(event: dict[str, object], source: str) -> None:
    trigger = parse_trigger({**event, "source": source})

    assert isinstance(trigger.reason, str)
    assert trigger.reason
