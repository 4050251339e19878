"""How a run ended, in words, as a table, as JSON, and as an exit code."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from fleetcast_cli.errors import FAILED, REFUSED
from fleetcast_cli.history import Execution
from fleetcast_cli.intake import Intake, print_intake
from fleetcast_cli.output import clean, format_seconds, notes, print_facts, print_table, say
from fleetcast_cli.session import Cloud

SUCCEEDED, SKIPPED, REFUSED_RUN, REJECTED = "SUCCEEDED", "SKIPPED", "REFUSED", "REJECTED"
_EXIT_CODES = {SUCCEEDED: 0, SKIPPED: REFUSED, REFUSED_RUN: REFUSED}


@dataclass(frozen=True)
class Outcome:
    """The end of one execution.

    Attributes:
        status: SUCCEEDED, SKIPPED (another run covers it), REFUSED (another run is in progress), REJECTED (by the
            gate), or what Step Functions says: FAILED, TIMED_OUT, ABORTED.
        summary: the gate's verdict, once the run was judged.
        advice: what to do now, where the run failed.
        intake: what the run made of the raw data, once they were prepared.
    """

    status: str
    execution: str
    run_id: str | None = None
    seconds: float = 0.0
    error: str | None = None
    cause: str | None = None
    advice: str | None = None
    summary: dict[str, Any] | None = None
    intake: Intake = field(default_factory=Intake)

    @property
    def exit_code(self) -> int:
        return _EXIT_CODES.get(self.status, FAILED)

    def to_document(self) -> dict[str, Any]:
        document: dict[str, Any] = asdict(self)
        document.update(document.pop("intake"))
        return document


def judge(cloud: Cloud, execution: Execution, described: dict[str, Any]) -> Outcome:
    """Make an Outcome of DescribeExecution's answer for an execution that has ended."""
    output = json.loads(described.get("output") or "{}")
    status = _status(described, output)
    run_id = None if "superseded" in output else execution.plan.get("run_id") or output.get("run_id")
    reports = run_id if status != SKIPPED else None
    return Outcome(
        status=status,
        execution=execution.arn,
        run_id=run_id,
        seconds=(described["stopDate"] - described["startDate"]).total_seconds(),
        error=described.get("error"),
        cause=_readable(described.get("cause")),
        advice=_advice(execution.farewell, described["status"]),
        summary=_read_json(cloud, f"runs/{reports}/metrics.json") if reports else None,
        intake=_read_intake(cloud, reports) if reports else Intake(),
    )


def _status(described: dict[str, Any], output: dict[str, Any]) -> str:
    status: str = described["status"]
    if status == SUCCEEDED:
        return SUCCEEDED if "evaluation" in output and "superseded" not in output else SKIPPED
    named = {"RunInProgress": REFUSED_RUN, "RunRejected": REJECTED}
    return named.get(described.get("error", ""), status) if status == "FAILED" else status


def _readable(cause: str | None) -> str | None:
    """Pick the sentence out of what a Lambda function leaves as its cause."""
    try:
        document = json.loads(cause or "")
    except ValueError:
        return cause
    return str(document.get("errorMessage", cause)) if isinstance(document, dict) else cause


def _advice(farewell: dict[str, Any], status: str) -> str | None:
    message = str((farewell.get("explained") or {}).get("message", ""))
    said = [line for line in message.splitlines() if line.startswith("What to do: ")]
    if said:
        return said[0].removeprefix("What to do: ")
    if status == SUCCEEDED:
        return None
    return "The models that were serving keep serving. The execution's history says where it ended."


def _read_intake(cloud: Cloud, run_id: str) -> Intake:
    return Intake.from_summary(_read_json(cloud, f"prepared/{run_id}/quality/summary.json") or {})


def _read_json(cloud: Cloud, key: str) -> dict[str, Any] | None:
    try:
        answer = cloud.client("s3").get_object(Bucket=cloud.outputs.data_bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return None
        raise
    document: dict[str, Any] = json.loads(answer["Body"].read())
    return document


def print_outcome(outcome: Outcome) -> None:
    took = format_seconds(outcome.seconds)
    if outcome.summary and outcome.status in (SUCCEEDED, REJECTED):
        print_summary(outcome.summary)
    print_intake(outcome.intake)
    if outcome.status == SUCCEEDED:
        say(f"Run {outcome.run_id} succeeded in {took}: its models are serving.", "bold green")
        return
    _complain(_headline(outcome, took))
    for name, text in (("Error", outcome.error), ("Cause", outcome.cause), ("What to do", outcome.advice)):
        if text and outcome.status not in (SKIPPED, REFUSED_RUN, REJECTED):
            _complain(f"{name}: {text}")


def _complain(sentence: str) -> None:
    notes().print(clean(sentence), style="red")


def _headline(outcome: Outcome, took: str) -> str:
    if outcome.status == SKIPPED:
        other = f"run {outcome.run_id}" if outcome.run_id else "another run"
        return f"Nothing was trained by this execution: {other} took over; see fleetcast runs."
    if outcome.status == REFUSED_RUN:
        return f"The run was refused: {outcome.cause}"
    if outcome.status == REJECTED:
        reasons = "; ".join((outcome.summary or {}).get("reasons", [])) or outcome.cause
        return f"Run {outcome.run_id} was rejected after {took}, and the old models keep serving: {reasons}."
    return f"Run {outcome.run_id or '(not begun)'} ended {outcome.status} after {took}."


def print_summary(summary: dict[str, Any]) -> None:
    """Print the fleet's numbers after a run."""
    customers, ratio = summary["customers"], summary["error_ratio"]
    counts = [("status", name, count) for name, count in _by_count(summary["statuses"])]
    counts += [("family", name, count) for name, count in _by_count(summary["families"])]
    print_table(
        ("", "Customers by", "Count", "Share"),
        [(kind, name, count, f"{count / max(customers, 1):.1%}") for kind, name, count in counts],
        right=("Share",),
    )
    print_facts(
        {
            "Customers": f"{customers:,}, {summary['trained']:,} with a new model",
            "Backtest error": "no customer could be compared with the seasonal naive"
            if ratio is None
            else f"{ratio:.3f} of the seasonal naive's (below 1 is better)",
        }
    )


def _by_count(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
