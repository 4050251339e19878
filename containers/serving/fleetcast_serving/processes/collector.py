"""Keeps the garbage collector from looking at every model again and again."""

import gc

_FIRST = 1000


class Settler:
    """Tells the collector that what is here stays, whenever the models have become a quarter more.

    A full collection looks at everything that it was not told to leave out, and a request waits 30 ms meanwhile where
    20,000 models are ready. Not more often: what was left out and becomes a cycle later is never found.
    """

    def __init__(self) -> None:
        self._settled = 0

    def look(self, models: int) -> None:
        if models >= self._settled + max(_FIRST, self._settled // 4):
            self._settled = models
            gc.collect(1)
            gc.freeze()
