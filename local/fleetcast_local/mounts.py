"""Mounts our own services on MiniStack's port: SageMaker, Application Auto Scaling and CodeBuild's builds."""

import asyncio
import json
import logging
import os
import re
import threading
import uuid
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from ministack import app
from ministack.core import router
from ministack.services.cloudformation import provisioners

from fleetcast_local import builds, events
from fleetcast_local.answers import Answer, refused
from fleetcast_local.autoscaling import LocalAutoScaling
from fleetcast_local.codebuild import LocalCodeBuild
from fleetcast_local.guard import local_settings, require_local
from fleetcast_local.layout import ACCOUNT, REGION, Layout
from fleetcast_local.sagemaker.invocation import MAX_BODY
from fleetcast_local.sagemaker.platform import CachedClients
from fleetcast_local.sagemaker.service import LocalSageMaker, Timing
from fleetcast_local.service_model import ApiError
from fleetcast_local.settings import minute_seconds

logger = logging.getLogger("fleetcast.mounts")

Call = Callable[[str, dict[str, Any]], dict[str, Any]]

_JSON = {"Content-Type": "application/x-amz-json-1.1"}
_INVOCATIONS = re.compile(r"/endpoints/([^/]+)/invocations")
_S3_SIGNATURE = re.compile(r"(/|%2F)s3(/|%2F)aws4_request", re.IGNORECASE)
# What decides nothing and may be asked of a cloud that has just stopped is not asked for long.
_PATIENCE = {"cloudwatch": Config(retries={"total_max_attempts": 2}, connect_timeout=2, read_timeout=10)}
# Endpoints are back within seconds; one that cannot start must not keep the cloud from answering.
_START_SECONDS = 20.0


class Services:
    """Our own services, as MiniStack's server and CloudFormation see them."""

    def __init__(self, layout: Layout) -> None:
        environment = local_settings(require_local(os.environ.get("AWS_ENDPOINT_URL")))
        self._events = _Announcer()
        self._scaling = LocalAutoScaling(
            layout.root, CachedClients(aws_client), self._call_sagemaker, account=ACCOUNT, region=REGION
        )
        self._sagemaker = LocalSageMaker(
            layout.root,
            aws_client,
            account=ACCOUNT,
            region=REGION,
            environment=environment,
            emit=self._events,
            timing=Timing(minute=minute_seconds(os.environ)),
            scaling=self._scaling,
        )
        self._codebuild = LocalCodeBuild(
            layout.root,
            aws_client,
            account=ACCOUNT,
            region=REGION,
            environment=environment,
            emit=self._events,
        )

    def mount(self) -> None:
        _mount("sagemaker", "SageMaker.", self._answer_sagemaker)
        _mount("application-autoscaling", "AnyScaleFrontendService.", self._answer_scaling)
        builds.install(self._codebuild)
        provisioners._RESOURCE_HANDLERS["AWS::SageMaker::ModelPackageGroup"] = {
            "create": self._create_model_package_group,
            "delete": self._delete_model_package_group,
        }

    def start(self) -> None:
        self._events.open()
        starting = threading.Thread(target=self._sagemaker.start, name="start-endpoints", daemon=True)
        starting.start()
        starting.join(_START_SECONDS)

    def stop(self) -> None:
        self._codebuild.stop()
        self._sagemaker.stop()

    async def answered_invocation(self, scope: Any, receive: Any, send: Any) -> bool:
        """Answer InvokeEndpoint, which has a path of its own and is in more of a hurry than the rest of the API."""
        invocation = _INVOCATIONS.fullmatch(scope["path"])
        if invocation is None or scope["method"] != "POST":
            return False
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if _S3_SIGNATURE.search(headers.get("authorization", "") + scope["query_string"].decode("latin-1")):
            return False  # an object in a bucket that happens to be named endpoints
        body = await _read(receive, MAX_BODY)
        if body is None:
            return True  # nobody waits for an answer
        response = await asyncio.to_thread(self._sagemaker.invoke, invocation[1], body, headers)
        sent = {
            **response.headers,
            "Content-Length": str(len(response.body)),
            "x-amzn-RequestId": str(uuid.uuid4()),
        }
        start = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent.items()]
        await send({"type": "http.response.start", "status": response.status, "headers": start})
        await send({"type": "http.response.body", "body": response.body})
        return True

    async def _answer_sagemaker(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Answer:
        del method, path, query
        return await _answer(self._sagemaker.call, headers, body)

    async def _answer_scaling(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Answer:
        del method, path, query
        return await _answer(self._scaling.call, headers, body)

    def _call_sagemaker(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        # The two know each other: autoscaling is made first, and calls SageMaker only later.
        return self._sagemaker.call(operation, params)

    def _create_model_package_group(
        self, logical_id: str, properties: dict[str, Any], stack: str
    ) -> tuple[str, dict[str, str]]:
        name = properties.get("ModelPackageGroupName") or f"{stack}-{logical_id}"
        created = self._sagemaker.call(
            "CreateModelPackageGroup", {**properties, "ModelPackageGroupName": name}
        )
        arn = created["ModelPackageGroupArn"]
        return arn, {"ModelPackageGroupArn": arn, "ModelPackageGroupStatus": "Completed"}

    def _delete_model_package_group(self, arn: str, properties: dict[str, Any]) -> None:
        del properties
        self._sagemaker.call("DeleteModelPackageGroup", {"ModelPackageGroupName": arn.rpartition("/")[2]})


def aws_client(service: str) -> Any:
    """Return a client of the local endpoint; each from its own session, as sessions are not thread-safe."""
    return boto3.Session().client(
        service,
        region_name=REGION,
        endpoint_url=require_local(os.environ.get("AWS_ENDPOINT_URL")),
        config=Config(max_pool_connections=50).merge(_PATIENCE.get(service, Config())),
    )


def _mount(service: str, target_prefix: str, handler: Any) -> None:
    app.SERVICE_HANDLERS[service] = handler
    router.SERVICE_PATTERNS[service] = {
        "target_prefixes": [target_prefix],
        "host_patterns": [],
        "path_prefixes": [],
    }


async def _read(receive: Any, limit: int) -> bytes | None:
    """Return a request's body, or as much of it as proves that it is larger than the limit; None if it breaks off."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        # Read to its end all the same: a caller who is still sending would not see the answer.
        if len(body) <= limit:
            body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


async def _answer(call: Call, headers: dict[str, str], body: bytes) -> Answer:
    operation = headers.get("x-amz-target", "").rpartition(".")[2]
    try:
        answer = await asyncio.to_thread(call, operation, json.loads(body or b"{}"))
    except ApiError as error:
        return refused(error.code, error.message, error.status)
    return 200, dict(_JSON), json.dumps(answer, default=str).encode()


class _Announcer:
    """Passes events on; those of the start wait until the rules they may match have been restored."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, str, dict[str, Any]]] | None = []

    def __call__(self, source: str, detail_type: str, detail: dict[str, Any]) -> None:
        if self._waiting is None:
            events.emit(source, detail_type, detail, _resources(detail))
        else:
            self._waiting.append((source, detail_type, detail))

    def open(self) -> None:
        waiting, self._waiting = self._waiting or [], None
        for event in waiting:
            self(*event)


def _resources(detail: dict[str, Any]) -> list[str]:
    names = ("TrainingJobArn", "ProcessingJobArn", "EndpointArn", "ModelPackageArn", "build-id")
    return [detail[name] for name in names if name in detail]
