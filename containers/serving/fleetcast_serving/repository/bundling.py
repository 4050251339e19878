"""Writing a bundle: the artifacts of many customers as the one `model.tar.gz` that SageMaker extracts."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from fleetcast.domain.names import artifact_name
from fleetcast_engine import unpack
from fleetcast_engine.errors import ArtifactError
from fleetcast_serving.errors import LoadFailed
from fleetcast_serving.repository.bundle import FOLDER


def write_bundle(artifacts: Iterable[Path], target: Path) -> int:
    """Write artifacts, as training stores them, into one bundle and return how many there are.

    Raises:
        LoadFailed: one of them is not a model, or two are of one customer; nothing usable is left behind.
    """
    names: set[str] = set()
    partial = target.with_name(f".{target.name}.partial")
    try:
        # Its members are compressed already.
        with tarfile.open(partial, "w:gz", compresslevel=1) as bundle:
            for artifact in artifacts:
                _add(bundle, artifact, names)
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    return len(names)


def _add(bundle: tarfile.TarFile, artifact: Path, names: set[str]) -> None:
    content = artifact.read_bytes()
    try:
        customer_id = unpack(content).model.customer_id
    except ArtifactError as error:
        raise LoadFailed(f"{artifact} is not a model: {error}") from error
    name = artifact_name(customer_id)
    if name in names:
        raise LoadFailed(
            f"{artifact} is a second model of customer {customer_id!r}; a bundle has one of each"
        )
    names.add(name)
    member = tarfile.TarInfo(f"{FOLDER}/{name}")
    member.size = len(content)
    bundle.addfile(member, io.BytesIO(content))
