"""The local interpreter ends an execution as Step Functions does, case by case."""

import io
import json
import time
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from tests.conftest import RunningCloud
from tests.workflow.asl_checks import ANYTHING, JSONATA, LANGUAGE, Check, one, passing, task
from tests.workflow.asl_task_checks import ERRORS, FUNCTIONS, MAPS, RESULT_WRITER, SERVICES

CHECKS = [*LANGUAGE, *JSONATA, *SERVICES, *ERRORS, *FUNCTIONS, *MAPS]
ROLE = "arn:aws:iam::000000000000:role/workflow"
FUNCTION = """
import time
class Custom(Exception): pass
def handler(event, context):
    time.sleep(event.get("sleep", 0))
    if event.get("boom"): raise Custom("bad")
    return {"got": event}
"""


def create_machine(cloud: RunningCloud, definition: dict[str, Any]) -> str:
    created = cloud.client("stepfunctions").create_state_machine(
        name=f"asl-{uuid.uuid4().hex[:12]}", definition=json.dumps(definition), roleArn=ROLE
    )
    return str(created["stateMachineArn"])


def run(
    cloud: RunningCloud, definition: str, given: Any, meanwhile: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Run a definition to its end, bounded, and return its description."""
    states = cloud.client("stepfunctions")
    machine = create_machine(cloud, json.loads(definition))
    execution = states.start_execution(stateMachineArn=machine, name="only", input=json.dumps(given))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        description = states.describe_execution(executionArn=execution["executionArn"])
        if description["status"] != "RUNNING":
            return dict(description)
        meanwhile()
        time.sleep(0.05)
    pytest.fail("the execution did not end within a minute")


@pytest.fixture(scope="module")
def resources(cloud: RunningCloud) -> dict[str, str]:
    """The resources that definitions name, by the name they give them."""
    sns, sqs, s3 = cloud.client("sns"), cloud.client("sqs"), cloud.client("s3")
    cloud.client("dynamodb").create_table(
        TableName="asl",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
    )
    cloud.client("dynamodb").put_item(TableName="asl", Item={"k": {"S": "1"}})
    cloud.client("ssm").put_parameter(Name="/asl/a", Value="1", Type="String")
    s3.create_bucket(Bucket="asl")
    objects = {"items.json": b'["a","b","c"]', "items.csv": b"city,n\nx,1\ny,2\n", "d/1": b"1", "d/2": b"2"}
    for key, body in objects.items():
        s3.put_object(Bucket="asl", Key=key, Body=body)
    return {
        "Table": "asl",
        "Bucket": "asl",
        "Topic": sns.create_topic(Name="asl")["TopicArn"],
        "Queue": sqs.create_queue(QueueName="asl")["QueueUrl"],
        "Function": create_function(cloud),
        "Child": create_machine(cloud, one(passing(Result={"c": 1}))),
    }


def create_function(cloud: RunningCloud) -> str:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", FUNCTION)
    created = cloud.client("lambda").create_function(
        FunctionName="asl",
        Runtime="python3.11",
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": package.getvalue()},
        Timeout=20,
    )
    return str(created["FunctionArn"])


def resolved(definition: dict[str, Any], resources: dict[str, str]) -> str:
    text = json.dumps(definition)
    for name, value in resources.items():
        text = text.replace(f"${{{name}}}", value)
    return text


def expected(check: Check, execution: str) -> Any:
    return json.loads(json.dumps(check.output).replace("<execution>", execution))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_an_execution_ends_as_on_aws(cloud: RunningCloud, resources: dict[str, str], check: Check) -> None:
    began = time.monotonic()

    ended = run(cloud, resolved(check.definition, resources), check.given)

    took = time.monotonic() - began
    assert ended["status"] == check.status, f"{check.proves}: {ended.get('error')}: {ended.get('cause')}"
    if check.output is not ANYTHING:
        assert json.loads(ended["output"]) == expected(check, ended["name"]), check.proves
    if check.error is not None:
        assert ended["error"] == check.error, check.proves
    if check.cause is not ANYTHING:
        assert ended["cause"] == check.cause, check.proves
    assert check.seconds[0] <= took <= check.seconds[1], check.proves


def test_an_object_message_is_published_as_json_text(cloud: RunningCloud, resources: dict[str, str]) -> None:
    """Subscribers parse the text; a Python or Java rendering of the object would break them."""
    sqs = cloud.client("sqs")
    inbox = sqs.create_queue(QueueName="asl-inbox")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=inbox, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    cloud.client("sns").subscribe(TopicArn=resources["Topic"], Protocol="sqs", Endpoint=arn)

    publish = one(task("sns:publish", {"TopicArn": resources["Topic"], "Subject": "s", "Message.$": "$"}))
    ended = run(cloud, json.dumps(publish), {"a": 1})

    assert ended["status"] == "SUCCEEDED"
    received = sqs.receive_message(QueueUrl=inbox, WaitTimeSeconds=5)["Messages"][0]["Body"]
    assert json.loads(json.loads(received)["Message"]) == {"a": 1}


def test_a_task_token_answered_from_outside_ends_the_task(cloud: RunningCloud) -> None:
    queue = cloud.client("sqs").create_queue(QueueName="asl-tokens")["QueueUrl"]
    body = {"QueueUrl": queue, "MessageBody": {"t.$": "$$.Task.Token"}}

    def answer() -> None:
        for message in cloud.client("sqs").receive_message(QueueUrl=queue).get("Messages", []):
            token = json.loads(message["Body"])["t"]
            cloud.client("stepfunctions").send_task_success(taskToken=token, output='{"done": true}')

    ended = run(cloud, json.dumps(one(task("sqs:sendMessage.waitForTaskToken", body))), {}, answer)

    assert json.loads(ended["output"]) == {"done": True}


def test_a_map_writes_its_results_to_a_bucket(cloud: RunningCloud, resources: dict[str, str]) -> None:
    ended = run(cloud, resolved(RESULT_WRITER, resources), {})

    details = json.loads(ended["output"])["ResultWriterDetails"]
    assert cloud.client("s3").get_object(Bucket=details["Bucket"], Key=details["Key"])["Body"].read()


def test_a_single_state_can_be_tested(cloud: RunningCloud) -> None:
    tested = cloud.client("stepfunctions").test_state(
        definition=json.dumps(passing(Result={"a": 1}, Next="After")), roleArn=ROLE, input="{}"
    )

    assert (tested["status"], json.loads(tested["output"])) == ("SUCCEEDED", {"a": 1})
    assert tested["nextState"] == "After"
