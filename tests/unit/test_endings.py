"""How a run ended, told in two ways."""

from tests.unit.function_support import sample

from fleetcast.domain.endings import parse_ending


def test_the_machine_tells_how_its_run_ended() -> None:
    event = sample("close_run")

    ending = parse_ending(event)

    assert (ending.execution_arn, ending.status) == (event["execution"], "SUCCEEDED")
    assert ending.facts == {"summary": event["summary"]}


def test_a_failed_run_brings_error_and_cause() -> None:
    ending = parse_ending(sample("close_run_failed"))

    assert ending.status == "FAILED"
    assert ending.facts.keys() == {"error", "cause"}


def test_an_execution_that_could_not_speak_is_told_of_by_an_event() -> None:
    event = sample("close_run_status_change")

    ending = parse_ending(event)

    assert (ending.execution_arn, ending.status) == (event["detail"]["executionArn"], "TIMED_OUT")
    assert ending.facts["error"] == "Unreported"
