"""The emails: what happened, to which run, why, and what to do now."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleetcast.domain.intake import Intake

_SUBJECT_LENGTH = 100  # SNS refuses longer subjects, and anything but printable ASCII
_CAUSE_LENGTH = 8_000

# What usually helps, by the state that failed.
_ADVICE = {
    "InitiateRun": "Read the sentence above: a parameter or the stack itself is at fault. Correct it and start a run.",
    "CloseIntake": "DynamoDB did not answer. Start a run again; if it fails again, look at the run table's metrics.",
    "RecordRun": "DynamoDB did not answer. Start a run again; if it fails again, look at the run table's metrics.",
    "NotifyStart": "The alert topic refused the message. Check the topic, its policy and its key, then start a run.",
    "BuildImages": "Open the build's log in CodeBuild (project names are in the stack), correct it, and start a run.",
    "PrepareData": "Put .csv, .csv.gz or .parquet files under raw/ in the data bucket, each with the columns that the"
    " parameters data/*_column name. The job's log is in /aws/sagemaker/ProcessingJobs. A ResourceLimitExceeded is a"
    " quota: ask AWS for one instance of data/instance_type for processing jobs.",
    "TrainModels": "The job's log is in /aws/sagemaker/TrainingJobs. If it ran out of time, raise"
    " training/max_runtime_seconds or training/instance_count. A ResourceLimitExceeded is a quota: ask AWS for"
    " training/instance_count (spot) instances of training/instance_type for training jobs.",
    "DescribeTraining": "SageMaker did not answer. Start a run again.",
    "EvaluateRun": "The function's log says which file it could not read.",
    "RegisterRun": "The model registry refused the run. Its metrics are under runs/<run>/ in the data bucket.",
    "EnsureEndpoint": "The endpoint goes on with its former configuration, if it had one. The container's log is in"
    " /aws/sagemaker/Endpoints; correct the serving image or the serving/ parameters, then start a run. A"
    " ResourceLimitExceeded is a quota: ask AWS for serving/instance_type instances for endpoints.",
    "PromoteRun": "Some customers may already have the new model, the others keep the old one; both work."
    " Start a run again to move the rest.",
    "NotifySuccess": "The models are released; only the email failed. Check the alert topic.",
    "NotifyRejection": "The gate rejected the run, and the email about it failed. The reasons are in"
    " runs/<run>/metrics.json; check the alert topic.",
    "CloseRejectedRun": "The gate rejected the run, and its record could not be written. The function's log says why.",
    "CloseRun": "The models are released; only the run's record could not be written. The function's log says why.",
    "StartRunAfterRejection": "The gate rejected the run, and the one that was asked for meanwhile did not start.",
    "StartRunAfterFailure": "The run that was asked for meanwhile did not start either: start one.",
    "StartNextRun": "The models are released, but the run that was asked for meanwhile did not start: start one.",
}
_AFTER_RELEASE = frozenset(("NotifySuccess", "CloseRun", "StartNextRun"))
_ENDPOINT_STATES = frozenset(
    (
        *("PlanEndpoint", "DeleteFailedEndpoint", "CreateModel", "CreateEndpointConfig", "CreateEndpoint"),
        *("DeregisterScalableTarget", "UpdateEndpoint", "DescribeEndpoint"),
        *("RegisterScalableTarget", "PutScalingPolicy", "RestoreScalableTarget", "RestoreScalingPolicy"),
    )
)


@dataclass(frozen=True)
class Alert:
    """An email: `subject` is printable ASCII of at most 100 characters."""

    subject: str
    message: str

    def __post_init__(self) -> None:
        printable = "".join(c if " " <= c <= "~" else "?" for c in self.subject)
        object.__setattr__(self, "subject", printable[:_SUBJECT_LENGTH])

    def to_document(self) -> dict[str, str]:
        return {"subject": self.subject, "message": self.message}


def summarise_run(stack: str, verdict: Mapping[str, Any], run_id: str, intake: Intake) -> Alert:
    """Tell how a judged run went: accepted or rejected, with the fleet's numbers and every exception counted."""
    exceptions = verdict["customers"] - verdict["trained"] + intake.exceptions
    if not verdict["accepted"]:
        outcome = "rejected, the old models keep serving"
    else:
        outcome = "succeeded with exceptions" if exceptions else "succeeded"
    lines = [
        f"Run {run_id} of {stack} {outcome}.",
        "",
        *([f"Rejected because {reason}." for reason in verdict["reasons"]]),
        f"Customers: {verdict['customers']}, with a new model: {verdict['trained']}.",
        *_table("Status", verdict["statuses"]),
        *_table("Model family", verdict["families"]),
        _error_line(verdict["error_ratio"]),
        *intake.lines(),
        "",
        f"Look closer: fleetcast runs; fleetcast fleet; fleetcast show CUSTOMER. Ledger: ledger/run_id={run_id}/.",
    ]
    word = "rejected" if not verdict["accepted"] else "succeeded"
    return Alert(
        f"Fleetcast {stack}: run {run_id} {word}, {verdict['trained']} of {verdict['customers']} customers",
        "\n".join(lines),
    )


