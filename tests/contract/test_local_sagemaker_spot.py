"""Checkpoints and managed spot: what is in S3 is all that an interruption leaves."""

from typing import Any

import pytest
from tests.contract.lab import Lab, wait_until
from tests.contract.toy_jobs import WAIT, archive, instances, log_of

from fleetcast_local.sagemaker.service import ApiError

CHECKPOINTS = """
import json, os, sys, time
from pathlib import Path
ml = Path(os.environ["FLEETCAST_ML_ROOT"])
checkpoints = ml / "checkpoints"
checkpoints.mkdir(exist_ok=True)
host = json.loads((ml / "input/config/resourceconfig.json").read_text())["current_host"]
print("found", sorted(f.name for f in checkpoints.iterdir()), sorted(os.listdir(ml / "model")), flush=True)
if (checkpoints / f"{host}-first").exists():
    (checkpoints / f"{host}-second").write_text("2")
    sys.exit(0)
(ml / "model" / f"{host}-lost").write_text("not a checkpoint")
(checkpoints / f".{host}-unfinished").write_text("half")
(checkpoints / f"{host}-first").write_text("1")
with (checkpoints / f"{host}.jsonl").open("a") as ledger:
    for number in range(600):
        ledger.write(f"{number}\\n"); ledger.flush(); time.sleep(0.1)
"""
SPOT: dict[str, Any] = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120},
}


def test_checkpoints_reach_s3_while_the_job_runs(lab: Lab) -> None:
    lab.train(CHECKPOINTS, CheckpointConfig={"S3Uri": lab.uri("models/run")}, **SPOT)

    wait_until(lambda: lab.keys("models/run/") == ["algo-1-first", "algo-1.jsonl"])
    before = lab.read("models/run/algo-1.jsonl")
    wait_until(lambda: len(lab.read("models/run/algo-1.jsonl")) > len(before))

    assert lab.call("DescribeTrainingJob", TrainingJobName="job")["SecondaryStatus"] == "Training"


def test_an_interrupted_spot_job_starts_again_with_nothing_but_its_checkpoints(lab: Lab) -> None:
    lab.train(
        CHECKPOINTS, CheckpointConfig={"S3Uri": lab.uri("models/run")}, ResourceConfig=instances(2), **SPOT
    )
    wait_until(lambda: {"algo-1-first", "algo-2-first"} <= set(lab.keys("models/run/")))

    lab.sagemaker.interrupt("job")

    job = lab.trained()
    assert job["TrainingJobStatus"] == "Completed"
    statuses = [step["Status"] for step in job["SecondaryStatusTransitions"]]
    assert statuses == [
        "Starting", "Downloading", "Training", "Interrupted",
        "Starting", "Downloading", "Training", "Uploading", "Completed",
    ]  # fmt: skip
    # Every host gets every checkpoint; the model folder of before is gone.
    assert "found ['algo-1-first', 'algo-1.jsonl', 'algo-2-first', 'algo-2.jsonl'] []" in log_of(
        lab, "algo-2"
    )
    assert {"algo-1-second", "algo-2-second"} <= set(lab.keys("models/run/"))
    assert archive(lab, "out/job/output/model.tar.gz") == {}


def test_a_file_interrupts_a_spot_job_too(lab: Lab) -> None:
    lab.train(CHECKPOINTS, CheckpointConfig={"S3Uri": lab.uri("models/run")}, **SPOT)
    wait_until(lambda: "algo-1-first" in lab.keys("models/run/"))

    trigger = lab.store / "interrupt" / "job"
    trigger.parent.mkdir()
    trigger.touch()

    assert lab.trained()["TrainingJobStatus"] == "Completed"
    assert not trigger.exists()


def test_only_a_running_spot_job_can_be_interrupted(lab: Lab) -> None:
    lab.train(WAIT)

    with pytest.raises(ApiError, match="does not use managed spot"):
        lab.sagemaker.interrupt("job")
    with pytest.raises(ApiError, match="is not running"):
        lab.sagemaker.interrupt("another")


def test_waiting_longer_than_allowed_stops_a_spot_job(lab: Lab) -> None:
    lab.train(
        WAIT,
        EnableManagedSpotTraining=True,
        StoppingCondition={"MaxRuntimeInSeconds": 2, "MaxWaitTimeInSeconds": 2},
    )
    wait_until(lambda: "ready" in log_of(lab))
    lab.sagemaker.interrupt("job")

    job = lab.trained()

    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")


def test_a_new_job_with_the_same_checkpoints_resumes(lab: Lab) -> None:
    lab.put("models/run/algo-1-first", "1")

    lab.train(
        CHECKPOINTS, CheckpointConfig={"S3Uri": lab.uri("models/run/"), "LocalPath": "/opt/ml/checkpoints/"}
    )

    assert lab.trained()["TrainingJobStatus"] == "Completed"
    assert "found ['algo-1-first'] []" in log_of(lab)
