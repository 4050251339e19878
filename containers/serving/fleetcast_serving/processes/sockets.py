"""The listening sockets: one per worker on the same port, between which the kernel spreads the connections."""

import contextlib
import resource
import socket

from fleetcast.errors import SettingError

# What may wait for a worker that is being started again.
_BACKLOG = 4096


def listening(host: str, port: int, number: int) -> list[socket.socket]:
    """Return so many sockets that take connections from now on.

    Raises:
        SettingError: the port is taken, or the address is not this machine's.
    """
    try:
        # Sockets that share a port also share it with another container of the same user; this one does not.
        _bound(host, port, shared=False).close()
        sockets = [_bound(host, port, shared=True) for _ in range(number)]
        for each in sockets:
            each.listen(_BACKLOG)
    except OSError as error:
        raise SettingError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    return sockets


def allow_many_connections() -> None:
    """Raise the limit of open files as far as this process may: each connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS names no limit and yet has one.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        found.bind((host, port))
    except OSError:
        found.close()
        raise
    return found
