"""CloudFormation with the SAM transform creates, updates and deletes here what it would in an account."""

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.conftest import RunningCloud
from tests.contract.cloud_resources import ended, package

from fleetcast_local import lifecycle

TEMPLATE = """
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Word: {Type: String, Default: first}
Resources:
  Data:
    Type: AWS::S3::Bucket
    Properties:
      NotificationConfiguration: {EventBridgeConfiguration: {EventBridgeEnabled: true}}
      PublicAccessBlockConfiguration: {BlockPublicAcls: true, BlockPublicPolicy: true}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: k, AttributeType: S}]
      KeySchema: [{AttributeName: k, KeyType: HASH}]
      PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: true}
      TimeToLiveSpecification: {AttributeName: ttl, Enabled: true}
  Layer:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: s3://CODE/layer.zip, CompatibleRuntimes: [python3.11]}
  Say:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: s3://CODE/function.zip
      Handler: app.handler
      Runtime: python3.11
      Tracing: Active
      Layers: [!Ref Layer]
      DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Letters.Arn}
      Environment: {Variables: {WORD: !Ref Word}}
  Letters: {Type: AWS::SQS::Queue}
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties:
      DefinitionUri: s3://CODE/machine.asl.json
      DefinitionSubstitutions: {Function: !GetAtt Say.Arn}
      Tracing: {Enabled: true}
      Policies: [{LambdaInvokePolicy: {FunctionName: !Ref Say}}]
  Api:
    Type: AWS::Serverless::Api
    Properties:
      StageName: v1
      Auth: {DefaultAuthorizer: AWS_IAM}
      DefinitionBody: {"Fn::Transform": {Name: AWS::Include, Parameters: {Location: s3://CODE/openapi.yaml}}}
  Repository:
    Type: AWS::ECR::Repository
    Properties: {ImageTagMutability: IMMUTABLE, LifecyclePolicy: {LifecyclePolicyText: '{"rules": []}'}}
  Models:
    Type: AWS::SageMaker::ModelPackageGroup
    Properties: {ModelPackageGroupName: !Sub "${AWS::StackName}-models"}
  Alarm:
    Type: AWS::CloudWatch::Alarm
    Properties:
      Namespace: AWS/Lambda
      MetricName: Errors
      Statistic: Sum
      Period: 60
      EvaluationPeriods: 1
      Threshold: 0
      ComparisonOperator: GreaterThanThreshold
  Nightly:
    Type: AWS::Scheduler::Schedule
    Properties:
      ScheduleExpression: cron(0 2 * * ? *)
      ScheduleExpressionTimezone: Europe/Berlin
      FlexibleTimeWindow: {Mode: "OFF"}
      Target: {Arn: !Ref Machine, RoleArn: !GetAtt MachineRole.Arn, DeadLetterConfig: {Arn: !GetAtt Letters.Arn}}
Outputs:
  Machine: {Value: !Ref Machine}
  Function: {Value: !Ref Say}
  ApiId: {Value: !Ref Api}
"""
MACHINE = {
    "StartAt": "Say",
    "States": {"Say": {"Type": "Task", "Resource": "${Function}", "ResultPath": "$.said", "End": True}},
}
OPENAPI = """
openapi: 3.0.1
info: {title: words, version: "1"}
paths:
  /words/{word}:
    get:
      responses: {"200": {description: the word}}
      x-amazon-apigateway-auth: {type: AWS_IAM}
      x-amazon-apigateway-integration:
        type: aws_proxy
        httpMethod: POST
        uri: {"Fn::Sub": "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Say.Arn}/invocations"}
"""
FUNCTION = """
import json, os, shared
def handler(event, context):
    if "pathParameters" in event:
        return {"statusCode": 200, "body": json.dumps(event["pathParameters"])}
    return shared.say(os.environ["WORD"])
"""


