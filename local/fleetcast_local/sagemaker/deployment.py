"""What an endpoint configuration means: variants, containers, counts and weights, settled at deployment."""

import re
from collections.abc import Callable
from typing import Any

from fleetcast_local.records import Record
from fleetcast_local.sagemaker.fleet import Fleet, Variant
from fleetcast_local.sagemaker.instance import Serving
from fleetcast_local.sagemaker.platform import Platform
from fleetcast_local.sagemaker.records_api import find
from fleetcast_local.sagemaker.variant_metrics import VariantMetrics

Spec = list[dict[str, Any]]
"""Per variant: what the configuration and its model said when the endpoint was deployed. Kept in the endpoint's
record, because both may be deleted while the endpoint serves."""


def spec_of(platform: Platform, config: str) -> Spec:
    """Return the deployment that a configuration asks for."""
    return [
        {
            "VariantName": variant["VariantName"],
            "Count": variant.get("InitialInstanceCount", 1),
            "Weight": variant.get("InitialVariantWeight", 1.0),
            "Startup": variant.get("ContainerStartupHealthCheckTimeoutInSeconds", 480),
            "InstanceType": variant.get("InstanceType"),
            "Container": _container(find(platform, "Model", variant["ModelName"])),
        }
        for variant in find(platform, "EndpointConfig", config)["ProductionVariants"]
    ]


def _container(model: Record) -> dict[str, Any]:
    container: dict[str, Any] = model.get("PrimaryContainer") or model["Containers"][0]
    return container


def retain(spec: Spec, summaries: list[dict[str, Any]], excluded: set[str]) -> Spec:
    """Return the deployment with the live counts and weights of the variants that go on."""
    live = {summary["VariantName"]: summary for summary in summaries}

    def kept(variant: dict[str, Any]) -> dict[str, Any]:
        summary = live.get(variant["VariantName"], {})
        count = summary.get("DesiredInstanceCount") if "DesiredInstanceCount" not in excluded else None
        weight = summary.get("DesiredWeight") if "DesiredWeight" not in excluded else None
        return variant | {
            "Count": variant["Count"] if count is None else count,
            "Weight": variant["Weight"] if weight is None else weight,
        }

    return [kept(variant) for variant in spec]


def fleet_of(
    platform: Platform, endpoint: str, spec: Spec, metrics_of: Callable[[str, str], VariantMetrics]
) -> Fleet:
    """Return the fleet, not yet launched; raise ImageError when a variant's image cannot be run."""
    variants = []
    for item in spec:
        name, container = item["VariantName"], item["Container"]
        image = platform.images.resolve(container["Image"])
        serving = Serving(endpoint, name, image, container, item["Startup"])
        metrics = metrics_of(endpoint, name)
        variants.append(Variant(platform, serving, metrics, count=item["Count"], weight=item["Weight"]))
    return Fleet(variants)


def pending(config: str, spec: Spec, started: float) -> dict[str, Any]:
    """Return the PendingDeploymentSummary of an update."""
    variants = [
        {
            "VariantName": item["VariantName"],
            "DesiredWeight": item["Weight"],
            "DesiredInstanceCount": item["Count"],
            **({"InstanceType": item["InstanceType"]} if item["InstanceType"] else {}),
        }
        for item in spec
    ]
    return {"EndpointConfigName": config, "StartTime": started, "ProductionVariants": variants}


def event(record: Record) -> dict[str, Any]:
    """Return the detail of an endpoint's state-change event, which writes statuses its own way."""
    detail = {key: value for key, value in record.items() if not key.startswith("_") and value is not None}
    status = re.sub(r"(?<!^)(?=[A-Z])", "_", record["EndpointStatus"]).upper()
    return detail | {
        "EndpointStatus": status,
        "CreationTime": int(record["CreationTime"] * 1000),
        "LastModifiedTime": int(record["LastModifiedTime"] * 1000),
        "Tags": {tag["Key"]: tag["Value"] for tag in record.get("_Tags", [])},
    }
