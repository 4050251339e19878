"""Keeps the garbage collector from looking at every model again and again."""

import gc

_FIRST = 1000
# Objects that are made before the collector looks at the young ones. Hundreds of requests are in the works at a time,
# of ten objects each and without a cycle among them: with the default of 700 it takes a tenth of all time.
_YOUNG = 20_000


class Settler:
    """Tells the collector that what is here stays, whenever the models have become a quarter more.

    A full collection looks at everything that it was not told to leave out, and a request waits 30 ms meanwhile where
    20,000 models are ready. Not more often: what was left out and becomes a cycle later is never found.
    """

    def __init__(self) -> None:
        self._settled = 0

    def begin(self) -> None:
        """Settle what was there before any model."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG, 10, 10)

    def look(self, models: int) -> None:
        if models >= self._settled + max(_FIRST, self._settled // 4):
            self._settled = models
            gc.collect(1)
            gc.freeze()
