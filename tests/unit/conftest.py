"""Services for unit tests: moto's, in this process, behind the clients that the code itself makes."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.stub import Stubber
from moto import mock_aws

from fleetcast.adapters.clients import client

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "POWERTOOLS_TRACE_DISABLED": "true",
    "POWERTOOLS_SERVICE_NAME": "fleetcast",
    "POWERTOOLS_METRICS_NAMESPACE": "Fleetcast",
}


@pytest.fixture(scope="module")
def clients() -> Iterator[None]:
    """Clients that one module's tests share, because making them takes longer than most tests do."""
    client.cache_clear()
    yield
    client.cache_clear()


@pytest.fixture
def credentials(clients: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that open nothing."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def elsewhere(credentials: None) -> Iterator[None]:
    """For a test that talks to an address of its own: clients that nobody else gets to see."""
    client.cache_clear()
    yield
    client.cache_clear()


@pytest.fixture
def aws(credentials: None) -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture
def run_table(aws: None) -> str:
    return _table("runs", "run_id")


@pytest.fixture
def pointer_table(aws: None) -> str:
    return _table("pointers", "customer_id")


def _table(name: str, key: str) -> str:
    client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


@pytest.fixture
def buckets(aws: None) -> tuple[str, str]:
    """The data bucket and the model bucket."""
    for name in ("data-bucket", "model-bucket"):
        client("s3").create_bucket(Bucket=name)
    return "data-bucket", "model-bucket"


@pytest.fixture
def execution(aws: None) -> Any:
    """Start executions of a state machine and return their ARNs; they run until they are stopped."""
    machine = client("stepfunctions").create_state_machine(
        name="fleetcast-retrain",
        definition='{"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 9, "End": true}}}',
        roleArn="arn:aws:iam::123456789012:role/retrain",
    )["stateMachineArn"]

    def start() -> str:
        return str(client("stepfunctions").start_execution(stateMachineArn=machine)["executionArn"])

    return start


@pytest.fixture
def sagemaker(credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """SageMaker's answers, one by one; botocore's model checks both sides."""
    monkeypatch.setenv("ENDPOINT_NAME", "fleetcast")
    with Stubber(client("sagemaker")) as stubber:
        yield stubber
