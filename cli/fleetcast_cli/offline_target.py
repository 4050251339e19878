"""Where a command writes what it was asked for: a file that is replaced when whole, or whatever else has a name."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fleetcast_cli.errors import UsageMistake
from fleetcast_cli.offline_processes import orderly_end


@dataclass
class Written:
    """A file that is being written.

    Attributes:
        is_complete: set by the writer; what is not complete replaces nothing.
    """

    file: IO[str]
    is_complete: bool = False


@dataclass(frozen=True)
class Target:
    """A place to write to.

    Attributes:
        is_special: it is no regular file, or standard output: it is written straight into, and never replaced.
        is_stdout: it is standard output, by whatever name.
    """

    path: Path
    is_special: bool
    is_stdout: bool

    @classmethod
    def of(cls, path: Path) -> "Target":
        """Return where a path leads; UsageMistake where no file can be."""
        if path.is_dir():
            raise UsageMistake(f"{path} is a folder: --output names a file")
        is_stdout = path.exists() and _is_stdout(path)
        if path.exists() and (is_stdout or not path.is_file()):
            return cls(path, is_special=True, is_stdout=is_stdout)
        try:
            target = path.resolve()
        except RuntimeError as error:
            raise UsageMistake(f"{path} is a link that leads nowhere: --output names a file") from error
        if not target.parent.is_dir():
            raise UsageMistake(f"{path.parent} is no folder: --output names a file in one that exists")
        return cls(target, is_special=False, is_stdout=False)

    @contextmanager
    def open(self) -> Iterator[Written]:
        """Yield the file; an old one is replaced in the end, if the new one is complete."""
        if self.is_special:
            # Opening standard output by its name would cut off what is there already.
            where = os.dup(sys.__stdout__.fileno()) if self.is_stdout and sys.__stdout__ else self.path
            with open(where, "w", newline="", encoding="utf-8") as file:  # noqa: PTH123 - of a descriptor
                yield Written(file)
            return
        temporary = self.path.with_name(f".fleetcast-{os.getpid()}.part")
        try:
            with orderly_end():
                with temporary.open("w", newline="", encoding="utf-8") as file:
                    written = Written(file)
                    yield written
                if written.is_complete:
                    if self.path.exists():
                        shutil.copymode(self.path, temporary)
                    temporary.replace(self.path)
        finally:
            temporary.unlink(missing_ok=True)


def _is_stdout(path: Path) -> bool:
    try:
        return sys.__stdout__ is not None and os.path.samestat(path.stat(), os.fstat(sys.__stdout__.fileno()))
    except (OSError, ValueError):  # it is closed
        return False
