"""Executions can be watched, stopped, started twice and answered by token, as through the AWS API."""

import json
import os
import signal
import time
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.conftest import RunningCloud
from tests.contract.cloud_resources import ROLE, create_function, create_machine, ended, eventually
from tests.contract.test_local_cloud_events import queue_of_rule, received

WAIT = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "End": True}}}
BUILDSPEC = "version: 0.2\nphases:\n  build:\n    commands:\n      - {command}\n"


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def start(cloud: RunningCloud, definition: dict[str, Any], **more: Any) -> str:
    machine = create_machine(cloud, definition, unique("m"))
    return str(cloud.client("stepfunctions").start_execution(stateMachineArn=machine, **more)["executionArn"])


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_the_history_grows_while_the_execution_runs(cloud: RunningCloud) -> None:
    execution = start(cloud, WAIT)
    states = cloud.client("stepfunctions")

    def types() -> list[str]:
        return [e["type"] for e in states.get_execution_history(executionArn=execution)["events"]]

    assert eventually(lambda: len(types()) == 2)
    assert types() == ["ExecutionStarted", "WaitStateEntered"]
    states.stop_execution(executionArn=execution)
    assert types()[-1] == "ExecutionAborted"


def test_a_stopped_execution_says_by_whom_and_tells_it_to_the_rules(cloud: RunningCloud) -> None:
    machine = create_machine(cloud, WAIT, unique("stopped"))
    pattern = {"source": ["aws.states"], "detail": {"stateMachineArn": [machine], "status": ["ABORTED"]}}
    queue = queue_of_rule(cloud, pattern)
    states = cloud.client("stepfunctions")
    execution = states.start_execution(stateMachineArn=machine)["executionArn"]

    states.stop_execution(executionArn=execution, error="Operator", cause="wrong data")

    described = ended(cloud, execution)
    assert (described["status"], described["error"], described["cause"]) == (
        "ABORTED",
        "Operator",
        "wrong data",
    )
    assert received(cloud, queue)[0]["detail"]["cause"] == "wrong data"


def build_machine(cloud: RunningCloud, command: str, **task: Any) -> dict[str, Any]:
    project = unique("project")
    cloud.client("codebuild").create_project(
        name=project,
        serviceRole=ROLE,
        source={"type": "NO_SOURCE", "buildspec": BUILDSPEC.format(command=command)},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={"type": "LINUX_CONTAINER", "image": "x", "computeType": "BUILD_GENERAL1_SMALL"},
    )
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::codebuild:startBuild.sync",
        "Parameters": {"ProjectName": project},
        "End": True,
        **task,
    }
    return {"StartAt": "Build", "States": {"Build": state}}


def builds(cloud: RunningCloud, machine: dict[str, Any]) -> list[dict[str, Any]]:
    project = machine["States"]["Build"]["Parameters"]["ProjectName"]
    codebuild = cloud.client("codebuild")
    ids = codebuild.list_builds_for_project(projectName=project)["ids"]
    return list(codebuild.batch_get_builds(ids=ids)["builds"]) if ids else []


def test_a_build_that_succeeds_is_returned_under_build(cloud: RunningCloud) -> None:
    execution = start(cloud, build_machine(cloud, "echo fine"))

    described = ended(cloud, execution)

    assert described["status"] == "SUCCEEDED", described.get("cause")
    assert json.loads(described["output"])["Build"]["BuildStatus"] == "SUCCEEDED"


def test_a_build_that_fails_is_task_failed_with_its_description(cloud: RunningCloud) -> None:
    execution = start(cloud, build_machine(cloud, "exit 3"))

    described = ended(cloud, execution)

    assert (described["status"], described["error"]) == ("FAILED", "States.TaskFailed")
    assert json.loads(described["cause"])["Build"]["BuildStatus"] == "FAILED"


def test_stopping_an_execution_stops_the_build_it_waits_for(cloud: RunningCloud) -> None:
    machine = build_machine(cloud, "sleep 60")
    execution = start(cloud, machine)
    eventually(lambda: [b for b in builds(cloud, machine) if b["currentPhase"] == "BUILD"])

    cloud.client("stepfunctions").stop_execution(executionArn=execution)

    assert eventually(lambda: builds(cloud, machine)[0]["buildStatus"] == "STOPPED")


