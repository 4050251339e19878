"""The data plane: one request to an endpoint, and every way it can fail."""

import json
import logging
import time
import uuid
from collections.abc import Mapping
from typing import NamedTuple, cast

from fleetcast_local.sagemaker.connections import Answer, NoAnswer
from fleetcast_local.sagemaker.endpoints import Endpoints
from fleetcast_local.sagemaker.fleet import Replica, Variant
from fleetcast_local.sagemaker.model_cache import (
    TARGET_HEADER,
    LoadFailed,
    ModelCache,
    ModelMissing,
    ModelNotReady,
)
from fleetcast_local.sagemaker.platform import Platform

logger = logging.getLogger(__name__)

MAX_BODY = 25 << 20
_MAX_MESSAGE = 4096
_MAX_HEADER = 1024
_ATTEMPTS = 4
_PASSED_ON = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes", TARGET_HEADER)


class InvokeResponse(NamedTuple):
    """A complete HTTP answer of the runtime API, errors included."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Refused(Exception):
    def __init__(self, status: int, code: str, message: str, **members: object) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.members = {"Message": message, "message": message, **members}

    def response(self) -> InvokeResponse:
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": self.code}
        return InvokeResponse(self.status, headers, json.dumps(self.members).encode())


class Invoker:
    """Passes requests to containers; safe to use from any number of threads."""

    def __init__(self, platform: Platform, endpoints: Endpoints) -> None:
        self._platform = platform
        self._endpoints = endpoints

    def invoke(self, endpoint: str, body: bytes, headers: Mapping[str, str]) -> InvokeResponse:
        """Answer InvokeEndpoint as the service does."""
        given = {name.lower(): value for name, value in headers.items()}
        try:
            return self._route(endpoint, body, given)
        except _Refused as refused:
            return refused.response()
        except Exception:
            identity = uuid.uuid4()
            logger.exception("An invocation of endpoint %s failed (%s)", endpoint, identity)
            sentence = f"The local SageMaker failed; its log says more under {identity}."
            return _Refused(500, "InternalFailure", sentence).response()

    def _route(self, endpoint: str, body: bytes, headers: dict[str, str]) -> InvokeResponse:
        if len(body) > MAX_BODY:
            raise _Refused(413, "ValidationError", f"The request body must not exceed {MAX_BODY} bytes.")
        _check_headers(headers)
        target = headers.get(TARGET_HEADER.lower())
        for _ in range(_ATTEMPTS):
            variant = self._variant(endpoint, headers.get("x-amzn-sagemaker-target-variant"))
            _check_target(endpoint, variant, target)
            replica = variant.enter(target)
            if replica is not None:
                return self._invoke(variant, replica, body, headers, target)
            # The fleet may just have been replaced: look again.
            time.sleep(0.005)
        raise _Refused(
            503, "ServiceUnavailable", f"No instance of endpoint {endpoint} is healthy. Try again."
        )

    def _variant(self, endpoint: str, name: str | None) -> Variant:
        fleet = self._endpoints.fleet(endpoint)
        if fleet is None and self._endpoints.is_returning(endpoint):
            raise _Refused(
                503, "ServiceUnavailable", f"Endpoint {endpoint} is being started again. Try again."
            )
        if fleet is None:
            raise _Refused(
                400, "ValidationError", f"Endpoint {endpoint} of account {self._platform.account} not found."
            )
        variant = fleet.choose(name)
        if variant is None:
            raise _Refused(400, "ValidationError", f"Variant {name} not found for endpoint {endpoint}.")
        return variant

    def _invoke(
        self, variant: Variant, replica: Replica, body: bytes, headers: dict[str, str], target: str | None
    ) -> InvokeResponse:
        started = time.perf_counter()
        status, latency, by_model = 500, 0.0, True
        try:
            passed = {name: headers[name.lower()] for name in _PASSED_ON if name.lower() in headers}
            if replica.models is None or target is None:
                answer, latency = self._send(replica, "/invocations", body, passed)
            else:
                answer, latency = self._send_to_model(variant, replica, body, passed)
            status = answer.status
            if status >= 400:
                raise self._model_error(replica, status, answer.body.decode("utf-8", "replace"))
            return _response(variant, answer)
        except NoAnswer as error:
            raise self._no_answer(replica, error) from error
        except LoadFailed as error:
            status = error.status or 500
            raise self._model_error(replica, error.status, error.message) from error
        except ModelMissing as error:
            status, by_model = 400, False
            raise _Refused(400, "ValidationError", str(error)) from error
        except ModelNotReady as error:
            status, by_model = 429, False
            raise self._not_ready(error) from error
        finally:
            replica.instance.leave()
            _count(variant, status, latency, time.perf_counter() - started, by_model=by_model)

    def _send_to_model(
        self, variant: Variant, replica: Replica, body: bytes, passed: dict[str, str]
    ) -> tuple[Answer, float]:
        models, target = cast("ModelCache", replica.models), passed[TARGET_HEADER]
        variant.metrics.add(ModelCacheHit=float(models.holds(target)))
        for attempt in range(_ATTEMPTS):
            model = models.acquire(target)
            try:
                answer, latency = self._send(replica, f"/models/{model.name}/invoke", body, passed)
            finally:
                models.release(model)
            if attempt == _ATTEMPTS - 1:
                break
            if answer.status == 404 and attempt == 0:
                models.forget(model)  # unloaded between our look and the request
            elif answer.status != 507 or not models.make_room(model):
                break
        return answer, latency

    def _send(
        self, replica: Replica, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[Answer, float]:
        started = time.perf_counter()
        answer = replica.instance.connections.request(
            "POST", path, body=body, headers=headers, timeout=self._platform.timing.invocation
        )
        return answer, time.perf_counter() - started

    def _model_error(self, replica: Replica, status: int, message: str) -> _Refused:
        instance = replica.instance
        whose = "client" if 400 <= status < 500 else "server"
        stream = f"{instance.serving.variant}/{instance.name}"
        group = f"/aws/sagemaker/Endpoints/{instance.serving.endpoint}"
        return _Refused(
            424,
            "ModelError",
            f'Received {whose} error ({status}) from primary with message "{message[:_MAX_MESSAGE]}". '
            f"See {instance.log} for more information.",
            OriginalStatusCode=status,
            OriginalMessage=message[:_MAX_MESSAGE],
            LogStreamArn=f"arn:aws:logs:{self._platform.region}:{self._platform.account}:"
            f"log-group:{group}:log-stream:{stream}",
        )

    def _no_answer(self, replica: Replica, error: NoAnswer) -> _Refused:
        if error.timed_out:
            text = "Invocation timed out while waiting for a response from container primary."
        else:
            replica.instance.note_death()
            text = f"Your invocation failed because the model container gave no answer: {error}."
        return self._model_error(replica, 0, text)

    def _not_ready(self, error: ModelNotReady) -> _Refused:
        seconds = self._platform.timing.model_wait
        return _Refused(
            429,
            "ModelNotReadyException",
            f"Model {error} was not ready within {seconds:g} seconds. It is still being loaded; try again.",
        )


def _check_headers(headers: dict[str, str]) -> None:
    for name in _PASSED_ON:
        value = headers.get(name.lower(), "")
        if len(value) > _MAX_HEADER or not value.isascii() or not value.isprintable():
            raise _Refused(
                400, "ValidationError", f"{name} must have at most {_MAX_HEADER} printable ASCII characters."
            )


def _check_target(endpoint: str, variant: Variant, target: str | None) -> None:
    if variant.serving.multi_model and not target:
        raise _Refused(
            400,
            "ValidationError",
            f"Endpoint {endpoint} is a multi-model endpoint: TargetModel must be given.",
        )
    if target and not variant.serving.multi_model:
        raise _Refused(
            400,
            "ValidationError",
            f"Endpoint {endpoint} is not a multi-model endpoint and does not support target model header {target}.",
        )


def _response(variant: Variant, answer: Answer) -> InvokeResponse:
    headers = {
        "Content-Type": answer.headers.get("Content-Type") or "application/octet-stream",
        "x-Amzn-Invoked-Production-Variant": variant.serving.variant,
    }
    attributes = answer.headers.get("X-Amzn-SageMaker-Custom-Attributes")
    if attributes:
        headers["X-Amzn-SageMaker-Custom-Attributes"] = attributes
    return InvokeResponse(200, headers, answer.body)


def _count(variant: Variant, status: int, latency: float, whole: float, *, by_model: bool) -> None:
    client_error, server_error = 400 <= status < 500, status >= 500
    variant.metrics.add(
        Invocations=1.0,
        InvocationsPerInstance=1.0 / max(1, len(variant.replicas)),
        Invocation4XXErrors=float(client_error),
        Invocation5XXErrors=float(server_error),
        InvocationModelErrors=float(by_model and status != 200),
        ModelLatency=latency * 1e6,
        OverheadLatency=max(0.0, whole - latency) * 1e6,
    )
