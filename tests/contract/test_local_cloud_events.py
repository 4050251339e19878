"""What happens by itself on AWS happens by itself here: e-mails, rules, schedules and the events behind them."""

import email
import email.policy
import json
import uuid
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.conftest import RunningCloud
from tests.contract.cloud_resources import ROLE, create_function, create_machine, ended, eventually

from fleetcast_local.layout import Layout

PASS = {"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}}
RULE_PARTS = {"State": "ENABLED", "EventBusName": "default"}


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def mails(cloud: RunningCloud, recipient: str) -> list[EmailMessage]:
    parsed = [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        for path in sorted(Layout.of(cloud.project).inbox.glob("*.eml"))
    ]
    return [message for message in parsed if recipient in str(message["To"])]  # type: ignore[misc]


def mailing_topic(cloud: RunningCloud, recipient: str, protocol: str = "email") -> str:
    sns = cloud.client("sns")
    topic = str(sns.create_topic(Name=unique("alerts"))["TopicArn"])
    sns.subscribe(TopicArn=topic, Protocol=protocol, Endpoint=recipient)
    return topic


def queue_of_rule(cloud: RunningCloud, pattern: dict[str, Any], **target: Any) -> str:
    """Make a rule whose events arrive in a queue, and return the queue's URL."""
    sqs, events, name = cloud.client("sqs"), cloud.client("events"), unique("rule")
    url = str(sqs.create_queue(QueueName=name)["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventPattern=json.dumps(pattern), State="ENABLED")
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn, **target}])
    return url


def received(cloud: RunningCloud, url: str, count: int = 1) -> list[Any]:
    bodies: list[Any] = []

    def enough() -> bool:
        answer = cloud.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        for message in answer.get("Messages", []):
            bodies.append(json.loads(message["Body"]))
            cloud.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return len(bodies) >= count

    eventually(enough)
    return bodies


def test_an_alert_is_the_mail_that_sns_would_send(cloud: RunningCloud) -> None:
    topic = mailing_topic(cloud, "müller@example.com")

    cloud.client("sns").publish(
        TopicArn=topic, Subject="Nächtlicher Lauf", Message="Größe: 5 €\n" + "x" * 200
    )

    mail = mails(cloud, "müller@example.com")[0]
    text = mail.get_content().replace("\r\n", "\n")
    assert mail["From"].addresses[0].addr_spec == "no-reply@sns.amazonaws.com"
    assert (mail["Subject"], bool(mail["Date"]), bool(mail["Message-ID"])) == ("Nächtlicher Lauf", True, True)
    assert text.startswith("Größe: 5 €\n" + "x" * 200 + "\n\n--\nIf you wish to stop receiving notifications")
    assert "unsubscribe.html?SubscriptionArn=" + topic in text


def test_a_subscription_by_mail_needs_no_confirmation_here(cloud: RunningCloud) -> None:
    topic = mailing_topic(cloud, "operator@example.com")

    attributes = cloud.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]

    assert (attributes["SubscriptionsConfirmed"], attributes["SubscriptionsPending"]) == ("1", "0")


def test_email_json_carries_the_whole_notification(cloud: RunningCloud) -> None:
    topic = mailing_topic(cloud, "machine@example.com", "email-json")

    cloud.client("sns").publish(TopicArn=topic, Message="m")

    document = json.loads(mails(cloud, "machine@example.com")[0].get_content())
    assert (document["Type"], document["TopicArn"], document["Message"]) == ("Notification", topic, "m")


def test_an_alarm_is_mailed_in_sentences(cloud: RunningCloud) -> None:
    topic, metrics = mailing_topic(cloud, "alarms@example.com"), cloud.client("cloudwatch")
    metrics.put_metric_alarm(
        AlarmName="TooManyErrors",
        Namespace="Test",
        MetricName="Errors",
        Dimensions=[{"Name": "Function", "Value": "f"}],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[topic],
    )

    point = {"MetricName": "Errors", "Value": 2, "Dimensions": [{"Name": "Function", "Value": "f"}]}
    metrics.put_metric_data(Namespace="Test", MetricData=[point])

    mail = eventually(lambda: mails(cloud, "alarms@example.com"))[0]
    assert mail["Subject"] == 'ALARM: "TooManyErrors" in US East (N. Virginia)'
    assert "has entered the ALARM state" in mail.get_content()
    assert "[Function = f]" in mail.get_content()