def test_a_task_out_of_time_stops_the_build_it_waits_for(cloud: RunningCloud) -> None:
    machine = build_machine(cloud, "sleep 60", TimeoutSeconds=2)
    execution = start(cloud, machine)

    assert ended(cloud, execution)["error"] == "States.Timeout"
    assert eventually(lambda: builds(cloud, machine)[0]["buildStatus"] == "STOPPED")


def test_an_unknown_project_is_an_error_of_codebuild(cloud: RunningCloud) -> None:
    state = {"Type": "Task", "Resource": "arn:aws:states:::codebuild:startBuild.sync", "End": True}
    execution = start(
        cloud, {"StartAt": "B", "States": {"B": {**state, "Parameters": {"ProjectName": "no"}}}}
    )

    assert ended(cloud, execution)["error"] == "CodeBuild.ResourceNotFoundException"


def sagemaker_task(operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    resource = f"arn:aws:states:::{operation}"
    state = {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": True}
    return {"StartAt": "S", "States": {"S": state}}


MODEL = {"ModelName": "taken", "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": "i"}}


@pytest.mark.parametrize(
    ("operation", "parameters", "error"),
    [
        (
            "sagemaker:createEndpoint",
            {"EndpointName": "e", "EndpointConfigName": "missing"},
            "SageMaker.AmazonSageMakerException",
        ),
        ("aws-sdk:sagemaker:describeModel", {"ModelName": "missing"}, "SageMaker.SageMakerException"),
        (
            "aws-sdk:ecr:describeImages",
            {"RepositoryName": "images", "ImageIds": [{"ImageTag": "missing"}]},
            "Ecr.ImageNotFoundException",
        ),
        ("aws-sdk:s3:headBucket", {"Bucket": "missing"}, "S3.S3Exception"),
        (
            "dynamodb:putItem",
            {
                "TableName": "locks",
                "Item": {"k": {"S": "held"}},
                "ConditionExpression": "attribute_not_exists(k)",
            },
            "DynamoDB.ConditionalCheckFailedException",
        ),
    ],
    ids=["optimized", "sdk", "ecr", "s3", "dynamodb condition"],
)
def test_an_error_of_a_service_has_the_name_that_aws_gives_it(
    cloud: RunningCloud, operation: str, parameters: dict[str, Any], error: str
) -> None:
    given_an_image_repository_and_a_held_lock(cloud)

    described = ended(cloud, start(cloud, sagemaker_task(operation, parameters)))

    assert (described["status"], described["error"]) == ("FAILED", error)


def given_an_image_repository_and_a_held_lock(cloud: RunningCloud) -> None:
    if cloud.client("dynamodb").list_tables()["TableNames"].count("locks"):
        return
    cloud.client("ecr").create_repository(repositoryName="images")
    cloud.client("dynamodb").create_table(
        TableName="locks",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
    )
    cloud.client("dynamodb").put_item(TableName="locks", Item={"k": {"S": "held"}})


def test_a_number_where_the_service_wants_text_is_refused(cloud: RunningCloud) -> None:
    """On AWS hyperparameters are text; a number that only works here would fail in the account."""
    machine = sagemaker_task("aws-sdk:ssm:putParameter", {"Name": "/n", "Value": 1, "Type": "String"})

    described = ended(cloud, start(cloud, machine))

    assert described["error"] == "States.Runtime"
    assert "The value for the field 'Value' must be a STRING" in described["cause"]


def test_starting_a_named_execution_twice_is_starting_it_once(cloud: RunningCloud) -> None:
    states = cloud.client("stepfunctions")
    machine = create_machine(cloud, WAIT, unique("twice"))

    first = states.start_execution(stateMachineArn=machine, name="n", input='{"a": 1}')
    second = states.start_execution(stateMachineArn=machine, name="n", input='{"a": 1}')

    assert (second["executionArn"], second["startDate"]) == (first["executionArn"], first["startDate"])
    with pytest.raises(ClientError) as other_input:
        states.start_execution(stateMachineArn=machine, name="n", input='{"a": 2}')
    assert code_of(other_input) == "ExecutionAlreadyExists"
    states.stop_execution(executionArn=first["executionArn"])
    with pytest.raises(ClientError) as closed:
        states.start_execution(stateMachineArn=machine, name="n", input='{"a": 1}')
    assert code_of(closed) == "ExecutionAlreadyExists"


@pytest.mark.parametrize(
    ("request_", "code"),
    [({"name": "with space"}, "InvalidName"), ({"input": "{"}, "InvalidExecutionInput")],
    ids=["name", "input"],
)
def test_a_start_that_aws_would_refuse_is_refused(
    cloud: RunningCloud, request_: dict[str, str], code: str
) -> None:
    with pytest.raises(ClientError) as refused:
        start(cloud, WAIT, **request_)

    assert code_of(refused) == code


def test_a_token_of_a_task_that_is_over_is_timed_out(cloud: RunningCloud) -> None:
    with pytest.raises(ClientError) as late:
        cloud.client("stepfunctions").send_task_success(taskToken="gone", output="{}")

    assert code_of(late) == "TaskTimedOut"


def test_a_token_can_fail_its_task_and_heartbeats_keep_it_alive(cloud: RunningCloud) -> None:
    function = create_function(
        cloud,
        unique("token"),
        "import boto3\ndef handler(e, c):\n"
        "    boto3.client('ssm').put_parameter(Name=e['n'], Value=e['t'], Type='String')\n",
    )
    name = f"/{unique('token')}"
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Parameters": {"FunctionName": function, "Payload": {"t.$": "$$.Task.Token", "n": name}},
        "HeartbeatSeconds": 2,
        "End": True,
    }
    execution = start(cloud, {"StartAt": "T", "States": {"T": state}})
    states, ssm = cloud.client("stepfunctions"), cloud.client("ssm")
    token = eventually(lambda: ssm.get_parameters(Names=[name])["Parameters"])[0]["Value"]

    for _ in range(3):
        time.sleep(1)
        states.send_task_heartbeat(taskToken=token)
    states.send_task_failure(taskToken=token, error="Refused", cause="by the worker")

    described = ended(cloud, execution)
    assert (described["error"], described["cause"]) == ("Refused", "by the worker")


