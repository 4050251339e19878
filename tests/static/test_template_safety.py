"""What would hurt to lose is kept, what nobody may do is refused, and what goes wrong is heard of."""

import json
import re
from typing import Any

import pytest
from tests.static.stack import functions, load, of_type, resolve

FUNCTIONS = sorted(functions(load()))
BUCKETS = sorted(of_type(load(), "AWS::S3::Bucket"))
TABLES = sorted(of_type(load(), "AWS::DynamoDB::Table"))


def _properties(name: str) -> dict[str, Any]:
    properties: dict[str, Any] = load()["Resources"][name]["Properties"]
    return properties


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_is_encrypted_private_versioned_and_outlives_the_stack(name: str) -> None:
    properties = _properties(name)
    assert properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    blocked = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    assert properties["PublicAccessBlockConfiguration"] == dict.fromkeys(blocked, True)
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert properties["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert properties["NotificationConfiguration"]["EventBridgeConfiguration"] == {"EventBridgeEnabled": True}
    assert load()["Resources"][name]["DeletionPolicy"] == "RetainExceptOnCreate"


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_takes_tls_only(name: str) -> None:
    policies = of_type(load(), "AWS::S3::BucketPolicy").values()
    policy = next(p["Properties"] for p in policies if p["Properties"]["Bucket"] == {"Ref": name})
    denied = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
    assert denied[0]["Principal"] == "*"
    assert denied[0]["Action"] == "s3:*"
    assert denied[0]["Condition"] == {"Bool": {"aws:SecureTransport": False}}
    assert len(denied[0]["Resource"]) == 2, "the bucket and what is in it"


def test_nothing_that_cannot_be_made_again_expires() -> None:
    for name in BUCKETS:
        for rule in _properties(name)["LifecycleConfiguration"]["Rules"]:
            if "ExpirationInDays" in rule:
                assert rule["Prefix"] in ("prepared/", "source/")


@pytest.mark.parametrize("name", TABLES)
def test_a_table_can_be_restored_to_any_second(name: str) -> None:
    assert _properties(name)["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert load()["Resources"][name]["DeletionPolicy"] == "RetainExceptOnCreate"


@pytest.mark.parametrize("name", sorted(of_type(load(), "AWS::ECR::Repository")))
def test_an_image_in_use_never_expires(name: str) -> None:
    """ECR does not know what SageMaker uses; every image in use carries the tag of its sources."""
    policy = json.loads(_properties(name)["LifecyclePolicy"]["LifecyclePolicyText"])
    assert {rule["selection"]["tagStatus"] for rule in policy["rules"]} == {"untagged"}
    assert _properties(name)["ImageTagMutability"] == "IMMUTABLE"
    assert _properties(name)["ImageScanningConfiguration"] == {"ScanOnPush": True}


def test_no_function_can_be_invoked_by_anybody() -> None:
    for name, body in of_type(load(), "AWS::Lambda::Permission").items():
        assert "SourceArn" in body["Properties"], name
        assert body["Properties"]["Principal"].endswith(".amazonaws.com"), name
    for name in FUNCTIONS:
        assert not {"FunctionUrlConfig", "Events"} & _properties(name).keys(), name


def test_an_api_permission_names_method_and_path() -> None:
    for body in of_type(load(), "AWS::Lambda::Permission").values():
        if body["Properties"]["Principal"] == "apigateway.amazonaws.com":
            assert re.search(r"\$\{Api\}/\*/(GET|POST)/[a-z]", body["Properties"]["SourceArn"]["Fn::Sub"])


def test_no_policy_of_a_resource_allows_everybody() -> None:
    for kind in ("AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy", "AWS::S3::BucketPolicy"):
        for name, body in of_type(load(), kind).items():
            for statement in body["Properties"]["PolicyDocument"]["Statement"]:
                if statement["Effect"] == "Allow":
                    assert set(statement["Principal"]) == {"Service"}, name
                    assert "aws:SourceAccount" in statement["Condition"]["StringEquals"], name


def test_a_role_that_a_service_assumes_for_us_is_not_lent_to_other_accounts() -> None:
    """The confused deputy: Lambda and CodeBuild assume roles for their own resources only, the others need telling."""
    for name, body in of_type(load(), "AWS::IAM::Role").items():
        for statement in body["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
            if statement["Principal"]["Service"] not in ("lambda.amazonaws.com", "codebuild.amazonaws.com"):
                assert "aws:SourceAccount" in statement["Condition"]["StringEquals"], name


def test_alarms_reach_the_topic_and_are_quiet_without_data() -> None:
    alarms = of_type(load(), "AWS::CloudWatch::Alarm")
    assert alarms
    for name, body in alarms.items():
        assert body["Properties"]["AlarmActions"] == [{"Ref": "AlertTopic"}], name
        assert body["Properties"]["TreatMissingData"] == "notBreaching", name
        assert body["Properties"]["AlarmDescription"].endswith("."), name


def test_the_state_machine_is_logged_and_traced() -> None:
    properties = _properties("RetrainStateMachine")
    assert properties["Tracing"] == {"Enabled": True}
    assert properties["Logging"]["Level"] == "ALL"
    group = resolve(load(), _properties("RetrainLogGroup")["LogGroupName"])
    assert group.startswith("/aws/vendedlogs/"), "resource policies of log groups elsewhere run out of room"
