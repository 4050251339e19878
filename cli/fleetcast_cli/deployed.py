"""What was deployed to this machine last, so that deploying the same again can be left out.

The API is deployed anew every time, because its document is invisible to CloudFormation's comparison: a change set
is therefore never empty, and only what goes into one can tell that nothing has changed.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fleetcast_cli.project import Project

_BUILT = Path(".aws-sam") / "build"
_OUTSIDE = re.compile(
    r":\s+(\.\./\S+)\s*$", re.MULTILINE
)  # sources that the built template names where they are
_GOOD = ("CREATE_COMPLETE", "UPDATE_COMPLETE")


def fingerprint(project: Project, arguments: Iterable[str]) -> str | None:
    """Return a digest of all that a deployment is made of, None where nothing was built.

    Args:
        project: its last build counts.
        arguments: what SAM is told besides samconfig.toml.
    """
    template = project.root / _BUILT / "template.yaml"
    if not template.is_file():
        return None
    text = template.read_text(encoding="utf-8")
    named = (template.parent / path for path in _OUTSIDE.findall(text))
    places = [project.root / "samconfig.toml", template.parent, *(path.resolve() for path in named)]
    digest = hashlib.sha256(json.dumps(list(arguments)).encode())
    for file in sorted({file for place in places for file in _files(place)}):
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        digest.update(f"{file.relative_to(project.root)}\0{content}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    for path in place.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


class LastDeployment:
    """The note about the last deployment of a project to this machine; without one everything is new."""

    def __init__(self, project: Project) -> None:
        self._path = project.state / "deployed.json"

    def is_current(self, stack: dict[str, Any] | None, digest: str | None) -> bool:
        """Whether the stack is still as the last deployment left it, and that was of the same things."""
        if stack is None or digest is None or stack["StackStatus"] not in _GOOD:
            return False
        try:
            return bool(json.loads(self._path.read_text(encoding="utf-8")) == _note(stack, digest))
        except (FileNotFoundError, ValueError):
            return False

    def remember(self, stack: dict[str, Any], digest: str) -> None:
        self._path.write_text(json.dumps(_note(stack, digest), indent=1) + "\n", encoding="utf-8")


def _note(stack: dict[str, Any], digest: str) -> dict[str, str]:
    # Whoever changes the stack by other means changes its time.
    updated = str(stack.get("LastUpdatedTime", stack["CreationTime"]))
    return {"stack": stack["StackId"], "updated": updated, "digest": digest}
