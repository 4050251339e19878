"""StartBuild, StopBuild, and the builds' records."""

import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fleetcast_local.codebuild.build import Build, Order
from fleetcast_local.codebuild.progress import KIND, Emit, Progress
from fleetcast_local.codebuild.variables import Variables
from fleetcast_local.records import Record, Records
from fleetcast_local.sagemaker.platform import CachedClients, ignore_events
from fleetcast_local.sandbox import base_environment
from fleetcast_local.service_model import ApiError, service_model

_DEFAULT_TIMEOUT = 60
_TOKEN_LIFE = 300.0
# A build on AWS reaches the Internet and may reach a container engine; how, is this machine's business.
_NETWORK = (
    "FLEETCAST_BUILDER DOCKER_HOST HTTP_PROXY HTTPS_PROXY http_proxy https_proxy SSL_CERT_FILE SSL_CERT_DIR "
    "REQUESTS_CA_BUNDLE PIP_CONFIG_FILE PIP_INDEX_URL PIP_CERT UV_INDEX_URL UV_DEFAULT_INDEX"
)


class LocalCodeBuild:
    """CodeBuild on one machine."""

    def __init__(  # noqa: PLR0913 - where it lives, whom it talks to, how it is named: a frozen set of facts
        self,
        store: Path,
        clients: Callable[[str], Any],
        *,
        account: str = "000000000000",
        region: str = "us-east-1",
        environment: Mapping[str, str] | None = None,
        emit: Emit = ignore_events,
        seconds_per_minute: float = 60.0,
    ) -> None:
        """Make a CodeBuild; builds that a crash left behind as running are recorded as FAULT.

        Args:
            store: the local cloud's folder: records in state/, logs in logs/builds/, images in images/.
            clients: makes a boto3 client for a service name.
            account: the account id of the ARNs.
            region: the Region of the ARNs.
            environment: what a build needs to reach the local cloud.
            emit: called with source, detail type and detail of each state and phase change.
            seconds_per_minute: how long a minute of timeoutInMinutes is; tests shorten it.
        """
        self._store = store.absolute()
        self._clients = CachedClients(clients)
        self._account = account
        self._region = region
        self._environment = dict(environment or {})
        self._emit = emit
        self._minute = seconds_per_minute
        self._model = service_model("codebuild", "InvalidInputException")
        self._records = Records(store / "state" / "codebuild")
        self._running: dict[str, tuple[Build, threading.Thread]] = {}
        self._tokens: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()
        self._fault_the_abandoned()

    def start_build(self, project: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
        """Begin a build of the project and return its record, or raise ApiError."""
        self._model.check("StartBuild", request)
        with self._lock:
            earlier = self._of_token(request.get("idempotencyToken"))
            if earlier is not None:
                return self.build(earlier)
            record = self._new_record(project, request)
            self._records.put(KIND, record["id"], record)
            if "idempotencyToken" in request:
                self._tokens[request["idempotencyToken"]] = time.monotonic(), record["id"]
        progress = Progress(self._records, record["id"], self._emit)
        progress.announce()
        self._launch(
            record, _order(project, request, self._build_environment(record), self._seconds(record)), progress
        )
        return self.build(record["id"])

    def stop_build(self, build_id: str) -> dict[str, Any]:
        """Ask a build to stop and return its record; a build that has ended stays as it is."""
        record = self.build(build_id)
        running = self._running.get(record["id"])
        if running is not None:
            running[0].stop.set()
        return record

    def build(self, build_id: str) -> dict[str, Any]:
        """Return a build by its id or ARN, as the API shows it."""
        record = self._records.get(KIND, _plain_id(build_id))
        if record is None:
            raise ApiError("ResourceNotFoundException", f"The build {build_id} does not exist.")
        return self._model.known("Build", record)

    def batch_get_builds(self, ids: list[str]) -> dict[str, Any]:
        """Answer BatchGetBuilds."""
        known = set(self._records.names(KIND))
        found = [self.build(build_id) for build_id in ids if _plain_id(build_id) in known]
        return {"builds": found, "buildsNotFound": [i for i in ids if _plain_id(i) not in known]}

    def list_builds_for_project(self, project: str) -> dict[str, Any]:
        """Answer ListBuildsForProject, the newest first."""
        builds = [build for build in self._records.all(KIND) if build["projectName"] == project]
        builds.sort(key=lambda build: -build["buildNumber"])
        return {"ids": [build["id"] for build in builds]}

    def stop(self) -> None:
        """End every running build and wait until the records say so."""
        running = list(self._running.values())
        for build, _ in running:
            build.stop.set()
        for _, thread in running:
            thread.join(timeout=30)

    def _fault_the_abandoned(self) -> None:
        for record in self._records.all(KIND):
            if not record["buildComplete"]:
                progress = Progress(self._records, record["id"], self._emit)
                progress.end_phase("FAULT", "INTERNAL_ERROR", "The local cloud was stopped during the build")
                progress.finish("FAULT")

    def _of_token(self, token: str | None) -> str | None:
        begun, build_id = self._tokens.get(token or "", (0.0, ""))
        return build_id if build_id and time.monotonic() - begun < _TOKEN_LIFE else None

    def _new_record(self, project: dict[str, Any], request: dict[str, Any]) -> Record:
        name = request["projectName"]
        _check_artifacts(request.get("artifactsOverride") or project.get("artifacts") or {})
        identity = str(uuid.uuid4())
        group = f"/aws/codebuild/{name}"
        logs_arn = f"arn:aws:logs:{self._region}:{self._account}"
        arn = f"arn:aws:codebuild:{self._region}:{self._account}"
        return {
            "id": f"{name}:{identity}",
            "arn": f"{arn}:build/{name}:{identity}",
            "projectName": name,
            "buildNumber": 1 + max((b["buildNumber"] for b in self._builds_of(name)), default=0),
            "buildStatus": "IN_PROGRESS",
            "buildComplete": False,
            "currentPhase": "SUBMITTED",
            "phases": [],
            "startTime": time.time(),
            "initiator": "fleetcast",
            "source": _source(project, request),
            **({"sourceVersion": request["sourceVersion"]} if "sourceVersion" in request else {}),
            "artifacts": {"location": ""},
            "environment": project.get("environment", {}),
            "serviceRole": request.get("serviceRoleOverride") or project.get("serviceRole", ""),
            "timeoutInMinutes": request.get("timeoutInMinutesOverride")
            or project.get("timeoutInMinutes")
            or _DEFAULT_TIMEOUT,
            "queuedTimeoutInMinutes": project.get("queuedTimeoutInMinutes") or 480,
            "encryptionKey": project.get("encryptionKey")
            or f"arn:aws:kms:{self._region}:{self._account}:alias/aws/s3",
            "exportedEnvironmentVariables": [],
            "logs": {
                "groupName": group,
                "streamName": identity,
                "deepLink": self._log(name, identity).as_uri(),
                "cloudWatchLogsArn": f"{logs_arn}:log-group:{group}:log-stream:{identity}",
            },
        }

    def _builds_of(self, project: str) -> list[Record]:
        return [build for build in self._records.all(KIND) if build["projectName"] == project]

    def _log(self, project: str, identity: str) -> Path:
        return self._store / "logs" / "builds" / f"{project}-{identity}.log"

    def _seconds(self, record: Record) -> float:
        return float(record["timeoutInMinutes"] * self._minute)

    def _build_environment(self, record: Record) -> dict[str, str]:
        version = record.get("sourceVersion", "")
        return {
            **{name: os.environ[name] for name in _NETWORK.split() if name in os.environ},
            **base_environment(self._store),
            **self._environment,
            "FLEETCAST_IMAGE_STORE": str(self._store / "images"),
            "CI": "true",
            "CODEBUILD_CI": "true",
            "CODEBUILD_BUILD_ARN": record["arn"],
            "CODEBUILD_BUILD_ID": record["id"],
            "CODEBUILD_BUILD_IMAGE": record["environment"].get("image", ""),
            "CODEBUILD_BUILD_NUMBER": str(record["buildNumber"]),
            "CODEBUILD_BUILD_SUCCEEDING": "1",
            "CODEBUILD_INITIATOR": record["initiator"],
            "CODEBUILD_LOG_PATH": record["logs"]["streamName"],
            "CODEBUILD_PROJECT_ARN": record["arn"].replace(":build/", ":project/").rsplit(":", 1)[0],
            "CODEBUILD_RESOLVED_SOURCE_VERSION": version,
            "CODEBUILD_SOURCE_REPO_URL": record["source"].get("location", ""),
            "CODEBUILD_SOURCE_VERSION": version,
            "CODEBUILD_START_TIME": str(int(record["startTime"] * 1000)),
            "AWS_REGION": self._region,
            "AWS_DEFAULT_REGION": self._region,
        }

    def _launch(self, record: Record, order: Order, progress: Progress) -> None:
        name, identity = record["projectName"], record["logs"]["streamName"]
        folder = self._store / "builds" / identity
        build = Build(self._clients, order, progress, folder, self._log(name, identity))

        def run() -> None:
            try:
                build.run()
            finally:
                self._running.pop(record["id"], None)

        thread = threading.Thread(target=run, name=f"build {record['id']}", daemon=True)
        self._running[record["id"]] = build, thread
        thread.start()


def _source(project: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    source = dict(project.get("source") or {"type": "NO_SOURCE"})
    overrides = {
        "type": request.get("sourceTypeOverride"),
        "location": request.get("sourceLocationOverride"),
        "buildspec": request.get("buildspecOverride"),
    }
    return source | {key: value for key, value in overrides.items() if value}


def _order(
    project: dict[str, Any], request: dict[str, Any], environment: dict[str, str], seconds: float
) -> Order:
    source = _source(project, request)
    variables = [
        *project.get("environment", {}).get("environmentVariables", []),
        *request.get("environmentVariablesOverride", []),
    ]
    return Order(
        source=source,
        version=request.get("sourceVersion") or project.get("sourceVersion"),
        buildspec=source.get("buildspec"),
        variables=Variables(tuple(variables)),
        environment=environment,
        seconds=seconds,
    )


def _check_artifacts(artifacts: dict[str, Any]) -> None:
    kind = artifacts.get("type", "NO_ARTIFACTS")
    if kind != "NO_ARTIFACTS":
        raise ApiError(
            "InvalidInputException", f"The local CodeBuild has no artifacts of type {kind}; use NO_ARTIFACTS."
        )


def _plain_id(id_or_arn: str) -> str:
    return id_or_arn.rpartition(":build/")[2]
