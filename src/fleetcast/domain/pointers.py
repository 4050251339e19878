"""Pointers: which model answers for a customer. A release is a change of pointer, and nothing else."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Release:
    """One released model of one customer.

    Attributes:
        run_id: the run that trained it.
        key: its TargetModel, the key below `models/`.
        family: kind of model, such as `prophet` or `seasonal_naive`.
        training_end: time of the last row it has seen, ISO 8601.
        trained_at: when it was fitted, ISO 8601.
        mae: backtest error, in the unit of the data; None where the series was too short for one.
        naive_mae: the seasonal naive's error on the same rows.
        fingerprint: of the rows it was trained on.
    """

    run_id: str
    key: str
    family: str
    training_end: str
    trained_at: str
    mae: float | None
    naive_mae: float | None
    fingerprint: str

    def to_document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Release":
        return cls(**{name: document.get(name) for name in cls.__dataclass_fields__})  # type: ignore[arg-type]

    @classmethod
    def from_ledger(cls, row: Mapping[str, Any]) -> "Release":
        return cls(
            row["run_id"],
            row["model_key"],
            row["family"],
            row["last"],
            row["trained_at"],
            row["mae"],
            row["naive_mae"],
            row["fingerprint"],
        )
