"""How much memory a customer may take: a request beyond it is refused, and the customer is a row."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MEGABYTE = 1024 * 1024


@contextmanager
def memory_limit(megabytes: int) -> Iterator[None]:
    """Allow this process, and each that it starts, so much more than it has now; 0 sets no limit.

    What is refused raises MemoryError in Python and NumPy. The limit is on private writable memory: libraries
    and reserved addresses do not count. Where the system does not say how much that is, there is no limit.
    """
    held = _private_bytes() if megabytes else None
    if held is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    with suppress(ValueError, OSError):  # a stricter limit from outside stays
        resource.setrlimit(resource.RLIMIT_DATA, (held + megabytes * _MEGABYTE, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _private_bytes() -> int | None:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return None
