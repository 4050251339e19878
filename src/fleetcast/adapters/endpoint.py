"""The multi-model endpoint: what it is, and one invocation of it."""

import json
import re
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fleetcast.adapters.clients import client
from fleetcast.domain.endpoints import Current, describe_serving
from fleetcast.errors import DataError, PlatformError, RequestError

# API Gateway gives up after 29 s: answer before it does. A loading model is reported after 60 s, so the
# caller is told to come back instead.
_READ_TIMEOUT_SECONDS = 20
_ABSENT = re.compile(r"[Ee]ndpoint .*not found", re.DOTALL)
# No answer at all (0: overload or a crash), unloaded in between, starting or ending, out of memory for the moment.
_CONTAINER_PASSING = frozenset((0, 404, 409, 503, 507))
_PASSING = frozenset(
    (
        *("ModelNotReadyException", "ServiceUnavailable", "InternalFailure", "InternalDependencyException"),
        *("ThrottlingException", "TooManyRequestsException", "ServiceUnavailableException"),
    )
)


def endpoint_status(name: str) -> str | None:
    """Return the endpoint's status, or None when there is no such endpoint."""
    endpoint = _describe(name)
    return str(endpoint["EndpointStatus"]) if endpoint else None


def describe_endpoint(name: str) -> Current | None:
    """Return the endpoint's status and what it serves, or None when there is no such endpoint."""
    sagemaker = client("sagemaker")
    endpoint = _describe(name)
    if endpoint is None:
        return None
    config_name = endpoint.get("EndpointConfigName")
    if endpoint["EndpointStatus"] != "InService" or not config_name:
        return Current(endpoint["EndpointStatus"], None)
    variant = sagemaker.describe_endpoint_config(EndpointConfigName=config_name)["ProductionVariants"][0]
    model = sagemaker.describe_model(ModelName=variant["ModelName"])
    return Current(endpoint["EndpointStatus"], describe_serving(model, variant))


def _describe(name: str) -> dict[str, Any] | None:
    try:
        endpoint: dict[str, Any] = client("sagemaker").describe_endpoint(EndpointName=name)
    except ClientError as error:
        # SageMaker has no error of its own for this; the sentence is the only sign.
        if "Could not find" in error.response["Error"]["Message"]:
            return None
        raise
    return endpoint


def invoke(endpoint: str, target_model: str, document: dict[str, Any]) -> Any:
    """Ask one model for its answer.

    Raises:
        RequestError: the model refused the request.
        DataError: the model is broken or gone; nothing the caller sends will help.
        PlatformError: not ready, overloaded, or too slow; later it may work.
    """
    runtime = client("sagemaker-runtime", read_timeout=_READ_TIMEOUT_SECONDS, attempts=1)
    try:
        response = runtime.invoke_endpoint(
            EndpointName=endpoint,
            TargetModel=target_model,
            ContentType="application/json",
            Accept="application/json",
            Body=json.dumps(document),
        )
        answer = json.loads(response["Body"].read(), parse_constant=_refuse_constant)
    except ClientError as error:
        raise _translate(error, target_model) from error
    except ValueError as error:
        raise DataError(f"model {target_model} answered with something that is no JSON: {error}") from error
    except BotoCoreError as error:
        raise PlatformError("the model did not answer in time; try again") from error
    return answer


def _refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity: Python takes them for JSON, callers do not."""
    raise ValueError(f"{name} is no number")


def _translate(error: ClientError, target_model: str) -> Exception:
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    if code == "ModelError":
        return _from_container(error, target_model)
    if code in _PASSING or (code == "ValidationError" and _ABSENT.search(message)):
        return PlatformError(f"the endpoint is not ready: {code}: {message}")
    if code == "ValidationError":
        return DataError(f"model {target_model} cannot be served: {message}")
    unforeseen: Exception = error
    return unforeseen  # such as a denied access: waiting will not help, and the caller cannot


def _from_container(error: ClientError, target_model: str) -> Exception:
    """Judge what the container said; only its own words about the request may reach a caller."""
    status = int(error.response.get("OriginalStatusCode", 0))
    said = _document(str(error.response.get("OriginalMessage", "")))
    if status == 400 and said.get("code") == "InvalidRequest":
        return RequestError(str(said["message"]), said.get("field"))
    if status in _CONTAINER_PASSING:
        return PlatformError(f"the container is not ready: {status}: {said}")
    return DataError(f"model {target_model} cannot answer: {status}: {said}")


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        return {"message": text[:200]}
    return document if isinstance(document, dict) and "message" in document else {"message": text[:200]}