@pytest.fixture
def template(cloud: RunningCloud) -> str:
    """The template, with what `sam deploy` would have uploaded in a bucket."""
    bucket = f"code-{uuid.uuid4().hex[:8]}"
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=bucket)
    objects = {
        "layer.zip": package({"python/shared.py": "def say(word): return f'{word} from the layer'\n"}),
        "function.zip": package({"app.py": FUNCTION}),
        "machine.asl.json": json.dumps(MACHINE).encode(),
        "openapi.yaml": OPENAPI.encode(),
    }
    for key, body in objects.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    return TEMPLATE.replace("CODE", bucket)


@pytest.fixture
def stack(cloud: RunningCloud) -> Iterator[str]:
    name = f"stack-{uuid.uuid4().hex[:8]}"
    yield name
    cloud.client("cloudformation").delete_stack(StackName=name)


def deploy(cloud: RunningCloud, stack: str, template: str, kind: str, **parameters: str) -> dict[str, str]:
    """Deploy by a change set, as `sam deploy` does, and return the outputs."""
    formation = cloud.client("cloudformation")
    created = formation.create_change_set(
        StackName=stack,
        ChangeSetName=f"c{uuid.uuid4().hex[:8]}",
        ChangeSetType=kind,
        TemplateBody=template,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
    )
    waiting = {"Delay": 1, "MaxAttempts": 60}
    formation.get_waiter("change_set_create_complete").wait(ChangeSetName=created["Id"], WaiterConfig=waiting)
    formation.execute_change_set(ChangeSetName=created["Id"])
    waiter = formation.get_waiter(f"stack_{kind.lower()}_complete")
    waiter.wait(StackName=stack, WaiterConfig=waiting)
    described = formation.describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}


def said(cloud: RunningCloud, outputs: dict[str, str]) -> Any:
    states = cloud.client("stepfunctions")
    execution = states.start_execution(stateMachineArn=outputs["Machine"], input="{}")["executionArn"]
    return json.loads(ended(cloud, execution)["output"])["said"]


def test_a_stack_can_be_created_updated_and_deleted(cloud: RunningCloud, template: str, stack: str) -> None:
    outputs = deploy(cloud, stack, template, "CREATE")
    before = said(cloud, outputs)

    outputs = deploy(cloud, stack, template, "UPDATE", Word="second")
    after = said(cloud, outputs)

    assert (before, after) == ("first from the layer", "second from the layer")
    group = cloud.client("sagemaker").describe_model_package_group(ModelPackageGroupName=f"{stack}-models")
    assert group["ModelPackageGroupStatus"] == "Completed"
    cloud.client("cloudformation").delete_stack(StackName=stack)
    waiter = cloud.client("cloudformation").get_waiter("stack_delete_complete")
    waiter.wait(StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    groups = cloud.client("sagemaker").list_model_package_groups(NameContains=stack)
    assert groups["ModelPackageGroupSummaryList"] == []


def get(cloud: RunningCloud, url: str, *, signed: bool) -> tuple[int, bytes]:
    request = AWSRequest("GET", url)
    if signed:
        credentials = Credentials(cloud.address.account, "local")
        SigV4Auth(credentials, "execute-api", cloud.address.region).add_auth(request)
    return response_of(urllib.request.Request(url, headers=dict(request.headers)))


def response_of(request: urllib.request.Request) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()


def test_the_api_wants_a_signature_and_passes_the_path_on_as_it_was_sent(
    cloud: RunningCloud, template: str, stack: str
) -> None:
    """A customer id may contain a slash: REST APIs neither split nor decode what is percent-encoded."""
    outputs = deploy(cloud, stack, template, "CREATE")
    url = lifecycle.api_url(cloud.address, outputs["ApiId"], "v1") + "/words/a%2Fb%20%C3%A9"

    assert get(cloud, url, signed=False)[0] == 403
    assert get(cloud, url, signed=True) == (200, b'{"word": "a%2Fb%20%C3%A9"}')
