"""The lock: one run at a time, whatever arrives, and however often."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleetcast.adapters.clients import client
from fleetcast.adapters.items import from_item
from fleetcast.adapters.run_table import LOCK, RunTable
from fleetcast.domain.triggers import Trigger
from fleetcast.errors import RunInProgress

Start = Callable[[], str]
DATA, SCHEDULE, MANUAL = (
    Trigger("data", "new data"),
    Trigger("schedule", "at 3"),
    Trigger("manual", "by hand"),
)
QUEUED = Trigger("queued", "asked for during run r1")
PARAMETER = Trigger("parameter", "changed parameter")


@pytest.fixture
def table(run_table: str) -> RunTable:
    return RunTable(run_table)


def read(run_id: str) -> dict[str, Any]:
    return from_item(
        client("dynamodb").get_item(TableName="runs", Key={"run_id": {"S": run_id}}).get("Item", {})
    )


def begin_to_read_data(execution: str) -> None:
    """What the state CloseIntake does."""
    client("dynamodb").update_item(
        TableName="runs",
        Key={"run_id": {"S": LOCK}},
        UpdateExpression="SET phase = :running",
        ConditionExpression="execution_arn = :mine",
        ExpressionAttributeValues={":running": {"S": "running"}, ":mine": {"S": execution}},
    )


@pytest.mark.parametrize("trigger", [DATA, SCHEDULE, MANUAL, QUEUED, PARAMETER], ids=lambda t: t.kind)
def test_the_first_to_ask_gets_the_lock(table: RunTable, execution: Start, trigger: Trigger) -> None:
    arn = execution()

    assert table.acquire("r1", arn, trigger) == ("acquired", "r1")

    lock = read(LOCK)
    assert (lock["holder"], lock["execution_arn"], lock["phase"], lock["again"]) == (
        "r1",
        arn,
        "collecting",
        False,
    )


def test_the_same_event_twice_starts_one_run(table: RunTable, execution: Start) -> None:
    event = Trigger("data", "new data", "17793124-05d4-b198")
    table.acquire("r1", execution(), event)

    assert table.acquire("r2", execution(), event)[0] == "duplicate"
    assert read(LOCK)["holder"] == "r1"


def test_an_event_is_still_known_after_its_run_has_ended(table: RunTable, execution: Start) -> None:
    event, arn = Trigger("schedule", "at 3", "0f6f2c1a"), execution()
    table.acquire("r1", arn, event)
    table.close(arn, "SUCCEEDED", {})

    assert table.acquire("r2", execution(), event)[0] == "duplicate"


def test_a_remembered_event_leaves_the_table_by_itself(table: RunTable, execution: Start) -> None:
    table.acquire("r1", execution(), Trigger("data", "new data", "e1"))

    assert read("event#e1")["expires_at"] > 0


@pytest.mark.parametrize("trigger", [DATA, PARAMETER], ids=lambda t: t.kind)
def test_what_arrives_while_a_run_collects_joins_it(
    table: RunTable, execution: Start, trigger: Trigger
) -> None:
    table.acquire("r1", execution(), DATA)

    assert table.acquire("r2", execution(), trigger) == ("joined", "r1")
    assert read(LOCK)["again"] is False


@pytest.mark.parametrize("trigger", [DATA, PARAMETER, SCHEDULE, QUEUED], ids=lambda t: t.kind)
def test_what_arrives_while_a_run_reads_data_asks_for_the_next(
    table: RunTable, execution: Start, trigger: Trigger
) -> None:
    arn = execution()
    table.acquire("r1", arn, DATA)
    begin_to_read_data(arn)

    assert table.acquire("r2", execution(), trigger) == ("queued", "r1")
    assert table.close(arn, "SUCCEEDED", {}) == ("r1", True)


def test_data_that_was_stored_before_a_run_began_is_already_in_it(table: RunTable, execution: Start) -> None:
    """Events come late; a run that lists raw/ after the data was stored must not be followed by another."""
    mine = execution()
    table.acquire("r1", mine, MANUAL)
    begin_to_read_data(mine)
    now = datetime.now(UTC)
    early = Trigger("data", "new data", "early", now - timedelta(minutes=1))
    late = Trigger("data", "new data", "late", now + timedelta(minutes=1))

    assert table.acquire("r2", execution(), early) == ("joined", "r1")
    assert table.acquire("r3", execution(), late) == ("queued", "r1")


def test_several_events_during_a_run_ask_for_one_more_run(table: RunTable, execution: Start) -> None:
    arn = execution()
    table.acquire("r1", arn, DATA)
    begin_to_read_data(arn)
    for number in range(3):
        assert table.acquire(f"r{number}", execution(), DATA)[0] == "queued"
    table.close(arn, "SUCCEEDED", {})

    following = execution()
    assert table.acquire("r9", following, QUEUED)[0] == "acquired"
    assert table.close(following, "SUCCEEDED", {}) == ("r9", False)


def test_a_person_is_told_which_run_is_in_progress(table: RunTable, execution: Start) -> None:
    arn = execution()
    table.acquire("r1", arn, DATA)
    begin_to_read_data(arn)

    with pytest.raises(RunInProgress, match=rf"run r1 is in progress .* stop its execution {arn}"):
        table.acquire("r2", execution(), MANUAL)
    assert read(LOCK)["holder"] == "r1"


@pytest.mark.parametrize("trigger", [MANUAL, SCHEDULE], ids=lambda t: t.kind)
def test_a_run_that_need_not_wait_takes_the_place_of_one_that_collects(
    table: RunTable, execution: Start, trigger: Trigger
) -> None:
    waiting, asked = execution(), execution()
    table.acquire("r1", waiting, DATA)

    assert table.acquire("r2", asked, trigger) == ("acquired", "r2")
    assert read(LOCK)["execution_arn"] == asked
    # The run that was waiting finds out when it wants to begin, and leaves without touching the lock.
    with pytest.raises(client("dynamodb").exceptions.ConditionalCheckFailedException):
        begin_to_read_data(waiting)
    assert table.close(waiting, "SUCCEEDED", {}) == (None, False)
    assert read(LOCK)["holder"] == "r2"


def test_a_lock_whose_execution_is_gone_is_taken_over(table: RunTable, execution: Start) -> None:
    dead, alive = execution(), execution()
    table.acquire("r1", dead, DATA)
    begin_to_read_data(dead)
    client("stepfunctions").stop_execution(executionArn=dead)

    assert table.acquire("r2", alive, MANUAL) == ("acquired", "r2")
    assert read("r1")["status"] == "ABORTED"
    assert read(LOCK)["execution_arn"] == alive


def test_a_lock_whose_execution_aws_has_forgotten_is_taken_over(table: RunTable, execution: Start) -> None:
    forgotten = execution().rpartition(":")[0] + ":00000000-0000-0000-0000-000000000000"
    table.acquire("r1", forgotten, DATA)
    begin_to_read_data(forgotten)

    assert table.acquire("r2", execution(), SCHEDULE) == ("acquired", "r2")


def test_data_does_not_join_a_run_that_died_while_it_collected(table: RunTable, execution: Start) -> None:
    """It died while it waited, and nobody heard of it: what joined it would never be read."""
    dead = execution()
    table.acquire("r1", dead, DATA)
    client("stepfunctions").stop_execution(executionArn=dead)
    client("dynamodb").update_item(
        TableName="runs",
        Key={"run_id": {"S": LOCK}},
        UpdateExpression="SET since = :then",
        ExpressionAttributeValues={":then": {"S": "2026-01-31T02:00:00+00:00"}},
    )

    assert table.acquire("r2", execution(), DATA) == ("acquired", "r2")


def test_a_retry_of_the_same_execution_keeps_its_run_id(table: RunTable, execution: Start) -> None:
    """Its first attempt may have taken the lock and died before it could say so."""
    arn, event = execution(), Trigger("data", "new data", "e1")
    table.acquire("r1", arn, event)

    assert table.acquire("r2", arn, event) == ("acquired", "r1")


def test_closing_writes_the_record_and_frees_the_lock(table: RunTable, execution: Start) -> None:
    arn = execution()
    table.acquire("r1", arn, DATA)

    assert table.close(arn, "FAILED", {"error": "JobStopped", "cause": "out of time"}) == ("r1", False)

    record = read("r1")
    assert (record["status"], record["error"], record["cause"]) == ("FAILED", "JobStopped", "out of time")
    assert record["ended_at"]
    assert read(LOCK) == {}


def test_closing_keeps_what_the_record_already_says(table: RunTable, execution: Start) -> None:
    arn = execution()
    table.acquire("r1", arn, DATA)
    client("dynamodb").put_item(TableName="runs", Item={"run_id": {"S": "r1"}, "reason": {"S": "new data"}})

    table.close(arn, "SUCCEEDED", {"summary": {"trained": 3, "error_ratio": 0.87, "reasons": []}})

    assert read("r1")["reason"] == "new data"
    assert read("r1")["summary"] == {"trained": 3, "error_ratio": 0.87, "reasons": []}


def test_a_repeated_close_still_knows_that_another_run_was_asked_for(
    table: RunTable, execution: Start
) -> None:
    """The answer to the first one may be lost; the wish must not be."""
    mine = execution()
    table.acquire("r1", mine, MANUAL)
    begin_to_read_data(mine)
    table.acquire("r2", execution(), DATA)

    assert table.close(mine, "SUCCEEDED", {}, "r1") == ("r1", True)
    assert table.close(mine, "SUCCEEDED", {}, "r1") == ("r1", True)


def test_the_last_successful_run_is_the_newest_that_succeeded(table: RunTable, execution: Start) -> None:
    assert table.last_successful() is None
    for run_id, status in (("r1", "SUCCEEDED"), ("r2", "SUCCEEDED"), ("r3", "FAILED")):
        mine = execution()
        table.acquire(run_id, mine, MANUAL)
        table.close(mine, status, {})

    assert table.last_successful() == "r2"


def test_closing_twice_changes_nothing(table: RunTable, execution: Start) -> None:
    """The machine closes its run, and so does the event that reports the end of the execution."""
    arn = execution()
    table.acquire("r1", arn, DATA)
    table.close(arn, "FAILED", {"error": "JobStopped"})

    assert table.close(arn, "FAILED", {"error": "Unreported"}) == (None, False)
    assert read("r1")["error"] == "JobStopped"


def test_an_execution_closes_only_its_own_run(table: RunTable, execution: Start) -> None:
    table.acquire("r1", execution(), DATA)

    assert table.close(execution(), "ABORTED", {}) == (None, False)
    assert read(LOCK)["holder"] == "r1"


def test_a_lock_that_changes_hands_while_its_run_is_closed_stays(
    table: RunTable, execution: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading and deleting it, another execution may take it over."""
    arn, other = execution(), execution()
    table.acquire("r1", arn, DATA)
    finish = table._finish

    def overtaken(run_id: str, facts: dict[str, Any]) -> None:
        finish(run_id, facts)
        table.acquire("r2", other, MANUAL)

    monkeypatch.setattr(table, "_finish", overtaken)

    assert table.close(arn, "SUCCEEDED", {})[1] is False
    assert read(LOCK)["holder"] == "r2"


def test_of_many_that_ask_at_once_one_gets_the_lock(table: RunTable, execution: Start) -> None:
    arns, outcomes = [execution() for _ in range(8)], list[str]()

    def ask(number: int) -> None:
        outcomes.append(table.acquire(f"r{number}", arns[number], DATA)[0])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["acquired", *["joined"] * 7]


def test_health_sees_who_holds_the_lock(table: RunTable, execution: Start) -> None:
    assert table.holder() is None

    table.acquire("r1", execution(), DATA)

    lock = table.holder()
    assert lock
    assert lock["holder"] == "r1"
