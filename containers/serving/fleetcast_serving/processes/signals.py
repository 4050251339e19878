"""The signals that the first process waits for."""

import signal

WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM)


def hold_signals() -> None:
    """Have them wait until somebody asks for them, in this thread and those that it starts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
