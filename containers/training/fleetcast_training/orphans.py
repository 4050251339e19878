"""A worker process ends with its parent, whatever ended that."""

import os
import signal
import threading
from multiprocessing import parent_process


def leave_with_parent() -> None:
    """Make this process end when its parent does; to be called once, by a process of `multiprocessing`."""
    # A group of its own: killing it also kills the optimiser that runs below the process.
    os.setpgid(0, 0)
    threading.Thread(target=_die_after_parent, daemon=True).start()


def _die_after_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.killpg(0, signal.SIGKILL)