@pytest.mark.parametrize(
    "definition",
    [
        "{",
        '{"StartAt": "A", "States": {}}',
        '{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "Nowhere"}}}',
        '{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}, "B": {"Type": "Pass", "End": true}}}',
        '{"StartAt": "A", "States": {"A": {"Type": "Task", "End": true}}}',
    ],
    ids=["no json", "no state", "dangling next", "unreachable", "no resource"],
)
def test_a_broken_definition_is_refused_when_it_is_deployed(cloud: RunningCloud, definition: str) -> None:
    states = cloud.client("stepfunctions")

    with pytest.raises(ClientError) as refused:
        states.create_state_machine(name=unique("broken"), definition=definition, roleArn=ROLE)

    assert code_of(refused) == "InvalidDefinition"
    assert states.validate_state_machine_definition(definition=definition)["result"] == "FAIL"


def test_an_execution_that_the_cloud_took_with_it_is_aborted_at_the_next_start(
    own_cloud: RunningCloud,
) -> None:
    """Whoever holds a lock for that run must hear that it will not go on."""
    queue = queue_of_rule(own_cloud, {"source": ["aws.states"], "detail": {"status": ["ABORTED"]}})
    execution = start(own_cloud, WAIT)
    time.sleep(4)

    os.kill(own_cloud.address.pid, signal.SIGKILL)
    own_cloud.come_up()

    described = ended(own_cloud, execution)
    assert (described["status"], "local cloud was stopped" in described["cause"]) == ("ABORTED", True)
    url = queue.replace(queue.split("/")[2], f"127.0.0.1:{own_cloud.address.port}")
    assert received(own_cloud, url)[0]["detail"]["executionArn"] == execution
    history = own_cloud.client("stepfunctions").get_execution_history(executionArn=execution)["events"]
    assert history[-1]["type"] == "ExecutionAborted"


def test_an_orderly_down_aborts_too(own_cloud: RunningCloud) -> None:
    execution = start(own_cloud, WAIT)

    own_cloud.restart()

    assert ended(own_cloud, execution)["status"] == "ABORTED"
