"""What a function can import: its layers, the libraries of Lambda's own Python, and nothing else.

A layer is built for Lambda's Python and processor. Where it brings compiled code, the same version of that
distribution is taken from the local environment, which has it for this machine.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

# What Lambda's Python runtime itself brings; everything else must come from the function or its layers.
_RUNTIME_LIBRARIES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six")
_LINKS = "links"
_UNUSED_SECONDS = 14 * 24 * 3600


def path_of(store: Path, packages: list[bytes]) -> list[Path]:
    """Return the folders to import from, given the layers' packages in the function's order."""
    path: list[Path] = []
    # A later layer is unpacked over an earlier one on Lambda, so it comes first on the path here.
    for package in reversed(packages):
        folder = unpack(store, package) / "python"
        for part in (folder, *folder.glob("lib/python3.*/site-packages")):
            path += [*_substitutes(store, part), part]
    return [*path, _runtime_libraries(store)]


def unpack(store: Path, package: bytes) -> Path:
    """Return the folder of a package's files, named by their content: unpacked once, shared by workers."""
    folder = store / hashlib.sha256(package).hexdigest()[:32]
    if not folder.exists():
        draft = Path(tempfile.mkdtemp(dir=store, prefix=".unpacking-"))
        with zipfile.ZipFile(BytesIO(package)) as archive:
            archive.extractall(draft)
        try:
            draft.rename(folder)
        except OSError:  # another worker was faster
            shutil.rmtree(draft)
    os.utime(folder)
    return folder


def forget_unused(store: Path) -> None:
    """Remove what no function has used for two weeks."""
    for folder in store.iterdir():
        if folder.name != _LINKS and time.time() - folder.stat().st_mtime > _UNUSED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _substitutes(store: Path, part: Path) -> Iterator[Path]:
    for name, version in _compiled(part):
        try:
            local = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # the import fails then, and names what is missing
        if local.version == version:
            tops = {file.parts[0] for file in local.files or () if file.parts[0] != ".."}
            installed = Path(str(local.locate_file("")))
            yield _links(store, f"{name}-{version}", [installed / top for top in sorted(tops)])


def _compiled(part: Path) -> Iterator[tuple[str, str]]:
    for wheel in part.glob("*.dist-info/WHEEL"):
        if "Root-Is-Purelib: false" in wheel.read_text(encoding="utf-8"):
            name, _, version = wheel.parent.name.removesuffix(".dist-info").rpartition("-")
            yield name, version


def _runtime_libraries(store: Path) -> Path:
    specs = (importlib.util.find_spec(name) for name in _RUNTIME_LIBRARIES)
    origins = [
        Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)
        for spec in specs
        if spec and spec.origin
    ]
    return _links(store, "runtime", origins)


def _links(store: Path, name: str, sources: list[Path]) -> Path:
    folder = store / _LINKS / name
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources:
        link = folder / source.name
        if link.resolve() != source.resolve():
            link.unlink(missing_ok=True)
            link.symlink_to(source)
    return folder
