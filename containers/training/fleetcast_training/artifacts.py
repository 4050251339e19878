"""The checkpoint folder's artifacts: a name belongs to the customer who had it first."""

from pathlib import Path

from fleetcast.domain.names import artifact_name
from fleetcast_engine import unpack
from fleetcast_engine.errors import ArtifactError
from fleetcast_engine.model import FittedModel
from fleetcast_training.files import write_atomically, write_new


class Taken(Exception):
    """The artifact's name is another customer's, as happens where file names ignore case."""


class ArtifactFolder:
    """The models of a run, one file each; several processes may write into it."""

    def __init__(self, directory: Path, run_id: str) -> None:
        self._directory = directory
        self._run_id = run_id

    def model_of(self, customer_id: str) -> FittedModel | None:
        """Return the customer's model of this run, or None where there is no usable one."""
        model = _stored_model(self._directory / artifact_name(customer_id))
        ours = model is not None and model.customer_id == customer_id and model.run_id == self._run_id
        return model if ours else None

    def store(self, customer_id: str, artifact: bytes) -> str:
        """Write the artifact and return its name; it is whole as soon as it is there.

        Raises:
            Taken: the name is another customer's.
        """
        name = artifact_name(customer_id)
        if not write_new(str(self._directory), name, artifact):
            path = self._directory / name
            owner = _stored_model(path)
            if owner is not None and owner.customer_id != customer_id:
                raise Taken(f"{name} is already the model of another customer, {owner.customer_id!r}")
            write_atomically(path, artifact)
        return name

    def discard(self, customer_id: str) -> None:
        """Remove the customer's model of this run, if there is one."""
        if self.model_of(customer_id) is not None:
            (self._directory / artifact_name(customer_id)).unlink()


def _stored_model(path: Path) -> FittedModel | None:
    try:
        return unpack(path.read_bytes()).model
    except (FileNotFoundError, ArtifactError):
        return None
