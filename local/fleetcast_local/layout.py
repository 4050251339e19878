"""Where a project's local cloud keeps what it knows, and the address it answers at."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

ACCOUNT = "000000000000"
REGION = "us-east-1"
HOST = "127.0.0.1"
FIRST_PORT = 4571


@dataclass(frozen=True)
class CloudAddress:
    """Where a running local cloud answers."""

    endpoint_url: str
    port: int
    pid: int
    region: str = REGION
    account: str = ACCOUNT


@dataclass(frozen=True)
class Layout:
    """The folders of one project's local cloud, all below `<project>/.fleetcast/`."""

    project: Path

    @classmethod
    def of(cls, project: Path) -> "Layout":
        return cls(project.resolve())

    @property
    def root(self) -> Path:
        return self.project / ".fleetcast"

    @property
    def identity(self) -> str:
        """A short name of this project's cloud: it marks every process that belongs to it."""
        return hashlib.sha256(str(self.project).encode()).hexdigest()[:16]

    @property
    def address_file(self) -> Path:
        return self.root / "cloud.json"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def s3(self) -> Path:
        return self.root / "s3"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def functions(self) -> Path:
        return self.root / "functions"

    @property
    def inbox(self) -> Path:
        return self.root / "inbox"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def daemon_log(self) -> Path:
        return self.logs / "cloud.log"

    def create(self) -> None:
        for folder in (self.state, self.s3, self.images, self.functions, self.inbox, self.logs):
            folder.mkdir(parents=True, exist_ok=True)

    def read_address(self) -> CloudAddress | None:
        """Return the last known address, running or not; None when there is none or it is unreadable."""
        try:
            return CloudAddress(**json.loads(self.address_file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write_address(self, address: CloudAddress) -> None:
        write_atomically(self.address_file, json.dumps(asdict(address), indent=2).encode())


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    draft.write_bytes(content)
    draft.replace(path)
