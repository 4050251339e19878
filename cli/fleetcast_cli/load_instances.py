"""How many instances an endpoint has while a load test goes on, asked now and then in the background."""

import threading
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

_PAUSE_SECONDS = 5.0


class Instances:
    """Keeps the latest answer; a failed question keeps the one before."""

    def __init__(self, sagemaker: Any, endpoint: str) -> None:
        self._sagemaker, self._endpoint = sagemaker, endpoint
        self._now: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def now(self) -> int | None:
        return self._now

    def _watch(self) -> None:
        while True:
            try:
                described = self._sagemaker.describe_endpoint(EndpointName=self._endpoint)
                variants = described.get("ProductionVariants", [])
                self._now = sum(variant.get("CurrentInstanceCount", 0) for variant in variants) or None
            except (BotoCoreError, ClientError):
                pass  # an endpoint that does not say how large it is can still be asked for forecasts
            if self._stop.wait(_PAUSE_SECONDS):
                return
