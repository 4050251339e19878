"""Processes that a command starts: they end with it, however it ends."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Never

# Of those who were asked to end, the slowest may still be storing what is finished.
_STOP_SECONDS = 20.0
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def orderly_end() -> Iterator[None]:
    """Let whoever asks this process to end unwind it as an interrupt does; the exit code is 128 and the signal."""
    before = {number: signal.getsignal(number) for number in _ENDINGS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, _end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> Never:  # noqa: ARG001 - the signature is Python's
    # A second one must not interrupt the cleaning up.
    for each in _ENDINGS:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)


def stop(child: "subprocess.Popen[bytes]") -> None:
    """Ask a process to end, and end it if it does not."""
    try:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(_STOP_SECONDS)
    finally:
        child.kill()
        child.wait()
