"""Files that are whole or not there at all."""

import os
from itertools import count
from pathlib import Path

_LOW = 0xFFFFFFFF
_numbers = count()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a hidden name and rename it, so that nobody ever sees half of it."""
    temporary = _write_hidden(str(path.parent), content)
    try:
        os.replace(temporary, path)  # noqa: PTH105 - this and the next are half of what a small model costs
    except BaseException:
        os.unlink(temporary)  # noqa: PTH108
        raise


def write_new(directory: str, name: str, content: bytes) -> bool:
    """Write a file as above unless one of its name is there, and say whether it was written.

    Where two processes write one name, exactly one of them succeeds.
    """
    temporary = _write_hidden(directory, content)
    try:
        os.link(temporary, f"{directory}/{name}")
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary)  # noqa: PTH108
    return True


def _write_hidden(directory: str, content: bytes) -> str:
    temporary = f"{directory}/.tmp-{os.getpid() & _LOW:08x}{next(_numbers) & _LOW:08x}"
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    try:
        append(descriptor, content)
    except BaseException:
        os.unlink(temporary)  # noqa: PTH108
        raise
    finally:
        os.close(descriptor)
    return temporary


def append(descriptor: int, content: bytes) -> None:
    """Write everything; it is with the operating system, and safe from this process's death, when this returns."""
    written = os.write(descriptor, content)
    while written < len(content):
        written += os.write(descriptor, content[written:])


def remove_leftovers(directory: Path) -> None:
    """Remove what a killed job had not yet renamed."""
    # Exactly the names above: a customer may be called `.tmp-7`, but artifacts end in `.tar.gz`.
    for temporary in directory.glob(".tmp-" + 16 * "[0-9a-f]"):
        temporary.unlink(missing_ok=True)
