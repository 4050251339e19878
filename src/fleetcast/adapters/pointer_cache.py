"""Pointers remembered between the requests of one warm function."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from fleetcast.domain.pointers import Release


class Source(Protocol):
    """Where pointers come from when they are not remembered."""

    def get(self, customer_id: str) -> Release: ...


class PointerCache:
    """Keeps each pointer for `seconds`, and the most recently used ones up to a bound.

    An unknown customer is not remembered: its first release shows at once.
    """

    def __init__(
        self,
        source: Source,
        seconds: float,
        *,
        size: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source, self._seconds, self._size, self._clock = source, seconds, size, clock
        self._entries: OrderedDict[str, tuple[float, Release]] = OrderedDict()

    def get(self, customer_id: str) -> Release:
        entry = self._entries.get(customer_id)
        if entry and self._clock() - entry[0] < self._seconds:
            self._entries.move_to_end(customer_id)
            return entry[1]
        release = self._source.get(customer_id)
        self._entries[customer_id] = (self._clock(), release)
        self._entries.move_to_end(customer_id)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)
        return release
