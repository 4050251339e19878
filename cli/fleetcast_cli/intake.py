"""What a run made of the raw data: files with a remark, and rows that belong to nobody."""

from dataclasses import dataclass, field
from typing import Any

from fleetcast_cli.output import print_table, say

_STRAYS = {
    "empty": "without a customer id",
    "too_long": "whose customer id is too long",
    "control_character": "whose customer id holds a control character",
    "malformed": "that do not fit the file's header",
}


@dataclass(frozen=True)
class Intake:
    """What the preparation says of the raw data.

    Attributes:
        rejected_files: files that could not be read, with the reason.
        noted_files: files that were read in another way than expected, with what was done.
        rows_without_customer: rows of which nobody knows whose they are.
        rows_without_customer_by_reason: the same rows by what is wrong with them.
    """

    rejected_files: list[dict[str, Any]] = field(default_factory=list)
    noted_files: list[dict[str, Any]] = field(default_factory=list)
    rows_without_customer: int = 0
    rows_without_customer_by_reason: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_summary(cls, summary: dict[str, Any]) -> "Intake":
        files = summary.get("files", [])
        return cls(
            rejected_files=[file for file in files if file["status"] == "rejected"],
            noted_files=[file for file in files if file["status"] == "read" and file.get("reason")],
            rows_without_customer=summary.get("rows_without_customer", 0),
            rows_without_customer_by_reason=summary.get("rows_without_customer_by_reason", {}),
        )


def print_intake(intake: Intake) -> None:
    """Print what a person should know of the raw data; nothing where all is well."""
    rejected = [(file["key"], "rejected", file["reason"]) for file in intake.rejected_files]
    noted = [(file["key"], "read", file["reason"]) for file in intake.noted_files]
    if rejected or noted:
        print_table(("Raw file", "Result", "Why"), rejected + noted)
    if intake.rows_without_customer:
        say(describe_strays(intake))


def describe_strays(intake: Intake) -> str:
    """Return a sentence on the rows that belong to nobody."""
    by_reason = intake.rows_without_customer_by_reason.items()
    parts = [f"{count:,} {_STRAYS.get(reason, reason)}" for reason, count in by_reason if count]
    details = f": {', '.join(parts)}" if parts else ""
    total = intake.rows_without_customer
    what = "row belongs to nobody and was" if total == 1 else "rows belong to nobody and were"
    return f"{total:,} {what} left out{details}."
