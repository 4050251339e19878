"""Files that are whole or not there at all."""

import secrets
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a hidden name and rename it, so that nobody ever sees half of it."""
    temporary = path.with_name(f".tmp-{secrets.token_hex(8)}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(directory: Path) -> None:
    """Remove what a killed job had not yet renamed."""
    # Exactly the names above: a customer may be called `.tmp-7`, but artifacts end in `.tar.gz`.
    for temporary in directory.glob(".tmp-" + 16 * "[0-9a-f]"):
        temporary.unlink(missing_ok=True)
