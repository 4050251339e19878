"""Models and endpoint configurations: immutable records."""

from collections.abc import Callable
from typing import Any

from fleetcast_local.images import ImageError
from fleetcast_local.sagemaker.platform import Platform, now
from fleetcast_local.sagemaker.records_api import find
from fleetcast_local.service_model import ApiError

Handler = Callable[[dict[str, Any]], dict[str, Any]]


class Models:
    """Creates and deletes what an endpoint is made from."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def handlers(self) -> dict[str, Handler]:
        return {
            "CreateModel": self.create_model,
            "CreateEndpointConfig": self.create_endpoint_config,
            "DeleteModel": lambda params: self._delete("Model", params),
            "DeleteEndpointConfig": lambda params: self._delete("EndpointConfig", params),
        }

    def create_model(self, params: dict[str, Any]) -> dict[str, Any]:
        containers = (
            [params["PrimaryContainer"]] if "PrimaryContainer" in params else params.get("Containers", [])
        )
        if len(containers) != 1:
            raise ApiError("ValidationException", "The local cloud serves models of exactly one container.")
        self._check_container(containers[0])
        return self._create("Model", "model", params)

    def create_endpoint_config(self, params: dict[str, Any]) -> dict[str, Any]:
        for variant in params["ProductionVariants"]:
            if "ServerlessConfig" in variant or "ModelName" not in variant:
                raise ApiError(
                    "ValidationException",
                    f"Variant {variant['VariantName']} needs a ModelName and instances: the local cloud has neither "
                    "serverless variants nor inference components.",
                )
            find(self._platform, "Model", variant["ModelName"])
        if params.get("ShadowProductionVariants") or "AsyncInferenceConfig" in params:
            raise ApiError(
                "ValidationException", "The local cloud has no shadow variants and no asynchronous inference."
            )
        return self._create("EndpointConfig", "endpoint configuration", params)

    def _check_container(self, container: dict[str, Any]) -> None:
        if container.get("Mode") == "MultiModel" and not container.get("ModelDataUrl", "").endswith("/"):
            raise ApiError(
                "ValidationException",
                "A multi-model container needs a ModelDataUrl that is a prefix ending in '/'.",
            )
        try:
            self._platform.images.resolve(container.get("Image", ""))
        except ImageError as error:
            raise ApiError("ValidationException", str(error)) from error

    def _create(self, kind: str, words: str, params: dict[str, Any]) -> dict[str, Any]:
        name = params[f"{kind}Name"]
        arn = self._platform.arn(kind, name)
        record = {key: value for key, value in params.items() if key != "Tags"} | {
            f"{kind}Arn": arn,
            "CreationTime": now(),
            "_Tags": params.get("Tags", []),
        }
        with self._platform.records.lock:
            if self._platform.records.get(kind, name) is not None:
                raise ApiError("ValidationException", f'Cannot create already existing {words} "{arn}".')
            self._platform.records.put(kind, name, record)
        return {f"{kind}Arn": arn}

    def _delete(self, kind: str, params: dict[str, Any]) -> dict[str, Any]:
        name = params[f"{kind}Name"]
        find(self._platform, kind, name)
        self._platform.records.delete(kind, name)
        return {}
