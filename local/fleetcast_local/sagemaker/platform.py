"""What every part of the local SageMaker works with."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleetcast_local.images import Clients, ImageStore
from fleetcast_local.records import Records
from fleetcast_local.sagemaker.scaling import Scaling, Unscaled

Emit = Callable[[str, str, dict[str, Any]], None]

logger = logging.getLogger(__name__)

_ARN_TYPES = {
    "TrainingJob": "training-job",
    "ProcessingJob": "processing-job",
    "Model": "model",
    "EndpointConfig": "endpoint-config",
    "Endpoint": "endpoint",
    "ModelPackageGroup": "model-package-group",
    "ModelPackage": "model-package",
}


@dataclass(frozen=True)
class Timing:
    """The platform's waits, in seconds. The defaults are AWS's, but for two that nobody waits for on a laptop."""

    job_grace: float = 120
    """Between SIGTERM and SIGKILL of a job."""
    serving_grace: float = 30
    """Between SIGTERM and SIGKILL of a serving container."""
    startup: float = 120
    """The longest that a serving container may take to pass /ping, whatever its variant asks for (AWS: 480)."""
    ping: float = 2
    model_wait: float = 60
    """How long a request waits for its model before ModelNotReadyException."""
    model_load: float = 350
    invocation: float = 60
    drain: float = 70
    scan: float = 1
    """Between two looks at checkpoints, continuous outputs and logs (AWS does not say)."""
    minute: float = 60
    """How long a minute of the metrics lasts, and with it everything that autoscaling counts in minutes."""


class CachedClients:
    """Makes each boto3 client once: making one is slow and not thread-safe, using one is neither."""

    def __init__(self, factory: Clients) -> None:
        self._factory = factory
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __call__(self, service: str) -> Any:
        if service not in self._clients:
            with self._lock:
                if service not in self._clients:
                    self._clients[service] = self._factory(service)
        return self._clients[service]


def ignore_events(source: str, detail_type: str, detail: dict[str, Any]) -> None:
    """Drop an event: nobody listens."""


@dataclass(frozen=True)
class Platform:
    """Where things are kept, who is told, and how long anything may take."""

    store: Path
    clients: CachedClients
    records: Records
    images: ImageStore
    environment: Mapping[str, str]
    """Added to every container's environment: how it reaches the local cloud."""
    account: str
    region: str
    emit: Emit = ignore_events
    timing: Timing = field(default_factory=Timing)
    scaling: Scaling = field(default_factory=Unscaled)

    @property
    def logs(self) -> Path:
        return self.store / "logs"

    def arn(self, kind: str, name: str) -> str:
        # SageMaker writes resource names in lower case in its ARNs.
        return f"arn:aws:sagemaker:{self.region}:{self.account}:{_ARN_TYPES[kind]}/{name.lower()}"

    def tell(self, detail_type: str, detail: dict[str, Any]) -> None:
        """Emit an event of SageMaker; a listener's failure is its own."""
        try:
            self.emit("aws.sagemaker", detail_type, detail)
        except Exception:
            logger.exception("An event could not be delivered: %s", detail_type)


def now() -> float:
    """Return the time as AWS's JSON protocol writes it."""
    return round(time.time(), 3)


def epoch_ms(seconds: float) -> str:
    """Return a time as SageMaker's events write it."""
    return str(int(seconds * 1000))


def event_detail(record: dict[str, Any], times: tuple[str, ...]) -> dict[str, Any]:
    """Return a record's public members as an event's detail carries them."""
    detail = {key: value for key, value in record.items() if not key.startswith("_")}
    detail.update({name: epoch_ms(record[name]) for name in times if name in record})
    return detail | {"Tags": {tag["Key"]: tag["Value"] for tag in record.get("_Tags", [])}}
