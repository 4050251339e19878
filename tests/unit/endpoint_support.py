"""An endpoint as SageMaker describes it."""

from typing import Any

from botocore.stub import Stubber

ENDPOINT = {
    "EndpointName": "fleetcast",
    "EndpointArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/fleetcast",
    "EndpointConfigName": "config",
    "CreationTime": 0,
    "LastModifiedTime": 0,
}
CONFIG = {
    "EndpointConfigName": "config",
    "EndpointConfigArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/config",
    "ProductionVariants": [
        {
            "VariantName": "AllTraffic",
            "ModelName": "model",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
    ],
    "CreationTime": 0,
}
MODEL = {
    "ModelName": "model",
    "ModelArn": "arn:aws:sagemaker:us-east-1:123456789012:model/model",
    "PrimaryContainer": {"Image": "image", "ModelDataUrl": "s3://models/models/", "Environment": {"A": "1"}},
    "CreationTime": 0,
}


def serving(stubber: Stubber, status: str = "InService", **container: Any) -> None:
    stubber.add_response("describe_endpoint", {**ENDPOINT, "EndpointStatus": status})
    if status == "InService":
        stubber.add_response("describe_endpoint_config", CONFIG)
        stubber.add_response(
            "describe_model", {**MODEL, "PrimaryContainer": container or MODEL["PrimaryContainer"]}
        )


def absent(stubber: Stubber) -> None:
    stubber.add_client_error("describe_endpoint", "ValidationException", "Could not find endpoint", 400)
