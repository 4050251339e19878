"""Processing jobs: inputs, outputs, and the message they end with."""

import json
from typing import Any

import pytest
from tests.contract.lab import Lab, wait_until
from tests.contract.toy_jobs import instances

from fleetcast_local.sagemaker.service import ApiError

PROCESS = """
import json, os, sys
from pathlib import Path
ml = Path(os.environ["FLEETCAST_ML_ROOT"])
found = {str(f.relative_to(ml)): f.read_text() for f in ml.rglob("*") if f.is_file()}
host = json.loads(found["config/resourceconfig.json"])["current_host"]
out = ml / "processing" / "series"
assert out.is_dir()
(out / f"{host}.json").write_text(json.dumps({"argv": sys.argv[1:], "files": found, "environment": dict(os.environ)}))
(ml / "output" / "message").write_text("done ")
"""


def processing_input(lab: Lab, **source: str) -> dict[str, Any]:
    settings = {
        "S3Uri": lab.uri("raw/"),
        "LocalPath": "/opt/ml/processing/input/raw",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    return {"ProcessingInputs": [{"InputName": "raw", "S3Input": settings | source}]}


def processing_output(lab: Lab, mode: str = "EndOfJob") -> dict[str, Any]:
    output = {
        "S3Uri": lab.uri("prepared/series"),
        "LocalPath": "/opt/ml/processing/series",
        "S3UploadMode": mode,
    }
    return {"ProcessingOutputConfig": {"Outputs": [{"OutputName": "series", "S3Output": output}]}}


def cluster(count: int) -> dict[str, Any]:
    return {"ProcessingResources": {"ClusterConfig": instances(count)}}


def test_a_processing_job_has_its_inputs_outputs_and_message(lab: Lab) -> None:
    lab.put("raw/a.csv", "1")
    lab.put("raw/deep/b.csv", "2")

    lab.process(
        PROCESS,
        Environment={"FLEETCAST_RUN_ID": "r1"},
        **processing_input(lab, S3DataDistributionType="ShardedByS3Key"),
        **processing_output(lab),
        **cluster(2),
    )

    job = lab.processed()
    assert job["ProcessingJobStatus"] == "Completed"
    assert job["ExitMessage"] == "done done "
    assert lab.keys("prepared/series/") == ["algo-1.json", "algo-2.json"]
    first, second = (json.loads(lab.read(f"prepared/series/algo-{n}.json")) for n in (1, 2))
    config = json.loads(first["files"]["config/processingjobconfig.json"])
    assert first["argv"] == []
    assert first["files"]["processing/input/raw/a.csv"] == "1"
    assert second["files"]["processing/input/raw/deep/b.csv"] == "2"
    assert json.loads(second["files"]["config/resourceconfig.json"]) == {
        "current_host": "algo-2",
        "hosts": ["algo-1", "algo-2"],
    }
    assert config["ProcessingJobArn"] == job["ProcessingJobArn"]
    assert config["Environment"] == {"FLEETCAST_RUN_ID": "r1"}
    statuses = [d["ProcessingJobStatus"] for d in lab.details("SageMaker Processing Job State Change")]
    assert statuses == ["InProgress", "Completed"]


def test_a_failing_processing_job_keeps_its_message(lab: Lab) -> None:
    lab.process(PROCESS + "sys.exit(1)", **processing_output(lab))

    job = lab.processed()

    assert job["ProcessingJobStatus"] == "Failed"
    assert job["ExitMessage"] == "done "
    assert job["FailureReason"].startswith("AlgorithmError: See job logs")
    assert job["FailureReason"].endswith("exit code: 1")


@pytest.mark.parametrize(("content", "length"), [("b'x' * 3000", 1024), ("('ü' * 600).encode()", 512)])
def test_the_message_is_cut_at_one_kilobyte(lab: Lab, content: str, length: int) -> None:
    lab.process(PROCESS + f"(ml / 'output' / 'message').write_bytes({content})", **processing_output(lab))

    assert len(lab.processed()["ExitMessage"]) == length


def test_a_message_that_is_not_utf8_fails_the_job(lab: Lab) -> None:
    lab.process(PROCESS + "(ml / 'output' / 'message').write_bytes(b'\\xff')", **processing_output(lab))

    job = lab.processed()

    assert job["ProcessingJobStatus"] == "Failed"
    assert "UTF-8" in job["FailureReason"]


def test_a_continuous_output_arrives_while_the_job_runs(lab: Lab) -> None:
    program = PROCESS + "\nimport time; time.sleep(60)"

    lab.process(program, **processing_output(lab, "Continuous"))

    wait_until(lambda: lab.keys("prepared/series/") == ["algo-1.json"])
    assert lab.call("DescribeProcessingJob", ProcessingJobName="job")["ProcessingJobStatus"] == "InProgress"
    lab.call("StopProcessingJob", ProcessingJobName="job")
    assert lab.processed()["ProcessingJobStatus"] == "Stopped"


def test_a_processing_job_over_its_time_is_stopped(lab: Lab) -> None:
    lab.process("import time; time.sleep(60)", StoppingCondition={"MaxRuntimeInSeconds": 1})

    job = lab.processed()

    assert job["ProcessingJobStatus"] == "Stopped"
    assert "MaxRuntimeInSeconds" in job["FailureReason"]


def test_a_processing_path_outside_its_place_is_refused(lab: Lab) -> None:
    with pytest.raises(ApiError, match="must begin with /opt/ml/processing/"):
        lab.process(PROCESS, **processing_input(lab, LocalPath="/opt/ml/processing/../model"))
