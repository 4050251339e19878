"""Clients that nobody here wrote: the aws command line and the SageMaker SDK, in an environment of their own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.product import REPOSITORY, Product

from fleetcast_local import lifecycle

CLIENTS = REPOSITORY / ".clients" / "bin"

INVOKE_WITH_SDK = """
import sys
from sagemaker.core.resources import Endpoint

endpoint = Endpoint.get(endpoint_name=sys.argv[1])
answer = endpoint.invoke(body='{"period": 3}', content_type="application/json", target_model=sys.argv[2])
print(answer.body.read().decode())
"""


@pytest.fixture(scope="module")
def served(product: Product) -> Product:
    """The shared product, with at least one model released."""
    if product.forecast("1")[0] != 200:
        product.run("synth", "data", "--customers", "24", "--days", "200", "--defects")
        product.run("ingest", "data")
        product.run("retrain", "--wait")
    return product


def run_client(product: Product, *command: str | Path) -> str:
    environment = {
        **lifecycle.environment(product.address),
        "PATH": os.environ["PATH"],
        "HOME": str(product.home),
        # The SDK counts its users unless it is told not to.
        "TELEMETRY_OPT_OUT": "true",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def aws(product: Product, *arguments: str) -> Any:
    printed = run_client(product, CLIENTS / "python", CLIENTS / "aws", *arguments, "--output", "json")
    return json.loads(printed) if printed.strip() else None


def test_the_aws_command_line_reads_the_history_of_a_run(served: Product) -> None:
    machine = served.outputs["StateMachineArn"]
    listed = aws(served, "stepfunctions", "list-executions", "--state-machine-arn", machine)
    done = next(one for one in listed["executions"] if one["status"] == "SUCCEEDED")

    history = aws(served, "stepfunctions", "get-execution-history", "--execution-arn", done["executionArn"])

    entered = {
        event["stateEnteredEventDetails"]["name"] for event in history["events"] if "Entered" in event["type"]
    }
    assert "InitiateRun" in entered


def test_the_aws_command_line_describes_the_endpoint_and_its_jobs(served: Product) -> None:
    endpoint = aws(served, "sagemaker", "describe-endpoint", "--endpoint-name", "fleetcast")
    jobs = aws(served, "sagemaker", "list-training-jobs", "--status-equals", "Completed")

    assert endpoint["EndpointStatus"] == "InService"
    assert jobs["TrainingJobSummaries"]


def test_the_aws_command_line_reads_a_model_from_s3(served: Product, tmp_path: Path) -> None:
    target = aws(served, "s3api", "list-objects-v2", "--bucket", served.outputs["ModelBucketName"])[
        "Contents"
    ]
    key = next(entry["Key"] for entry in target if entry["Key"].endswith("/1.tar.gz"))

    run_client(
        served,
        CLIENTS / "python",
        CLIENTS / "aws",
        "s3",
        "cp",
        f"s3://{served.outputs['ModelBucketName']}/{key}",
        str(tmp_path / "model.tar.gz"),
    )

    assert (tmp_path / "model.tar.gz").read_bytes()[:2] == b"\x1f\x8b"


def test_boto3_invokes_the_endpoint_with_a_target_model(served: Product) -> None:
    key = served.read("show", "1")["model"]["key"]

    answer = served.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="fleetcast", TargetModel=key, ContentType="application/json", Body=b'{"period": 3}'
    )

    assert len(json.loads(answer["Body"].read())["forecast"]) == 3


def test_the_sagemaker_sdk_invokes_the_endpoint(served: Product) -> None:
    key = served.read("show", "1")["model"]["key"]

    printed = run_client(served, CLIENTS / "python", "-W", "ignore", "-c", INVOKE_WITH_SDK, "fleetcast", key)

    assert len(json.loads(printed.splitlines()[-1])["forecast"]) == 3
