"""Ends the local cloud when its folder is removed, so that it never writes its old state into a new project's."""

import logging
import os
import threading
import time
from collections.abc import Callable

from fleetcast_local.layout import Layout

logger = logging.getLogger("fleetcast.eviction")

_LOOK_SECONDS = 1.0


def watch(layout: Layout, end_children: Callable[[], None]) -> None:
    """Look every second, in a thread of its own, whether the folder is still the one this process started with."""
    home = _identity(layout)

    def look() -> None:
        while _identity(layout) == home:
            time.sleep(_LOOK_SECONDS)
        logger.warning("the folder %s was removed: this cloud ends, and keeps nothing", layout.root)
        end_children()
        os._exit(1)  # an orderly end would save the state of a project that is gone

    threading.Thread(target=look, name="eviction", daemon=True).start()


def _identity(layout: Layout) -> tuple[int, int] | None:
    try:
        found = layout.root.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
