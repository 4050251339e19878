"""Standard output, which may be closed or full: that is no reason to stop serving."""

import contextlib
import os


def say(text: str) -> None:
    """Write a line for people."""
    write(f"fleetcast: {text}")


def write(line: str) -> None:
    """Write a line in one call, so that no other process's line gets in between."""
    with contextlib.suppress(OSError):
        os.write(1, line.encode() + b"\n")
