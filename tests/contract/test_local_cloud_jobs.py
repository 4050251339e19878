"""A workflow waits for SageMaker jobs that really run, learns how they ended, and takes them with it."""

import hashlib
import json
import uuid
from typing import Any

import pytest
from tests.conftest import RunningCloud
from tests.contract.cloud_resources import ROLE, create_machine, ended, eventually

from fleetcast_local.layout import Layout

SLEEP = "import time\ntime.sleep(60)\n"


def image(cloud: RunningCloud, program: str) -> str:
    """Make a process image that runs the program, and return its URI."""
    digest = hashlib.sha256(program.encode()).hexdigest()
    package = Layout.of(cloud.project).images / digest / "code" / "toy"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__main__.py").write_text(program, encoding="utf-8")
    annotations = {
        "fleetcast.process-image": digest,
        "fleetcast.entrypoint": "python -m toy",
        "fleetcast.pythonpath": "code",
    }
    media = "application/vnd.oci.image.manifest.v1+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": media,
        "config": {},
        "layers": [],
        "annotations": annotations,
    }
    repository = f"toy-{uuid.uuid4().hex[:8]}"
    cloud.client("ecr").create_repository(repositoryName=repository)
    cloud.client("ecr").put_image(
        repositoryName=repository,
        imageManifest=json.dumps(manifest),
        imageManifestMediaType=media,
        imageTag="v1",
    )
    return f"000000000000.dkr.ecr.us-east-1.amazonaws.com/{repository}:v1"


def run_training(cloud: RunningCloud, program: str, **changes: Any) -> tuple[str, str]:
    """Start a workflow that trains, and return its execution and the job's name."""
    name = f"job-{uuid.uuid4().hex[:8]}"
    buckets = cloud.client("s3").list_buckets()["Buckets"]
    if "jobs" not in {bucket["Name"] for bucket in buckets}:
        cloud.client("s3").create_bucket(Bucket="jobs")
    parameters = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": image(cloud, program), "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://jobs/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    train = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync",
        "Parameters": parameters | changes,
        "End": True,
    }
    machine = create_machine(cloud, {"StartAt": "Train", "States": {"Train": train}}, name)
    execution = cloud.client("stepfunctions").start_execution(stateMachineArn=machine)["executionArn"]
    return str(execution), name


def status_of(cloud: RunningCloud, job: str) -> str:
    jobs = cloud.client("sagemaker").list_training_jobs(NameContains=job)["TrainingJobSummaries"]
    return str(jobs[0]["TrainingJobStatus"]) if jobs else "none"


def test_a_completed_job_is_returned_as_its_description(cloud: RunningCloud) -> None:
    execution, job = run_training(cloud, "print('trained')\n")

    described = ended(cloud, execution)

    assert described["status"] == "SUCCEEDED", described.get("cause")
    output = json.loads(described["output"])
    assert (output["TrainingJobName"], output["TrainingJobStatus"]) == (job, "Completed")
    assert output["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://jobs/out/{job}/output/model.tar.gz"


def test_a_failed_job_is_task_failed_with_its_description(cloud: RunningCloud) -> None:
    execution, job = run_training(cloud, "raise SystemExit(1)\n")

    described = ended(cloud, execution)

    assert (described["status"], described["error"]) == ("FAILED", "States.TaskFailed")
    cause = json.loads(described["cause"])
    assert (cause["TrainingJobName"], cause["TrainingJobStatus"]) == (job, "Failed")


def test_a_stopped_job_is_returned_so_that_the_workflow_must_look(cloud: RunningCloud) -> None:
    """Reaching its time limit stops a job; AWS documents nowhere that this fails the task."""
    execution, _ = run_training(cloud, SLEEP, StoppingCondition={"MaxRuntimeInSeconds": 1})

    described = ended(cloud, execution)

    assert described["status"] == "SUCCEEDED", described.get("cause")
    assert json.loads(described["output"])["TrainingJobStatus"] == "Stopped"


def test_stopping_the_execution_stops_the_job(cloud: RunningCloud) -> None:
    execution, job = run_training(cloud, SLEEP)
    eventually(lambda: status_of(cloud, job) == "InProgress")

    cloud.client("stepfunctions").stop_execution(executionArn=execution)

    assert eventually(lambda: status_of(cloud, job) == "Stopped")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"HyperParameters": {"horizon": 28}}, "States.Runtime"),
        (
            {"ResourceConfig": {"InstanceType": "ml.nonsense", "InstanceCount": 1, "VolumeSizeInGB": 1}},
            "SageMaker.AmazonSageMakerException",
        ),
    ],
    ids=["a number among hyperparameters", "an unknown instance type"],
)
def test_a_request_that_sagemaker_would_refuse_fails_the_task(
    cloud: RunningCloud, changes: dict[str, Any], error: str
) -> None:
    execution, _ = run_training(cloud, SLEEP, **changes)

    assert ended(cloud, execution)["error"] == error
