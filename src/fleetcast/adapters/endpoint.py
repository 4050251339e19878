"""The multi-model endpoint: what it is, and one invocation of it."""

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fleetcast.adapters.clients import client
from fleetcast.domain.endpoints import Current, describe_serving
from fleetcast.errors import DataError, PlatformError, RequestError

# API Gateway gives up after 29 s: answer before it does. A loading model is reported after 60 s, so the
# caller is told to come back instead.
_READ_TIMEOUT_SECONDS = 24
_PASSING = frozenset(
    (
        *("ModelNotReadyException", "ServiceUnavailable", "InternalFailure", "InternalDependencyException"),
        *("ThrottlingException", "TooManyRequestsException", "ServiceUnavailableException"),
    )
)


def describe_endpoint(name: str) -> Current | None:
    """Return the endpoint's status and what it serves, or None when there is no such endpoint."""
    sagemaker = client("sagemaker")
    try:
        endpoint = sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        # SageMaker has no error of its own for this; the sentence is the only sign.
        if "Could not find" in error.response["Error"]["Message"]:
            return None
        raise
    config_name = endpoint.get("EndpointConfigName")
    if endpoint["EndpointStatus"] != "InService" or not config_name:
        return Current(endpoint["EndpointStatus"], None)
    variant = sagemaker.describe_endpoint_config(EndpointConfigName=config_name)["ProductionVariants"][0]
    model = sagemaker.describe_model(ModelName=variant["ModelName"])
    return Current(endpoint["EndpointStatus"], describe_serving(model, variant))


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
    code = error.response["Error"]["Code"]
    if code == "ModelError" and 400 <= int(error.response.get("OriginalStatusCode", 0)) < 500:
        return _refusal(str(error.response.get("OriginalMessage", "")))
    if code in ("ValidationError", "ModelError"):
        return DataError(f"model {target_model} cannot answer: {code}: {error.response['Error']['Message']}")
    if code in _PASSING:
        return PlatformError(f"the model is not ready: {code}")
    unforeseen: Exception = error
    return unforeseen  # such as a denied access: waiting will not help, and the caller cannot


def _refusal(message: str) -> Exception:
    """Pass on the container's own sentence, which is written for callers; anything else stays inside."""
    try:
        document = json.loads(message)
        return RequestError(str(document["message"]), document.get("field"))
    except (ValueError, TypeError, KeyError):
        return DataError(f"the model refused the request without a reason: {message[:200]}")
