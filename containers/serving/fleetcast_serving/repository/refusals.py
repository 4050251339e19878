"""What was read once and is no model: whoever asks for it again and again is not to have it parsed each time."""

import os
import threading
from collections import OrderedDict

_KEPT = 1000

Version = tuple[int, int, int]


def version_of(status: os.stat_result) -> Version:
    """Return what is another one once the file has been written anew."""
    return status.st_ino, status.st_mtime_ns, status.st_size


class Refusals:
    """The reasons why files were refused, of as many as were asked for last. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Least recently used first.
        self._reasons: OrderedDict[str, tuple[Version, str]] = OrderedDict()

    def reason(self, name: str, version: Version) -> str | None:
        """Return why this version of the file was refused; None if it was not, or is not remembered."""
        with self._lock:
            found, reason = self._reasons.get(name, (None, ""))
            if found != version:
                return None
            self._reasons.move_to_end(name)
            return reason

    def keep(self, name: str, version: Version, reason: str) -> None:
        with self._lock:
            self._reasons.pop(name, None)
            self._reasons[name] = version, reason
            while len(self._reasons) > _KEPT:
                self._reasons.popitem(last=False)