def test_a_rule_can_mail_a_sentence_about_a_failed_execution(cloud: RunningCloud) -> None:
    topic = mailing_topic(cloud, "oncall@example.com")
    machine = create_machine(
        cloud,
        {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E", "Cause": "why"}}},
        unique("fails"),
    )
    pattern = {"source": ["aws.states"], "detail": {"stateMachineArn": [machine], "status": ["FAILED"]}}
    rule = unique("mail")
    transformer = {
        "InputPathsMap": {"name": "$.detail.name", "cause": "$.detail.cause"},
        "InputTemplate": '"Run <name> failed: <cause>"',
    }
    cloud.client("events").put_rule(Name=rule, EventPattern=json.dumps(pattern), State="ENABLED")
    target = {"Id": "mail", "Arn": topic, "InputTransformer": transformer}
    cloud.client("events").put_targets(Rule=rule, Targets=[target])

    cloud.client("stepfunctions").start_execution(stateMachineArn=machine, name="r1")

    mail = eventually(lambda: mails(cloud, "oncall@example.com"))[0]
    assert mail.get_content().startswith('"Run r1 failed: why"')
    assert mail["Subject"] == "AWS Notification Message"


@pytest.mark.parametrize(
    ("definition", "statuses"),
    [
        (PASS, ["RUNNING", "SUCCEEDED"]),
        ({"StartAt": "F", "States": {"F": {"Type": "Fail"}}}, ["RUNNING", "FAILED"]),
        (
            {
                "StartAt": "W",
                "TimeoutSeconds": 1,
                "States": {"W": {"Type": "Wait", "Seconds": 9, "End": True}},
            },
            ["RUNNING", "TIMED_OUT"],
        ),
    ],
    ids=["succeeds", "fails", "times out"],
)
def test_each_status_of_an_execution_is_an_event(
    cloud: RunningCloud, definition: dict[str, Any], statuses: list[str]
) -> None:
    machine = create_machine(cloud, definition, unique("status"))
    queue = queue_of_rule(cloud, {"source": ["aws.states"], "detail": {"stateMachineArn": [machine]}})

    started = cloud.client("stepfunctions").start_execution(stateMachineArn=machine, input='{"a": 1}')

    events = received(cloud, queue, len(statuses))
    assert sorted(event["detail"]["status"] for event in events) == sorted(statuses)
    assert {event["detail-type"] for event in events} == {"Step Functions Execution Status Change"}
    assert {event["detail"]["input"] for event in events} == {'{"a": 1}'}
    assert {event["detail"]["executionArn"] for event in events} == {started["executionArn"]}


def test_a_parameter_tells_when_it_is_created_changed_and_deleted(cloud: RunningCloud) -> None:
    name = f"/{unique('p')}"
    queue = queue_of_rule(
        cloud, {"source": ["aws.ssm"], "detail-type": ["Parameter Store Change"], "detail": {"name": [name]}}
    )
    ssm = cloud.client("ssm")

    ssm.put_parameter(Name=name, Value="1", Type="String")
    ssm.put_parameter(Name=name, Value="2", Overwrite=True)
    ssm.delete_parameter(Name=name)

    details = [event["detail"] for event in received(cloud, queue, 3)]
    assert sorted(detail["operation"] for detail in details) == ["Create", "Delete", "Update"]
    assert {detail["type"] for detail in details} == {"String"}


def test_an_uploaded_object_starts_a_workflow_with_its_key(cloud: RunningCloud) -> None:
    bucket, rule = unique("raw"), unique("upload")
    s3, events = cloud.client("s3"), cloud.client("events")
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    machine = create_machine(cloud, PASS, unique("uploaded"))
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [bucket]}, "object": {"key": [{"prefix": "raw/"}]}},
    }
    transformer = {"InputPathsMap": {"key": "$.detail.object.key"}, "InputTemplate": '{"key": "<key>"}'}
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern), State="ENABLED")
    target = {"Id": "run", "Arn": machine, "RoleArn": ROLE, "InputTransformer": transformer}
    events.put_targets(Rule=rule, Targets=[target])

    s3.put_object(Bucket=bucket, Key="other/x.csv", Body=b"x")
    s3.put_object(Bucket=bucket, Key="raw/München 1+2.csv", Body=b"x")

    executions = eventually(lambda: executions_of(cloud, machine))
    described = ended(cloud, executions[0]["executionArn"])
    assert json.loads(described["input"]) == {"key": "raw/München 1+2.csv"}
    assert len(executions_of(cloud, machine)) == 1


def test_a_rule_reaches_a_function(cloud: RunningCloud) -> None:
    name = unique("reached")
    code = (
        "import boto3\n"
        "def handler(event, context):\n"
        f"    boto3.client('ssm').put_parameter(Name='/{name}', Value=event['detail']['v'], Type='String')\n"
    )
    function = create_function(cloud, name, code)
    cloud.client("events").put_rule(Name=name, EventPattern=json.dumps({"source": [name]}), State="ENABLED")
    cloud.client("events").put_targets(Rule=name, Targets=[{"Id": "f", "Arn": function}])

    entry = {"Source": name, "DetailType": "t", "Detail": json.dumps({"v": "arrived"})}
    cloud.client("events").put_events(Entries=[entry])

    written = eventually(lambda: cloud.client("ssm").get_parameters(Names=[f"/{name}"])["Parameters"])
    assert written[0]["Value"] == "arrived"


def test_a_schedule_starts_a_workflow_every_minute(cloud: RunningCloud) -> None:
    machine = create_machine(cloud, PASS, unique("scheduled"))
    target = {"Arn": machine, "RoleArn": ROLE, "Input": '{"at": "<aws.scheduler.scheduled-time>"}'}

    cloud.client("scheduler").create_schedule(
        Name=unique("minutely"),
        ScheduleExpression="rate(1 minute)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=target,
    )

    execution = eventually(lambda: executions_of(cloud, machine), seconds=75)[0]
    at = json.loads(ended(cloud, execution["executionArn"])["input"])["at"]
    assert at.startswith(execution["startDate"].astimezone().strftime("%Y-"))


def test_a_one_time_schedule_fires_in_its_time_zone_and_is_gone(cloud: RunningCloud) -> None:
    machine, name = create_machine(cloud, PASS, unique("once")), unique("once")
    moment = datetime.now(ZoneInfo("Asia/Tokyo")) + timedelta(seconds=3)
    scheduler = cloud.client("scheduler")

    scheduler.create_schedule(
        Name=name,
        ScheduleExpression=f"at({moment:%Y-%m-%dT%H:%M:%S})",
        ScheduleExpressionTimezone="Asia/Tokyo",
        FlexibleTimeWindow={"Mode": "OFF"},
        ActionAfterCompletion="DELETE",
        Target={"Arn": machine, "RoleArn": ROLE},
    )

    assert eventually(lambda: executions_of(cloud, machine))
    assert eventually(lambda: not scheduler.list_schedules(NamePrefix=name)["Schedules"])


def executions_of(cloud: RunningCloud, machine: str) -> list[dict[str, Any]]:
    return list(cloud.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"])
