"""The model registry: numbered versions, and an approval that others hear of."""

from typing import Any

import pytest
from tests.contract.lab import Lab

from fleetcast_local.sagemaker.service import ApiError

EVENT = "SageMaker Model Package State Change"


def group(lab: Lab, name: str = "fleet") -> str:
    arn: str = lab.call("CreateModelPackageGroup", ModelPackageGroupName=name)["ModelPackageGroupArn"]
    return arn


def package(lab: Lab, name: str = "fleet", **settings: Any) -> str:
    image = "000000000000.dkr.ecr.us-east-1.amazonaws.com/serving:v1"
    specification = {
        "Containers": [{"Image": image, "ModelDataUrl": "s3://models/r1/"}],
        "SupportedContentTypes": ["application/json"],
        "SupportedResponseMIMETypes": ["application/json"],
    }
    request = {"ModelPackageGroupName": name, "InferenceSpecification": specification} | settings
    arn: str = lab.call("CreateModelPackage", **request)["ModelPackageArn"]
    return arn


def test_packages_of_a_group_are_numbered_and_a_number_is_never_given_twice(lab: Lab) -> None:
    group(lab)

    first, second = package(lab), package(lab)
    lab.call("DeleteModelPackage", ModelPackageName=second)
    third = package(lab)

    assert first == "arn:aws:sagemaker:us-east-1:000000000000:model-package/fleet/1"
    assert third.endswith("/fleet/3")
    described = lab.call("DescribeModelPackage", ModelPackageName=first)
    assert described["ModelPackageVersion"] == 1
    assert described["ModelApprovalStatus"] == "PendingManualApproval"
    assert described["ModelPackageStatus"] == "Completed"
    assert described["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] == "s3://models/r1/"


def test_an_approval_is_recorded_and_told(lab: Lab) -> None:
    group(lab)
    arn = package(lab, CustomerMetadataProperties={"run_id": "r1", "customers": "326"})

    lab.call(
        "UpdateModelPackage",
        ModelPackageArn=arn,
        ModelApprovalStatus="Approved",
        ApprovalDescription="looks good",
        CustomerMetadataProperties={"approved_by": "ops"},
        CustomerMetadataPropertiesToRemove=["customers"],
    )

    described = lab.call("DescribeModelPackage", ModelPackageName=arn)
    assert described["ModelApprovalStatus"] == "Approved"
    assert described["CustomerMetadataProperties"] == {"run_id": "r1", "approved_by": "ops"}
    told = lab.details(EVENT)
    assert [detail["ModelApprovalStatus"] for detail in told] == ["PendingManualApproval", "Approved"]
    assert told[-1]["ModelPackageGroupName"] == "fleet"
    assert told[-1]["ModelPackageArn"] == arn


def test_packages_are_found_by_group_and_approval(lab: Lab) -> None:
    group(lab)
    group(lab, "other")
    approved = package(lab, ModelApprovalStatus="Approved")
    package(lab)
    package(lab, "other", ModelApprovalStatus="Approved")

    found = lab.call("ListModelPackages", ModelPackageGroupName="fleet", ModelApprovalStatus="Approved")
    newest = lab.call(
        "ListModelPackages", ModelPackageGroupName="fleet", SortOrder="Descending", MaxResults=1
    )

    assert [item["ModelPackageArn"] for item in found["ModelPackageSummaryList"]] == [approved]
    assert newest["ModelPackageSummaryList"][0]["ModelPackageVersion"] == 2
    assert lab.call("ListModelPackages")["ModelPackageSummaryList"] == []


def test_a_package_may_have_a_name_instead_of_a_number(lab: Lab) -> None:
    created = lab.call("CreateModelPackage", ModelPackageName="single")["ModelPackageArn"]

    assert lab.call("DescribeModelPackage", ModelPackageName="single")["ModelPackageArn"] == created
    assert len(lab.call("ListModelPackages", ModelPackageType="Unversioned")["ModelPackageSummaryList"]) == 1
    with pytest.raises(ApiError, match="already exists"):
        lab.call("CreateModelPackage", ModelPackageName="single")


def test_the_same_client_token_makes_one_package(lab: Lab) -> None:
    group(lab)

    assert package(lab, ClientToken="r1") == package(lab, ClientToken="r1")

    assert len(lab.call("ListModelPackages", ModelPackageGroupName="fleet")["ModelPackageSummaryList"]) == 1


def test_a_group_with_packages_is_not_deleted(lab: Lab) -> None:
    group(lab)
    arn = package(lab)

    with pytest.raises(ApiError, match="still has model packages") as refused:
        lab.call("DeleteModelPackageGroup", ModelPackageGroupName="fleet")
    assert refused.value.code == "ConflictException"

    lab.call("DeleteModelPackage", ModelPackageName=arn)
    lab.call("DeleteModelPackageGroup", ModelPackageGroupName="fleet")
    assert lab.call("ListModelPackageGroups")["ModelPackageGroupSummaryList"] == []


def test_a_group_is_named_or_given_by_its_arn(lab: Lab) -> None:
    arn = group(lab)

    assert (
        lab.call("DescribeModelPackageGroup", ModelPackageGroupName=arn)["ModelPackageGroupName"] == "fleet"
    )
    assert package(lab, arn).endswith("/fleet/1")
    with pytest.raises(ApiError, match="already exists"):
        group(lab)
    with pytest.raises(ApiError, match="Could not find model package group"):
        package(lab, "nobody")


def test_tags_are_kept_with_what_they_belong_to(lab: Lab) -> None:
    arn = group(lab)
    tags = [{"Key": "team", "Value": "energy"}, {"Key": "run", "Value": "r1"}]

    lab.call("AddTags", ResourceArn=arn, Tags=tags)
    lab.call("AddTags", ResourceArn=arn, Tags=[{"Key": "run", "Value": "r2"}])
    lab.call("DeleteTags", ResourceArn=arn, TagKeys=["team"])

    assert lab.call("ListTags", ResourceArn=arn)["Tags"] == [{"Key": "run", "Value": "r2"}]
    with pytest.raises(ApiError, match="Could not find resource"):
        lab.call("ListTags", ResourceArn=arn.replace("fleet", "nobody"))


def test_the_registry_survives_a_restart(lab: Lab) -> None:
    group(lab)
    arn = package(lab, ModelApprovalStatus="Approved")

    lab.sagemaker.stop()
    lab.start_sagemaker()

    assert lab.call("DescribeModelPackage", ModelPackageName=arn)["ModelApprovalStatus"] == "Approved"
    assert package(lab).endswith("/2")


def test_an_operation_that_is_not_there_says_so(lab: Lab) -> None:
    with pytest.raises(ApiError, match="no operation CreateNotebookInstance") as refused:
        lab.call("CreateNotebookInstance", NotebookInstanceName="n")
    assert refused.value.code == "UnknownOperationException"
