"""What became of the raw data as a whole: files that were not read, or not as they should be, and rows of nobody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_SHOWN = 20


@dataclass(frozen=True)
class Intake:
    """The part of a run's quality summary that belongs to no customer.

    Attributes:
        files: key, status (`read` or `rejected`), rows and reason of every raw file.
        orphans: rows without a legal customer id, by reason.
    """

    files: Sequence[Mapping[str, Any]] = ()
    orphans: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_document(cls, summary: Mapping[str, Any]) -> "Intake":
        """Read the processing job's `summary.json`."""
        return cls(summary["files"], summary.get("rows_without_customer_by_reason") or {})

    @property
    def exceptions(self) -> int:
        """Files that were not read, and rows that reached no customer."""
        return len(self._with_status("rejected")) + sum(self.orphans.values())

    def lines(self) -> list[str]:
        """Say it in an email: nothing where all is well."""
        rejected = self._with_status("rejected")
        noted = [file for file in self._with_status("read") if file.get("reason")]
        return [
            *_listed(f"Files that could not be read: {len(rejected)} of {len(self.files)}", rejected),
            *_listed(f"Files that were read with a remark: {len(noted)}", noted),
            *_orphan_lines(self.orphans),
        ]

    def _with_status(self, status: str) -> list[Mapping[str, Any]]:
        return [file for file in self.files if file["status"] == status]


def _listed(title: str, files: Sequence[Mapping[str, Any]]) -> list[str]:
    if not files:
        return []
    shown = [f"  {file['key']}: {file['reason']}" for file in files[:_SHOWN]]
    hidden = len(files) - _SHOWN
    return [
        title,
        *shown,
        *([f"  and {hidden} more, see prepared/<run>/quality/summary.json"] if hidden > 0 else []),
    ]


def _orphan_lines(orphans: Mapping[str, int]) -> list[str]:
    counted = {reason: count for reason, count in orphans.items() if count}
    if not counted:
        return []
    why = ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in sorted(counted.items()))
    return [f"Rows that belong to no customer and were left out: {sum(counted.values())} ({why})"]
