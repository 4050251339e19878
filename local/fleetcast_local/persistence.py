"""Saves MiniStack's state while it runs, so that a killed daemon loses seconds and not the project."""

import logging
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ministack import app
from ministack.core import persistence as ministack_persistence

logger = logging.getLogger("fleetcast.persistence")

# What a request changed is saved this soon; what it changed elsewhere (a log, a queue) with the next sweep.
_SOON_SECONDS = 1.0
_SWEEP_SECONDS = 20.0
# A save holds the interpreter; a large state is therefore saved less often, never more than this share of time.
_SHARE = 0.1
_READS = (
    "Describe",
    "List",
    "Get",
    "BatchGet",
    "Query",
    "Scan",
    "Head",
    "Receive",
    "Invoke",
    "Lookup",
    "Filter",
)

Handler = Callable[[str, str, dict[str, str], bytes, dict[str, Any]], Awaitable[Any]]


class StateKeeper:
    """Notices which service a request changed and saves that service's state shortly after."""

    def __init__(self) -> None:
        self._changed: set[str] = set()
        self._anything = False
        self._wake = threading.Condition()
        self._stopped = False
        self._saving = threading.Lock()
        self._cost = 0.0

    def start(self) -> None:
        for service, handler in list(app.SERVICE_HANDLERS.items()):
            if service not in app.SERVICE_REGISTRY:
                continue  # ours, which keep their own records
            app.SERVICE_HANDLERS[service] = self._watched(service, handler)
        threading.Thread(target=self._loop, name="state-keeper", daemon=True).start()

    def touch(self, service: str) -> None:
        """Note that a service's state changed without a request of its own."""
        with self._wake:
            self._changed.add(service)
            self._wake.notify()

    def stop(self) -> None:
        """End the saving for good; MiniStack saves everything once more when its server shuts down."""
        with self._wake:
            self._stopped = True
            self._wake.notify()
        with self._saving:
            pass

    def _watched(self, service: str, handler: Handler) -> Handler:
        async def watch(
            method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
        ) -> Any:
            answer = await handler(method, path, headers, body, query)
            if not _only_reads(method, headers):
                self.touch(service)
            return answer

        return watch

    def _loop(self) -> None:
        swept = time.monotonic()
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._changed or self._stopped, timeout=_SWEEP_SECONDS)
                if self._stopped:
                    return
            time.sleep(max(_SOON_SECONDS, self._cost / _SHARE))
            with self._wake:
                changed, self._changed = self._changed, set()
            self._anything = self._anything or bool(changed)
            # CloudFormation creates resources of every service without a request to any of them.
            everything = "cloudformation" in changed or (
                self._anything and time.monotonic() - swept > _SWEEP_SECONDS
            )
            self._save(None if everything else changed)
            if everything:
                swept, self._anything = time.monotonic(), False

    def _save(self, services: set[str] | None) -> None:
        states = app._build_persistence_save_dict()
        wanted = set(states) if services is None else _state_keys(services)
        began = time.monotonic()
        with self._saving:
            if not self._stopped:
                _save_states({key: state for key, state in states.items() if key in wanted})
        self._cost = time.monotonic() - began


def _only_reads(method: str, headers: dict[str, str]) -> bool:
    operation = headers.get("x-amz-target", "").rpartition(".")[2]
    return method in ("GET", "HEAD") or operation.startswith(_READS)


def _state_keys(services: set[str]) -> set[str]:
    keys: set[str] = set()
    for service in services & app.SERVICE_REGISTRY.keys():
        entry = app.SERVICE_REGISTRY[service]
        keys |= {entry.get("state_key", entry["module"]), *entry.get("sub_modules", ())}
    return keys


def _save_states(states: dict[str, Callable[[], Any]]) -> None:
    for key, state in states.items():
        # The server goes on working meanwhile; a dictionary that grew while it was copied is copied again.
        for _ in range(5):
            try:
                snapshot = state()
            except RuntimeError:
                continue
            if snapshot is not None:
                ministack_persistence.save_state(key, snapshot)
            break
