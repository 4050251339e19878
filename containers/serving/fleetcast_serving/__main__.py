"""`python -m fleetcast_serving serve`: the entry point of the serving container."""

import sys
from collections.abc import Sequence

from fleetcast_serving.processes.signals import hold_signals


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM and return the container's exit code."""
    if list(arguments) != ["serve"]:
        print("usage: python -m fleetcast_serving serve", file=sys.stderr)
        return 2
    # Before the half second that the imports take: a container's first process never hears of a signal for which
    # it has no handler, and the threads that libraries start do not take it instead.
    hold_signals()
    from fleetcast_serving.container import serve  # noqa: PLC0415 - for this reason

    return serve()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
