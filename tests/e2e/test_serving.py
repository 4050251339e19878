"""A thousand customers are served through API Gateway and Lambda, while the endpoint changes its image."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from tests.contract.lab import wait_until
from tests.e2e.callers import Callers
from tests.e2e.product import Product, deployed_product

CUSTOMERS = [str(number) for number in range(1_000)]
REQUESTS = 10_000
PATIENCE = 600
# The product is deployed and a thousand models are trained outside of the tests' own time.
pytestmark = pytest.mark.timeout(1800, func_only=True)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product of its own, with a model for every customer."""
    for product in deployed_product(tmp_path_factory.mktemp("serving")):
        product.run("synth", "data", "--customers", str(len(CUSTOMERS)), "--days", "90")
        product.run("ingest", "data")
        product.run("retrain", "--wait")
        yield product


def test_ten_thousand_forecasts_and_a_new_image_in_the_middle_of_them_fail_nobody(fleet: Product) -> None:
    image = another_image(fleet)
    some = CUSTOMERS[::40]
    before = {customer: fleet.forecast(customer)[1]["forecast"] for customer in some}
    with Callers(fleet, CUSTOMERS) as callers:
        callers.wait_for(REQUESTS // 4)
        update_endpoint(fleet, image)
        at_the_update = len(callers.answers)
        wait_until(lambda: callers.check() or serves(fleet, image), PATIENCE)
        after_the_update = len(callers.answers)
        callers.wait_for(max(REQUESTS, after_the_update + REQUESTS // 4))

    assert [answer for answer in callers.answers if not answer.is_right] == []
    assert at_the_update < after_the_update, "requests before, during and after the update"
    assert {customer: fleet.forecast(customer)[1]["forecast"] for customer in some} == before
    assert len({json.dumps(forecast) for forecast in before.values()}) == len(some), "everybody has their own"


def test_the_fleet_follows_its_policy_while_callers_come_and_after_they_have_gone(fleet: Product) -> None:
    """The policy that the workflow put, with figures that a laptop can reach, and minutes of half a second."""
    fleet.run("down")
    fleet.run("up", settings={"FLEETCAST_LOCAL_MINUTE": "0.5"})
    fleet.close()
    fleet.wait_until_healthy()
    aim_at(fleet, invocations=5, highest=3)
    with Callers(fleet, CUSTOMERS) as callers:
        wait_until(lambda: callers.check() or instances(fleet) == 3, PATIENCE)
    wait_until(lambda: instances(fleet) == 1, PATIENCE)

    assert [answer for answer in callers.answers if not answer.is_right] == []
    causes = [activity["Cause"] for activity in activities(fleet)]
    assert "AlarmHigh" in causes[-1]
    assert "AlarmLow" in causes[0]


def aim_at(product: Product, invocations: int, highest: int) -> None:
    scaling = product.client("application-autoscaling")
    [policy] = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    names = ("ServiceNamespace", "ResourceId", "ScalableDimension")
    resource = {name: policy[name] for name in names}
    scaling.register_scalable_target(**resource, MaxCapacity=highest)
    scaling.put_scaling_policy(
        **resource,
        PolicyName=policy["PolicyName"],
        PolicyType=policy["PolicyType"],
        TargetTrackingScalingPolicyConfiguration=policy["TargetTrackingScalingPolicyConfiguration"]
        | {"TargetValue": invocations},
    )


def activities(product: Product) -> list[dict[str, Any]]:
    answer = product.client("application-autoscaling").describe_scaling_activities(
        ServiceNamespace="sagemaker"
    )
    found: list[dict[str, Any]] = answer["ScalingActivities"]
    return found


def instances(product: Product) -> int:
    endpoint = product.client("sagemaker").describe_endpoint(EndpointName="fleetcast")
    return int(endpoint["ProductionVariants"][0]["CurrentInstanceCount"])


def another_image(product: Product) -> str:
    """Push the serving image under another digest, with one file more, and return its URI."""
    ecr, sagemaker = product.client("ecr"), product.client("sagemaker")
    [variant] = sagemaker.describe_endpoint(EndpointName="fleetcast")["ProductionVariants"]
    repository, _, digest = variant["DeployedImages"][0]["ResolvedImage"].partition("@")
    name = repository.partition("/")[2]
    [image] = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageDigest": digest}])["images"]
    manifest = json.loads(image["imageManifest"])
    old = manifest["annotations"]["fleetcast.process-image"]
    new = hashlib.sha256(f"after {old}".encode()).hexdigest()
    images = product.project / ".fleetcast" / "images"
    shutil.copytree(images / old, images / new)
    (images / new / "RELEASE").write_text("the one after\n", encoding="utf-8")
    manifest["annotations"]["fleetcast.process-image"] = new
    pushed = ecr.put_image(repositoryName=name, imageManifest=json.dumps(manifest), imageTag="after")
    return f"{repository}@{pushed['image']['imageId']['imageDigest']}"


def update_endpoint(product: Product, image: str) -> None:
    """Do what the workflow does when there is a new serving image."""
    sagemaker = product.client("sagemaker")
    config = sagemaker.describe_endpoint(EndpointName="fleetcast")["EndpointConfigName"]
    [variant] = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    model = sagemaker.describe_model(ModelName=variant["ModelName"])
    container: dict[str, Any] = model["PrimaryContainer"] | {"Image": image}
    sagemaker.create_model(
        ModelName="after", PrimaryContainer=container, ExecutionRoleArn=model["ExecutionRoleArn"]
    )
    sagemaker.create_endpoint_config(
        EndpointConfigName="after", ProductionVariants=[variant | {"ModelName": "after"}]
    )
    sagemaker.update_endpoint(
        EndpointName="fleetcast", EndpointConfigName="after", RetainAllVariantProperties=True
    )


def serves(product: Product, image: str) -> bool:
    endpoint = product.client("sagemaker").describe_endpoint(EndpointName="fleetcast")
    [variant] = endpoint["ProductionVariants"]
    deployed: str = variant["DeployedImages"][0]["ResolvedImage"]
    return endpoint["EndpointStatus"] == "InService" and deployed == image
