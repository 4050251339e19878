"""The processes of a local cloud: every one of them is marked, so that even orphans are found and ended.

A pid in a file may by now belong to a stranger. The mark is in the process's own environment instead, is
inherited by whatever it starts, and is read again immediately before a signal is sent.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

MARK = "FLEETCAST_CLOUD"
_PROC = Path("/proc")


def is_marked(pid: int, identity: str) -> bool:
    """Return whether the process is alive and belongs to the cloud of that identity."""
    return pid in marked(identity, [pid])


def marked(identity: str, candidates: Iterable[int] | None = None) -> list[int]:
    """Return the living processes of a cloud, this one excepted, among the candidates or all of the user's."""
    needle = f"{MARK}={identity}"
    found = _from_proc(needle, candidates) if _PROC.is_dir() else _from_ps(needle, candidates)
    return [pid for pid in found if pid != os.getpid()]


def _from_proc(needle: str, candidates: Iterable[int] | None) -> list[int]:
    everyone = (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())
    pids = everyone if candidates is None else candidates
    return [pid for pid in pids if needle.encode() in _environment_of(pid)]


def _environment_of(pid: int) -> list[bytes]:
    try:
        return (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # gone, or another user's
        return []


def _from_ps(needle: str, candidates: Iterable[int] | None) -> list[int]:
    # macOS has no /proc; its ps prints the environment of the user's own processes after the command.
    listing = subprocess.run(
        ["/bin/ps", "-Eww", "-axo", "pid=,command="], capture_output=True, text=True, check=False
    ).stdout
    pids = [int(line.split()[0]) for line in listing.splitlines() if needle in line.split()]
    return [pid for pid in pids if candidates is None or pid in set(candidates)]


def end(identity: str, first: int | None = None, grace: float = 10.0) -> int:
    """End every process of a cloud: the daemon first, which stops its children in order, then what is left.

    Returns:
        how many processes had to be signalled.
    """
    signalled = 0
    if first is not None and is_marked(first, identity):
        signalled += _signal([first], signal.SIGTERM)
        _wait_until_gone(identity, [first], grace)
    for kind in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL):
        left = marked(identity)
        if not left:
            break
        signalled += _signal(left, kind)
        _wait_until_gone(identity, left, 3.0)
    return signalled


def _signal(pids: list[int], kind: signal.Signals) -> int:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, kind)
    return len(pids)


def _wait_until_gone(identity: str, pids: list[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and marked(identity, pids):
        _reap(pids)
        time.sleep(0.02)


def _reap(pids: list[int]) -> None:
    # A daemon that this very process started stays a zombie until it is waited for.
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
