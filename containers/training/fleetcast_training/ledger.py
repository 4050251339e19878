"""The ledger of a run: one JSON line per customer, and what a restarted job can learn from it."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fleetcast_engine import FittedModel, iso_time
from fleetcast_engine.choice.mix import MixModel
from fleetcast_training.files import write_atomically

TRAINED = "trained"
TOO_SHORT = "too_short"
NO_VALID_ROWS = "no_valid_rows"
FIT_FAILED = "fit_failed"
TIMED_OUT = "timed_out"
OUT_OF_MEMORY = "out_of_memory"
CRASHED = "crashed"
NAME_COLLISION = "name_collision"


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class LedgerRow:
    """What became of one customer; None where a field does not apply.

    Attributes:
        engine: who fitted, "map" or "prophet"; None where nothing was fitted.
        members: what a mix is made of, such as "l3+ar7+y0.5_3".
        repairs: what was done to the data before training, by kind; kinds that did not occur are left out.
    """

    customer_id: str
    status: str
    reason: str | None = None
    family: str | None = None
    members: str | None = None
    engine: str | None = None
    rows: int | None = None
    repairs: Mapping[str, int] | None = None
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
    def of_model(cls, model: FittedModel, rows: int, artifact: str, size: int) -> Self:
        """Return the row of a model that was trained and stored."""
        tested = model.metrics.origins > 0
        return cls(
            customer_id=model.customer_id,
            status=TRAINED,
            reason=model.remark,
            family=model.family,
            members=_members(model),
            engine=model.engine,
            rows=rows,
            repairs=_repairs(model),
            first=iso_time(model.training_start),
            last=iso_time(model.timeline.end),
            trained_at=iso_time(model.trained_at),
            horizon=model.horizon,
            origins=model.metrics.origins,
            mae=model.metrics.mae if tested else None,
            naive_mae=model.metrics.naive_mae if tested else None,
            artifact=artifact,
            bytes=size,
        )


def _repairs(model: FittedModel) -> dict[str, int] | None:
    if model.repairs is None:
        return None
    return {kind: count for kind, count in vars(model.repairs).items() if count}


def _members(model: FittedModel) -> str | None:
    """Return what each block of a mix's horizon is the mean of; blocks alike are said once."""
    if not isinstance(model.parameters, MixModel):
        return None
    return " | ".join(dict.fromkeys("+".join(names) for names in model.parameters.members))


def to_line(row: LedgerRow, host: str, seconds: float | None = None) -> bytes:
    """Return the row as the ledger of this host holds it, with the time that it took."""
    # dataclasses.asdict copies deeply, which would take as long as all the rest.
    return _ENCODER.encode({**vars(row), "seconds": seconds, "host": host}).encode() + b"\n"


class Ledger:
    """The ledger files of all hosts that the checkpoint folder holds; this host appends to its own only."""

    def __init__(self, directory: Path, host: str) -> None:
        self._directory = directory
        self._path = directory / f"{host}.jsonl"

    def resume(self, is_stored: Callable[[str], bool]) -> dict[str, Mapping[str, Any]]:
        """Return the rows of customers whom any host has trained, and drop from this host's file all other rows.

        Customers that failed are tried again, as are those whose model is not stored any more, and none of them must
        end with two rows.

        Args:
            is_stored: says whether a customer's model is there and usable.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        found = {path: dict(_trained_rows(path)) for path in self._directory.glob("*.jsonl")}
        stored = {name for name in set().union(*found.values()) if is_stored(name)}
        if self._path.exists():
            kept = (line for name, line in found[self._path].items() if name in stored)
            write_atomically(self._path, b"".join(kept))
        return {name: json.loads(rows[name]) for rows in found.values() for name in rows if name in stored}

    def append(self, lines: Sequence[bytes]) -> None:
        """Write whole lines; they are with the operating system when this returns."""
        if lines:
            with self._path.open("ab") as file:
                file.write(b"".join(lines))


def _trained_rows(path: Path) -> Iterator[tuple[str, bytes]]:
    # A job that was killed while writing leaves half a line, which is no row.
    for line in path.read_bytes().splitlines(keepends=True):
        with suppress(ValueError):
            row = json.loads(line)
            if (
                isinstance(row, dict)
                and row.get("status") == TRAINED
                and isinstance(row.get("customer_id"), str)
                and line.endswith(b"\n")
            ):
                yield row["customer_id"], line
