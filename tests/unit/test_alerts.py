"""The emails: what happened, to which run, why, and what to do now."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.static.answers import VERDICT
from tests.static.machines import DEFINITIONS, load, states

from fleetcast.domain.alerts import Alert, explain_failure, summarise_run
from fleetcast.domain.intake import Intake

RUN, ARN = "r20260131020000-0a1b2c", "arn:aws:states:us-east-1:123456789012:execution:fleetcast-retrain:x"


def explain(
    state: str = "TrainModels", error: str = "States.TaskFailed", cause: str = "why"
) -> dict[str, str]:
    return explain_failure("fleetcast", RUN, {state: {"Error": error, "Cause": cause}}, ARN)


@given(st.text(max_size=300), st.text())
def test_any_subject_is_one_that_sns_takes(subject: str, message: str) -> None:
    """Printable ASCII in one line; 100 characters at most."""
    alert = Alert(subject, message)

    assert len(alert.subject) <= 100
    assert all(" " <= character <= "~" for character in alert.subject)


def test_a_failure_says_state_reason_run_and_what_to_do() -> None:
    explained = explain(cause="the disk is full")

    assert explained["subject"] == f"Fleetcast fleetcast: run {RUN} FAILED in TrainModels"
    assert "Why: States.TaskFailed: the disk is full" in explained["message"]
    assert "What to do: The job's log is in /aws/sagemaker/TrainingJobs" in explained["message"]
    assert "The models that were serving before this run keep serving." in explained["message"]
    assert ARN in explained["message"]
    assert explained["cause"] == "TrainModels: the disk is full"


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        (
            {"errorMessage": "parameter x is 0", "errorType": "SettingError", "stackTrace": ["line 1"]},
            "parameter x is 0",
        ),
        (
            {"TrainingJobName": "fleetcast-train-0", "FailureReason": "AlgorithmError: no series"},
            "AlgorithmError: no series (job fleetcast-train-0)",
        ),
        (
            {"ProcessingJobName": "p-0", "ExitMessage": "no raw object", "FailureReason": "exit code 1"},
            "no raw object; exit code 1 (job p-0)",
        ),
        (
            {
                "Build": {
                    "Id": "b:1",
                    "BuildStatus": "FAILED",
                    "CurrentPhase": "BUILD",
                    "Logs": {"DeepLink": "https://l"},
                }
            },
            "build b:1 ended FAILED in phase BUILD, log: https://l",
        ),
    ],
    ids=["function", "training", "processing", "build"],
)
def test_the_sentence_is_picked_out_of_the_json_that_a_service_leaves(
    cause: dict[str, Any], sentence: str
) -> None:
    message = explain(cause=json.dumps(cause))["message"]

    assert sentence in message
    assert "stackTrace" not in message


@pytest.mark.parametrize(
    "cause",
    [
        "",
        "plain words",
        "{",
        "[1, 2]",
        "7",
        "null",
        '{"unknown": 1}',
        '{"Build": "b"}',
        '{"Build": {"Logs": "none"}}',
        '{"Build": []}',
        "[" * 100_000,
    ],
)
def test_any_other_cause_is_quoted(cause: str) -> None:
    explained = explain(cause=cause)

    assert explained["message"]
    assert explained["cause"].startswith("TrainModels: ")


@given(st.text(), st.text())
def test_no_cause_is_beyond_explaining(error: str, cause: str) -> None:
    assert explain(error=error, cause=cause)["subject"].isascii()


def test_a_cause_of_megabytes_fits_into_an_email_and_a_fail_state() -> None:
    """SNS takes 256 KB, a Fail state 32 KB."""
    explained = explain(cause="x" * 1_000_000)

    assert len(explained["message"].encode()) < 100_000
    assert len(explained["cause"].encode()) < 32_768


def test_a_failure_before_the_run_has_an_id_is_told_all_the_same() -> None:
    explained = explain_failure(
        "fleetcast", "not begun", {"InitiateRun": {"Error": "SettingError", "Cause": "c"}}, ARN
    )

    assert explained["subject"] == "Fleetcast fleetcast: run not begun FAILED in InitiateRun"


def test_a_failure_that_nobody_caught_is_told_all_the_same() -> None:
    assert explain_failure("fleetcast", RUN, {}, ARN)["state"] == "unknown"


def test_the_first_failure_is_the_one_that_is_told() -> None:
    failed = {
        "PrepareData": {"Error": "A", "Cause": "first"},
        "NotifyFailure": {"Error": "B", "Cause": "second"},
    }

    assert explain_failure("fleetcast", RUN, failed, ARN)["cause"] == "PrepareData: first"


def _caught() -> set[str]:
    definition = load(DEFINITIONS[0])
    paths = [catcher["ResultPath"] for _, state in states(definition) for catcher in state.get("Catch", [])]
    paths += [
        state["ResultPath"]
        for _, state in states(definition)
        if str(state.get("ResultPath")).startswith("$.failed")
    ]
    return {path.removeprefix("$.failed.") for path in paths if path.startswith("$.failed.")}


# Nobody can be told what to do about these: telling is what failed, or closing after the email was sent.
UNEXPLAINED = {"ExplainFailure", "NotifyFailure", "CloseFailedRun"}


@pytest.mark.parametrize("state", sorted(_caught() - UNEXPLAINED))
def test_every_state_that_can_fail_has_its_own_advice(state: str) -> None:
    assert "What to do: Look at the execution's history." not in explain(state)["message"]


def test_a_run_that_went_well_says_so_with_its_numbers() -> None:
    files = [{"key": "raw/a.csv", "status": "read", "rows": 3, "reason": ""}]
    verdict = {**VERDICT.to_document(), "customers": 1, "statuses": {"trained": 1}}

    alert = summarise_run("fleetcast", verdict, RUN, Intake(files))

    assert alert.subject == f"Fleetcast fleetcast: run {RUN} succeeded, 1 of 1 customers"
    assert alert.message.startswith(f"Run {RUN} of fleetcast succeeded.\n")
    assert "0.800 (below 1 is better than the naive)" in alert.message


def test_a_run_with_exceptions_says_how_many_and_which() -> None:
    files = [
        {"key": f"raw/{n}.csv", "status": "rejected", "rows": 0, "reason": "no column"} for n in range(25)
    ]

    message = summarise_run("fleetcast", VERDICT.to_document(), RUN, Intake(files)).message

    assert "succeeded with exceptions" in message
    assert "too_short" in message
    assert "Files that could not be read: 25 of 25" in message
    assert "raw/0.csv: no column" in message
    assert "and 5 more" in message


def test_files_read_with_a_remark_and_rows_of_nobody_are_exceptions_a_person_hears_of() -> None:
    files = [{"key": "raw/old.csv", "status": "read", "rows": 3, "reason": "not UTF-8: read as Windows-1252"}]
    verdict = {**VERDICT.to_document(), "customers": 1, "trained": 1, "statuses": {"trained": 1}}

    message = summarise_run("fleetcast", verdict, RUN, Intake(files, {"empty": 30, "too_long": 2})).message

    assert "succeeded with exceptions" in message
    assert "raw/old.csv: not UTF-8: read as Windows-1252" in message
    assert "Rows that belong to no customer and were left out: 32 (empty 30, too long 2)" in message


def test_a_rejected_run_says_why_and_what_serves() -> None:
    verdict = {**VERDICT.to_document(), "accepted": False, "reasons": ("a reason",), "error_ratio": None}

    alert = summarise_run("fleetcast", verdict, RUN, Intake())

    assert "rejected, the old models keep serving" in alert.message
    assert "Rejected because a reason." in alert.message
    assert "no customer could be compared" in alert.message


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("RegisterRun", "The models that were serving before this run keep serving."),
        ("PromoteRun", "Every customer is served, by a model of this run or by the one before."),
        ("CloseRun", "The models of this run are serving."),
        ("StartNextRun", "The models of this run are serving."),
    ],
)
def test_an_email_says_truly_which_models_serve(state: str, sentence: str) -> None:
    assert sentence in explain(state)["message"].splitlines()
