"""How much memory this process and all below it hold together, looked at several times a second.

Linux's ru_maxrss would not do: a child's includes what the process that forked it held.
"""

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

_SECONDS_BETWEEN = 0.1
_PAGE = os.sysconf("SC_PAGE_SIZE")


class PeakMemory:
    """The largest sum of resident memory while the block runs; pages that processes share count several times."""

    def __init__(self) -> None:
        self._peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def mebibytes(self) -> float:
        return self._peak / 2**20

    def _watch(self) -> None:
        while not self._stop.wait(_SECONDS_BETWEEN):
            held = sum(map(_resident, family(os.getpid())))
            self._peak = max(self._peak, held)


def family(process: int) -> set[int]:
    found, todo = set(), [process]
    while todo:
        found.add(one := todo.pop())
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            with suppress(OSError):
                todo += [int(child) for child in task.read_text().split() if int(child) not in found]
    return found


def _resident(process: int) -> int:
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE
    return 0
