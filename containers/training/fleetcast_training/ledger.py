"""The ledger of a run: one JSON line per customer, and what a restarted job can learn from it."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from fleetcast_engine import FittedModel, iso_time
from fleetcast_training.files import write_atomically

TRAINED = "trained"
TOO_SHORT = "too_short"
NO_VALID_ROWS = "no_valid_rows"
FIT_FAILED = "fit_failed"
TIMED_OUT = "timed_out"
CRASHED = "crashed"
NAME_COLLISION = "name_collision"


@dataclass(frozen=True)
class LedgerRow:
    """What became of one customer; None where a field does not apply."""

    customer_id: str
    status: str
    reason: str | None = None
    family: str | None = None
    rows: int | None = None
    first: str | None = None
    last: str | None = None
    trained_at: str | None = None
    horizon: int | None = None
    origins: int | None = None
    mae: float | None = None
    naive_mae: float | None = None
    artifact: str | None = None
    bytes: int | None = None
    seconds: float | None = None
    host: str | None = None

    @classmethod
    def of_model(cls, model: FittedModel, rows: int) -> Self:
        """Return the row of a trained model, without what only its file knows."""
        return cls(
            customer_id=model.customer_id,
            status=TRAINED,
            reason=model.remark,
            family=model.family,
            rows=rows,
            first=iso_time(model.training_start),
            last=iso_time(model.timeline.end),
            trained_at=iso_time(model.trained_at),
            horizon=model.horizon,
            origins=model.metrics.origins,
            mae=model.metrics.mae,
            naive_mae=model.metrics.naive_mae,
        )

    def stored(self, artifact: str, size: int) -> "LedgerRow":
        """Return the row with its artifact's name and size."""
        return replace(self, artifact=artifact, bytes=size)


class Ledger:
    """The ledger files of all hosts that the checkpoint folder holds; this host appends to its own only."""

    def __init__(self, directory: Path, host: str) -> None:
        self._directory = directory
        self._path = directory / f"{host}.jsonl"
        self._host = host

    def resume(self) -> set[str]:
        """Return the customers that any host has trained, and drop from this host's file all other rows.

        Customers that failed are tried again, and must not end with two rows.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            kept = {row["customer_id"]: row for row in _trained_rows(self._path)}
            write_atomically(self._path, "".join(map(_line, kept.values())).encode())
        return {row["customer_id"] for path in self._directory.glob("*.jsonl") for row in _trained_rows(path)}

    def append(self, row: LedgerRow) -> None:
        """Write a row; it is with the operating system when this returns."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(asdict(replace(row, host=self._host))))


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"


def _trained_rows(path: Path) -> Iterator[dict[str, Any]]:
    # A job that was killed while writing leaves half a line, which is no row.
    for line in path.read_bytes().splitlines():
        with suppress(ValueError):
            row = json.loads(line)
            if (
                isinstance(row, dict)
                and row.get("status") == TRAINED
                and isinstance(row.get("customer_id"), str)
            ):
                yield row
