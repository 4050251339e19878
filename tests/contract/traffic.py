"""Requests without a pause, while a test does something to the endpoint that serves them."""

import itertools
import threading
from collections.abc import Sequence
from typing import Self

from tests.contract.lab import Lab

from fleetcast_local.sagemaker.service import InvokeResponse


class Traffic:
    """Several callers, each of whom asks the models in turn and waits for every answer."""

    def __init__(
        self, lab: Lab, models: Sequence[str] = ("a",), *, threads: int = 4, body: bytes = b"sleep 0.01"
    ) -> None:
        self.answers: list[tuple[str, InvokeResponse]] = []
        self._lab = lab
        self._models = models
        self._body = body
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    @property
    def failures(self) -> list[tuple[str, InvokeResponse]]:
        return [answer for answer in self.answers if answer[1].status != 200]

    def _run(self, number: int) -> None:
        # Each caller begins elsewhere, so that all models are asked for at any time.
        first = number * len(self._models) // len(self._threads)
        for model in itertools.cycle([*self._models[first:], *self._models[:first]]):
            if self._done.is_set():
                return
            self.answers.append((model, self._lab.invoke(model, self._body)))
