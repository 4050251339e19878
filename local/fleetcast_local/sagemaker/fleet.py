"""The instances that serve one endpoint configuration, and which of them takes a request."""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from fleetcast_local.sagemaker.instance import Instance, NotHealthy, Serving
from fleetcast_local.sagemaker.model_cache import ModelCache
from fleetcast_local.sagemaker.platform import Platform, now
from fleetcast_local.sagemaker.transfer import Transfer
from fleetcast_local.sagemaker.variant_metrics import VariantMetrics

logger = logging.getLogger(__name__)

# A model stays where it is loaded until its instance has so many more requests than another one.
_HOT = 8
_MAX_BACKOFF = 30.0


class Replica(NamedTuple):
    """An instance and, behind a multi-model endpoint, the models on it."""

    instance: Instance
    models: ModelCache | None

    def close(self, drain: float) -> None:
        self.instance.close(drain)
        if self.models:
            self.models.close()

    def cost(self, target: str | None) -> tuple[int, int]:
        if self.models is None or target is None:
            return self.instance.in_flight, 0
        elsewhere = 0 if self.models.holds(target) else _HOT
        return self.instance.in_flight + elsewhere, len(self.models)


class Variant:
    """One production variant: its instances, which may become more or fewer."""

    def __init__(
        self, platform: Platform, serving: Serving, metrics: VariantMetrics, *, count: int, weight: float
    ) -> None:
        self._platform = platform
        self.serving = serving
        self.metrics = metrics
        self.wanted = count
        self.weight = weight
        self.deployed_at = now()
        # Replaced as a whole, never changed: requests read it without a lock.
        self.replicas: tuple[Replica, ...] = ()
        self._lock = threading.Lock()
        self._closed = False
        self._starting: list[Instance] = []
        self._draining: tuple[Replica, ...] = ()
        self._reviving: set[str] = set()

    def enter(self, target: str | None) -> Replica | None:
        """Return the best replica with the request counted in, or None when no instance takes requests."""
        replicas = self.replicas
        ordered = replicas if len(replicas) == 1 else sorted(replicas, key=lambda r: r.cost(target))
        return next((replica for replica in ordered if replica.instance.enter()), None)

    def scale(self, count: int) -> None:
        """Start what is missing, drain what is too much; raise NotHealthy and change nothing if a start fails."""
        kept, surplus = self.replicas[:count], self.replicas[count:]
        added = self._launch(count - len(kept))
        with self._lock:
            if not self._closed:
                self.wanted = count
                self.replicas = kept + added
                self._draining += surplus
        if self._closed:
            in_parallel([partial(replica.close, 0) for replica in added])
            raise self._no_more()
        in_parallel([partial(replica.close, self._platform.timing.drain) for replica in surplus])
        with self._lock:
            self._draining = tuple(replica for replica in self._draining if replica not in surplus)

    def close(self, drain: float) -> None:
        """End every instance, for good; called again with a shorter drain it cuts short what still drains."""
        with self._lock:
            self._closed = True
            self._draining += self.replicas
            self.replicas = ()
            starting, draining = self._starting, self._draining
        in_parallel(
            [partial(instance.close, 0) for instance in starting]
            + [partial(replica.close, drain) for replica in draining]
        )

    def revive(self) -> None:
        """Restart the containers that have died, each in a thread of its own."""
        for replica in self.replicas:
            instance = replica.instance
            if instance.has_died and instance.name not in self._reviving:
                self._reviving.add(instance.name)
                threading.Thread(target=self._revive, args=(instance,), daemon=True).start()

    def summary(self) -> dict[str, Any]:
        """Return the variant as DescribeEndpoint shows it."""
        image = self.serving.image
        return {
            "VariantName": self.serving.variant,
            "DeployedImages": [
                {
                    "SpecifiedImage": image.uri,
                    "ResolvedImage": image.resolved_uri,
                    "ResolutionTime": self.deployed_at,
                }
            ],
            "CurrentWeight": self.weight,
            "DesiredWeight": self.weight,
            "CurrentInstanceCount": len(self.replicas),
            "DesiredInstanceCount": self.wanted,
        }

    def _launch(self, count: int) -> tuple[Replica, ...]:
        instances = [self._new_instance() for _ in range(count)]
        with self._lock:
            if self._closed:
                raise self._no_more()
            self._starting = instances
        try:
            in_parallel([instance.launch for instance in instances])
        except BaseException:
            in_parallel([partial(instance.close, 0) for instance in instances])
            raise
        finally:
            self._starting = []
        return tuple(self._replica(instance) for instance in instances)

    def _no_more(self) -> NotHealthy:
        return NotHealthy(f"Production variant {self.serving.variant} was stopped while it was to change.")

    def _new_instance(self) -> Instance:
        return Instance(self._platform, self.serving, f"i-{random.getrandbits(64):016x}")

    def _replica(self, instance: Instance) -> Replica:
        if not self.serving.multi_model:
            return Replica(instance, None)
        transfer = Transfer(self._platform.clients)
        return Replica(instance, ModelCache(instance, transfer, self._platform.timing, self.metrics))

    def _revive(self, instance: Instance) -> None:
        backoff = 1.0
        logger.warning("%s of endpoint %s died; starting it again", instance.name, self.serving.endpoint)
        try:
            while instance.has_died:
                try:
                    instance.start()
                except NotHealthy as error:
                    logger.warning("%s", error)
                    time.sleep(backoff)
                    backoff = min(2 * backoff, _MAX_BACKOFF)
        finally:
            self._reviving.discard(instance.name)


class Fleet:
    """All variants of an endpoint, deployed together."""

    def __init__(self, variants: list[Variant]) -> None:
        self.variants = {variant.serving.variant: variant for variant in variants}

    def launch(self) -> None:
        """Start every instance and wait until all are healthy; raise NotHealthy with nothing left running."""
        try:
            in_parallel([partial(variant.scale, variant.wanted) for variant in self.variants.values()])
        except BaseException:
            self.close(0)
            raise

    def choose(self, name: str | None) -> Variant | None:
        """Return the named variant, or one by the variants' weights."""
        if name is not None:
            return self.variants.get(name)
        variants = list(self.variants.values())
        if len(variants) == 1 or not any(variant.weight for variant in variants):
            return variants[0]
        return random.choices(variants, [variant.weight for variant in variants])[0]  # noqa: S311

    def close(self, drain: float) -> None:
        in_parallel([partial(variant.close, drain) for variant in self.variants.values()])


def in_parallel(calls: Sequence[Callable[[], None]]) -> None:
    """Make the calls at the same time; when all have ended, raise the first error."""
    if not calls:
        return
    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(call) for call in calls]
    for future in futures:
        future.result()
