"""What to do with the endpoint."""

from dataclasses import replace

import botocore.session
import pytest

from fleetcast.domain.endpoints import Current, Serving, choose_action, describe_serving, is_serving
from fleetcast.errors import EndpointMixed

WANTED = Serving(
    "image@sha256:ab", "s3://models/models/", "ml.m5.large", {"FLEETCAST_MODEL_BUDGET_BYTES": "1"}
)
STATUSES = botocore.session.get_session().get_service_model("sagemaker").shape_for("EndpointStatus").enum
EXPECTED = {
    "InService": "leave",
    **dict.fromkeys(("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"), "wait"),
    **dict.fromkeys(("Failed", "OutOfService"), "replace"),
}


def test_without_an_endpoint_one_is_created() -> None:
    assert choose_action(WANTED, None) == "create"


@pytest.mark.parametrize("status", [status for status in STATUSES if status != "UpdateRollbackFailed"])
def test_every_status_that_sagemaker_knows_is_decided_on(status: str) -> None:
    assert (
        choose_action(WANTED, Current(status, WANTED if status == "InService" else None)) == EXPECTED[status]
    )


def test_an_endpoint_that_serves_a_mix_is_left_to_a_person() -> None:
    """Deleting it would take down what serves."""
    with pytest.raises(EndpointMixed, match="settle it by hand"):
        choose_action(WANTED, Current("UpdateRollbackFailed", None))
    assert is_serving("UpdateRollbackFailed")


@pytest.mark.parametrize(
    "serving",
    [
        replace(WANTED, image="image@sha256:cd"),
        replace(WANTED, models="s3://others/"),
        replace(WANTED, environment={}),
        None,
    ],
    ids=["image", "models", "environment", "unknown"],
)
def test_an_endpoint_that_differs_is_updated(serving: Serving | None) -> None:
    assert choose_action(WANTED, Current("InService", serving)) == "update"


def test_an_endpoint_is_compared_by_what_sagemaker_says_of_it() -> None:
    container = {
        "Image": WANTED.image,
        "ModelDataUrl": WANTED.models,
        "Environment": dict(WANTED.environment),
    }

    assert describe_serving({"PrimaryContainer": container}, {"InstanceType": "ml.m5.large"}) == WANTED


def test_a_model_without_environment_has_an_empty_one() -> None:
    container = {"Image": "i", "ModelDataUrl": "m"}

    assert describe_serving({"PrimaryContainer": container}, {"InstanceType": "t"}).environment == {}


def test_another_instance_type_asks_autoscaling_to_let_go_first() -> None:
    """UpdateEndpoint refuses a new instance type while a scalable target is registered."""
    smaller = replace(WANTED, instance_type="ml.c5.large", image="image@sha256:cd")

    assert choose_action(WANTED, Current("InService", smaller)) == "resize"
