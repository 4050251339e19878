"""A process image: the frozen sources of one container, which the local cloud runs as a process."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from containers.image_build.ecr import OCI_MANIFEST
from containers.image_build.errors import BuildError
from containers.image_build.settings import Target

_IGNORED = {"__pycache__", ".mypy_cache", ".ruff_cache"}
# The well-known descriptor of `{}`: a manifest must have a config, and this one has nothing to say in it.
_EMPTY_CONFIG = {
    "mediaType": "application/vnd.oci.empty.v1+json",
    "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    "size": 2,
}


def freeze(target: Target, sources: Path, store: Path) -> str:
    """Copy what a target consists of to `<store>/<digest>/`, unless it is there, and return the digest.

    The digest is of the files' paths and contents: the same sources are the same image on any machine.
    """
    files = {path.relative_to(sources).as_posix(): path.read_bytes() for path in _files(target, sources)}
    digest = _digest(files)
    if not (store / digest).is_dir():
        _write(files, store, digest)
    return digest


def manifest(target: Target, digest: str) -> str:
    """Return the image manifest that names a process image; the same text for the same image."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _EMPTY_CONFIG,
        "layers": [],
        "annotations": {
            "fleetcast.process-image": digest,
            "fleetcast.target": target.name,
            "fleetcast.entrypoint": target.entrypoint,
            "fleetcast.pythonpath": ":".join(target.pythonpath),
        },
    }
    return json.dumps(document, separators=(",", ":"))


def _files(target: Target, sources: Path) -> Iterator[Path]:
    yield _existing(sources / target.requirements)
    for folder in ("src/fleetcast", *(f"containers/{package}" for package in target.packages)):
        for path in _existing(sources / folder).rglob("*"):
            if path.is_file() and _IGNORED.isdisjoint(path.parts) and path.suffix != ".pyc":
                yield path


def _existing(path: Path) -> Path:
    if not path.exists():
        raise BuildError(f"{path} is missing; the sources are not complete")
    return path


def _digest(files: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        # Lengths, so that no two sets of files can look the same once they are joined.
        digest.update(f"{len(path.encode())}:{path}{len(content)}:".encode() + content)
    return digest.hexdigest()


def _write(files: dict[str, bytes], store: Path, digest: str) -> None:
    store.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=store))
    try:
        for path, content in files.items():
            (draft / path).parent.mkdir(parents=True, exist_ok=True)
            (draft / path).write_bytes(content)
        draft.chmod(0o755)
        draft.rename(store / digest)
    except OSError as error:
        # Another build may have been faster; its folder holds the same files.
        if not (store / digest).is_dir():
            raise BuildError(f"cannot write the process image to {store}: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
