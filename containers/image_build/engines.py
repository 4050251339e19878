"""The programs that build real images from the Dockerfile."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from containers.image_build.errors import BuildError

# SageMaker's instances; a laptop may be another machine.
_PLATFORM = "linux/amd64"
_PROBE_SECONDS = 20


class Engine:
    """Docker or Buildah, used by their command lines."""

    def __init__(self, program: str, sources: Path) -> None:
        self.program = program
        self._sources = sources

    def is_available(self) -> bool:
        """Whether the program is there and able to build: for Docker, whether its engine answers."""
        if shutil.which(self.program) is None:
            return False
        probe = ["version", "--format", "{{.Server.Version}}"] if self.program == "docker" else ["info"]
        try:
            answer = subprocess.run(  # noqa: S603 - a list of our own words, no shell
                [self.program, *probe], capture_output=True, timeout=_PROBE_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return answer.returncode == 0

    def build(self, stage: str, image: str, base_image: str | None) -> None:
        """Build one stage of the Dockerfile."""
        base = ["--build-arg", f"BASE_IMAGE={base_image}"] if base_image else []
        dockerfile = str(self._sources / "containers" / "Dockerfile")
        self._run(
            [
                "build",
                *self._own_options(dockerfile),
                "--file",
                dockerfile,
                "--platform",
                _PLATFORM,
                "--target",
                stage,
                "--tag",
                image,
                *base,
                str(self._sources),
            ]
        )

    def log_in(self, registry: str, user: str, password: str) -> None:
        """Log in to a registry; the password goes by standard input, where no process list shows it."""
        self._run(["login", "--username", user, "--password-stdin", registry], password)

    def push(self, image: str) -> None:
        """Upload an image."""
        self._run(["push", image])

    def _own_options(self, dockerfile: str) -> list[str]:
        if self.program == "docker":
            return []
        # Buildah keeps no layers unless told, and looks for the ignore file elsewhere.
        return ["--layers", "--format", "docker", "--ignorefile", f"{dockerfile}.dockerignore"]

    def _run(self, arguments: Sequence[str], text: str | None = None) -> None:
        # Attestations turn an image into an index, which SageMaker does not take.
        environment = {**os.environ, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
        command = [self.program, *arguments]
        try:
            ended = subprocess.run(  # noqa: S603 - no shell, and settings.py has checked every word from outside
                command, input=text, text=True, env=environment, check=False
            )
        except OSError as error:
            raise BuildError(f"{self.program} cannot be run: {error}") from error
        if ended.returncode != 0:
            raise BuildError(
                f"`{self.program} {arguments[0]}` ended with {ended.returncode}; see its output above"
            )
