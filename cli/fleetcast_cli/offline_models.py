"""The models of a run in a folder: who has one, and opening them without trusting them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from fleetcast.domain.names import RUN_ID, artifact_name
from fleetcast_cli.errors import UsageMistake
from fleetcast_cli.offline_data import no_such_customer
from fleetcast_cli.output import note

if TYPE_CHECKING:
    from fleetcast_engine import LoadedModel

LEDGER = "ledger.parquet"
_SUFFIX = ".tar.gz"


@dataclass(frozen=True)
class ModelFolder:
    """One run's artifacts."""

    path: Path

    @classmethod
    def find(cls, folder: Path) -> "ModelFolder":
        """Return the run that a folder is, or the latest one in it, of the finished ones if there are any.

        Raises:
            UsageMistake: there is no model.
        """
        if not folder.is_dir():
            raise UsageMistake(f"{folder} is no folder" if folder.exists() else f"{folder} does not exist")
        inside = sorted(
            child for child in folder.iterdir() if RUN_ID.fullmatch(child.name) and child.is_dir()
        )
        runs = [run for run in (folder, *reversed(inside)) if any(run.glob(f"*{_SUFFIX}"))]
        if not runs:
            raise UsageMistake(f"{folder} holds no model: fleetcast train DATA --models {folder} makes some")
        finished = [run for run in runs if (run / LEDGER).exists()]
        if finished and runs[0] != folder:
            return cls(finished[0])
        if not (runs[0] / LEDGER).exists():
            note(
                f"{runs[0]} has no {LEDGER}: the run is not finished, and customers may be missing", "yellow"
            )
        return cls(runs[0])

    def artifacts(self, customers: Sequence[str]) -> list[Path]:
        """Return the artifacts of some customers, or without any named, of all.

        Raises:
            UsageMistake: a customer has no model.
        """
        if not customers:
            return sorted(self.path.glob(f"*{_SUFFIX}"))
        return [self.artifact(customer) for customer in dict.fromkeys(customers)]

    def artifact(self, customer: str) -> Path:
        path = self.path / artifact_name(customer)
        if not path.is_file():
            raise no_such_customer(customer, self.path, list(self._known()))
        return path

    def _known(self) -> Iterator[str]:
        for path in self.path.glob(f"*{_SUFFIX}"):
            yield unquote(path.name.removesuffix(_SUFFIX))


def open_model(path: Path) -> "LoadedModel":
    """Return a stored model; ArtifactError where it is broken, or another customer's."""
    from fleetcast_engine import unpack  # noqa: PLC0415  # numpy: 0.1 s that few commands need
    from fleetcast_engine.errors import BadParameters  # noqa: PLC0415  # as above

    loaded = unpack(path.read_bytes())
    owner = loaded.model.customer_id
    # Where file names ignore case, two customers have one.
    if artifact_name(owner) != path.name:
        raise BadParameters(f"it is the model of another customer, {owner!r}")
    return loaded