def _table(title: str, counts: Mapping[str, int]) -> list[str]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [f"{title}:", *(f"  {name:<18} {count:>8}" for name, count in ordered)] if counts else []


def _error_line(ratio: float | None) -> str:
    if ratio is None:
        return "Backtest error against the seasonal naive: no customer could be compared."
    return f"Backtest error against the seasonal naive: {ratio:.3f} (below 1 is better than the naive)."


def explain_failure(
    stack: str, run_id: str, failed: Mapping[str, Mapping[str, str]], execution: str
) -> dict[str, str]:
    """Turn what the state machine caught into an email and into the Error and Cause it ends with.

    Args:
        stack: the stack's name.
        run_id: the run, or "not begun".
        failed: what `Catch` put there: the state's name, holding Error and Cause.
        execution: ARN of the execution.
    """
    state, caught = next(iter(failed.items()), ("unknown", {}))
    error, cause = caught.get("Error") or "Unknown", _readable(caught.get("Cause") or "no cause was given")
    advice = _ADVICE.get(
        "EnsureEndpoint" if state in _ENDPOINT_STATES else state, "Look at the execution's history."
    )
    alert = Alert(
        f"Fleetcast {stack}: run {run_id} FAILED in {state}",
        "\n".join(
            (
                f"Run {run_id} of {stack} failed in state {state}.",
                "",
                f"Why: {error}: {cause}",
                f"What to do: {advice}",
                _serving_line(state),
                "",
                f"Execution: {execution}",
            )
        ),
    )
    return {**alert.to_document(), "state": state, "error": error, "cause": f"{state}: {cause}"}


def _serving_line(state: str) -> str:
    if state in _AFTER_RELEASE:
        return "The models of this run are serving."
    if state == "PromoteRun":
        return "Every customer is served, by a model of this run or by the one before."
    return "The models that were serving before this run keep serving."


def _readable(cause: str) -> str:
    """Pick the sentence out of the JSON that a failed job, build or function leaves as its cause."""
    try:
        document = json.loads(cause)
    except (ValueError, RecursionError):
        return cause[:_CAUSE_LENGTH]
    if not isinstance(document, dict):
        return cause[:_CAUSE_LENGTH]
    build = _mapping(document.get("Build"))
    parts = [
        document.get("errorMessage"),
        document.get("ExitMessage"),
        document.get("FailureReason"),
        build and _describe_build(build),
    ]
    named = document.get("TrainingJobName") or document.get("ProcessingJobName")
    text = "; ".join(str(part) for part in parts if part)
    return (f"{text} (job {named})" if text and named else text or cause)[:_CAUSE_LENGTH]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _describe_build(build: Mapping[str, Any]) -> str:
    link = _mapping(build.get("Logs")).get("DeepLink")
    log = f", log: {link}" if link else ""
    return (
        f"build {build.get('Id')} ended {build.get('BuildStatus')} in phase {build.get('CurrentPhase')}{log}"
    )
