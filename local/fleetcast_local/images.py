"""Process images: what ECR holds for a machine without containers, and how to run it."""

import json
import os
import re
import shlex
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

Clients = Callable[[str], Any]

_URI = re.compile(
    r"(?P<registry>\d{12})\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/(?P<repository>[a-z0-9][a-z0-9._/-]*)"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64})|:(?P<tag>[\w][\w.-]{0,127}))?"
)
_FOLDER = re.compile(r"[0-9a-f]{64}")
_MANIFEST_TYPES = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
]


class ImageError(Exception):
    """An image URI that cannot be run here; the text says why and what would help."""


@dataclass(frozen=True)
class ProcessImage:
    """An image resolved to a folder of code and the command that runs it."""

    uri: str
    digest: str
    folder: Path
    entrypoint: tuple[str, ...]
    pythonpath: tuple[str, ...]

    @property
    def resolved_uri(self) -> str:
        return f"{self.uri.partition('@')[0].rsplit(':', 1)[0]}@{self.digest}"

    def command(self, entrypoint: Sequence[str] = (), arguments: Sequence[str] = ()) -> list[str]:
        """Return the argv; an entry point given by the caller replaces the image's own, as in Docker."""
        first, *rest = entrypoint or self.entrypoint
        return [*self._program(first), *rest, *arguments]

    def environment(self) -> dict[str, str]:
        frozen = [str(self.folder / part) for part in self.pythonpath]
        return {"PYTHONPATH": os.pathsep.join([*frozen, sysconfig.get_path("purelib")])}

    def _program(self, name: str) -> list[str]:
        if Path(name).name in {"python", "python3"}:
            # -S: an editable install of the working copy must not stand in for what the image lacks.
            return [sys.executable, "-S"]
        packed = self.folder / name.lstrip("/")
        return [str(packed) if packed.is_file() else name]


class ImageStore:
    """Finds process images by image URI: ECR knows the name, the store's folder holds the code."""

    def __init__(self, folder: Path, clients: Clients) -> None:
        self.folder = folder
        self._clients = clients

    def resolve(self, uri: str) -> ProcessImage:
        """Return the image, or raise ImageError."""
        match = _URI.fullmatch(uri)
        if match is None:
            raise ImageError(
                f"'{uri}' is not an image of Amazon ECR (<account>.dkr.ecr.<region>.amazonaws.com/<repository>)"
            )
        identifier = (
            {"imageDigest": match["digest"]} if match["digest"] else {"imageTag": match["tag"] or "latest"}
        )
        image = self._fetch(uri, match["repository"], identifier)
        return self._read(uri, image)

    def _fetch(self, uri: str, repository: str, identifier: dict[str, str]) -> dict[str, Any]:
        try:
            answer = self._clients("ecr").batch_get_image(
                repositoryName=repository, imageIds=[identifier], acceptedMediaTypes=_MANIFEST_TYPES
            )
        except (ClientError, BotoCoreError) as error:
            raise ImageError(f"Cannot pull '{uri}': {error}") from error
        if not answer.get("images"):
            raise ImageError(f"Requested image {uri} not found. Build it, or correct its tag or digest.")
        found: dict[str, Any] = answer["images"][0]
        return found

    def _read(self, uri: str, image: Mapping[str, Any]) -> ProcessImage:
        annotations = _annotations(image.get("imageManifest", ""))
        name = annotations.get("fleetcast.process-image", "")
        entrypoint = shlex.split(annotations.get("fleetcast.entrypoint", ""))
        if not _FOLDER.fullmatch(name) or not entrypoint:
            raise ImageError(
                f"Image {uri} holds no process image (annotations fleetcast.process-image and "
                "fleetcast.entrypoint), and the local cloud runs nothing else. Build it with FLEETCAST_IMAGE_STORE set."
            )
        folder = self.folder / name
        if not folder.is_dir():
            raise ImageError(f"The code of image {uri} is missing: {folder} is not there. Build it again.")
        path = annotations.get("fleetcast.pythonpath", "")
        return ProcessImage(
            uri=uri,
            digest=image["imageId"]["imageDigest"],
            folder=folder,
            entrypoint=tuple(entrypoint),
            pythonpath=tuple(part for part in path.split(":") if part),
        )


def _annotations(manifest: str) -> dict[str, str]:
    try:
        document = json.loads(manifest)
    except ValueError:
        return {}
    annotations = document.get("annotations") if isinstance(document, dict) else None
    return annotations if isinstance(annotations, dict) else {}
