"""Training jobs do on a laptop what a container was promised by SageMaker."""

import json
import time
from typing import Any

import pytest
from tests.contract.lab import Lab, wait_until
from tests.contract.toy_jobs import STUBBORN, TREE, WAIT, archive, channel, instances, log_of, told

from fleetcast_local.sagemaker.service import ApiError, Timing


def test_a_training_container_finds_its_configuration_where_sagemaker_puts_it(lab: Lab) -> None:
    lab.put("data/a.csv", "1")

    lab.train(
        TREE,
        HyperParameters={"horizon": "28"},
        InputDataConfig=[channel(lab, "series", "data/") | {"ContentType": "text/csv"}],
        Environment={"MINE": "1"},
    )

    job = lab.trained()
    seen = told(lab)
    files = {name: json.loads(text) for name, text in seen["files"].items() if name.endswith(".json")}
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Completed"
    assert seen["argv"] == ["train"]
    assert files["input/config/hyperparameters.json"] == {"horizon": "28"}
    assert files["input/config/resourceconfig.json"]["hosts"] == ["algo-1"]
    assert files["input/config/inputdataconfig.json"] == {
        "series": {
            "ContentType": "text/csv",
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        }
    }
    assert seen["files"]["input/data/series/a.csv"] == "1"
    assert seen["environment"]["TRAINING_JOB_NAME"] == "job"
    assert seen["environment"]["TRAINING_JOB_ARN"] == job["TrainingJobArn"]
    assert (seen["environment"]["MINE"], seen["environment"]["LOCAL_CLOUD"]) == ("1", "yes")


def test_a_container_gets_nothing_of_the_users_own_settings(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "real too")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a real one")
    monkeypatch.setenv("PYTHONPATH", "/somewhere/else")

    lab.train(TREE)
    lab.trained()

    environment = told(lab)["environment"]
    assert not {"AWS_SESSION_TOKEN", "AWS_SECRET_ACCESS_KEY"} & set(environment)
    assert "/somewhere/else" not in environment["PYTHONPATH"]


def test_sharding_gives_every_object_to_exactly_one_host(lab: Lab) -> None:
    for number in range(7):
        lab.put(f"data/part-{number}", str(number))
    lab.put("common/all", "c")

    lab.train(
        TREE,
        ResourceConfig=instances(3),
        InputDataConfig=[
            channel(lab, "series", "data/", S3DataDistributionType="ShardedByS3Key"),
            channel(lab, "common", "common/"),
        ],
    )
    lab.trained()

    files = {host: told(lab, host)["files"] for host in ("algo-1", "algo-2", "algo-3")}
    shards = [sorted(n for n in found if n.startswith("input/data/series/")) for found in files.values()]
    assert sorted(name for part in shards for name in part) == [
        f"input/data/series/part-{n}" for n in range(7)
    ]
    assert sorted(map(len, shards)) == [2, 2, 3]
    assert all("input/data/common/all" in found for found in files.values())


def test_a_host_without_an_object_still_runs(lab: Lab) -> None:
    lab.put("data/only", "1")

    lab.train(
        TREE,
        ResourceConfig=instances(2),
        InputDataConfig=[channel(lab, "series", "data/", S3DataDistributionType="ShardedByS3Key")],
    )

    assert lab.trained()["TrainingJobStatus"] == "Completed"
    assert not any(name.startswith("input/data/") for name in told(lab, "algo-2")["files"])


def test_a_prefix_is_a_plain_string_and_may_match_more_than_one_folder(lab: Lab) -> None:
    for key in ("data/run-1/a", "data/run-10/b"):
        lab.put(key, "x")

    lab.train(TREE, InputDataConfig=[channel(lab, "c", "data/run-1")])
    lab.trained()

    names = {name for name in told(lab)["files"] if name.startswith("input/data/")}
    assert names == {"input/data/c/a", "input/data/c/run-10/b"}


def test_a_manifest_names_the_objects(lab: Lab) -> None:
    for key in ("data/a", "data/sub/b", "data/not-this"):
        lab.put(key, key)
    lab.put("list.json", json.dumps([{"prefix": lab.uri("data/")}, "a", "sub/b"]))

    lab.train(TREE, InputDataConfig=[channel(lab, "c", "list.json", S3DataType="ManifestFile")])
    lab.trained()

    names = {name for name in told(lab)["files"] if name.startswith("input/data/")}
    assert names == {"input/data/c/a", "input/data/c/sub/b"}


def test_input_that_is_not_there_fails_the_job_and_says_so(lab: Lab) -> None:
    lab.train(TREE, InputDataConfig=[channel(lab, "c", "nothing/")])

    job = lab.trained()

    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: No S3 objects found under S3 URL")


@pytest.mark.parametrize("key", ["data/../escape", "data/./a", "data//"])
def test_a_key_that_would_leave_its_channel_fails_the_job(lab: Lab, key: str) -> None:
    lab.put("data/fine", "x")
    lab.put(key, "x")

    lab.train(TREE, InputDataConfig=[channel(lab, "c", "data/")])

    assert lab.trained()["TrainingJobStatus"] == ("Completed" if key == "data//" else "Failed")


def test_an_image_that_does_not_exist_fails_the_job_and_names_it(lab: Lab) -> None:
    image = "000000000000.dkr.ecr.us-east-1.amazonaws.com/nobody:v1"

    lab.train(TREE, AlgorithmSpecification={"TrainingImage": image})

    job = lab.trained()
    assert job["TrainingJobStatus"] == "Failed"
    assert image in job["FailureReason"]


def test_an_image_of_a_container_engine_is_refused_with_what_would_help(lab: Lab) -> None:
    image = lab.push("engine-only", {"schemaVersion": 2, "config": {}, "layers": []})

    lab.train(TREE, AlgorithmSpecification={"TrainingImage": image})

    assert "FLEETCAST_IMAGE_STORE" in lab.trained()["FailureReason"]


def test_a_digest_names_an_image_too(lab: Lab) -> None:
    tagged = lab.image(TREE)
    repository, tag = tagged.rsplit("/", 1)[1].split(":")
    [image] = lab.client("ecr").batch_get_image(repositoryName=repository, imageIds=[{"imageTag": tag}])[
        "images"
    ]
    pinned = f"{tagged.rsplit(':', 1)[0]}@{image['imageId']['imageDigest']}"

    lab.train(TREE, AlgorithmSpecification={"TrainingImage": pinned})

    assert lab.trained()["TrainingJobStatus"] == "Completed"


def test_an_entry_point_in_the_request_replaces_the_images_own(lab: Lab) -> None:
    lab.train(
        TREE,
        AlgorithmSpecification={
            "ContainerEntrypoint": ["python3", "-m", "toy", "own"],
            "ContainerArguments": ["x"],
        },
    )
    lab.trained()

    assert told(lab)["argv"] == ["own", "x"]


def test_a_crash_becomes_the_failure_reason(lab: Lab) -> None:
    lab.train(
        """
import os, sys
from pathlib import Path
(Path(os.environ["FLEETCAST_ML_ROOT"]) / "output" / "failure").write_text("the disk is full " + "x" * 2000)
sys.exit(3)
"""
    )

    job = lab.trained()

    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: the disk is full x")
    assert job["FailureReason"].endswith(", exit code: 3")
    assert len(job["FailureReason"]) == 1024
    assert lab.details("SageMaker Training Job State Change")[-1]["FailureReason"] == job["FailureReason"]


def test_a_host_killed_from_outside_fails_the_job_with_the_exit_code_of_a_container(lab: Lab) -> None:
    lab.train("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")

    assert lab.trained()["FailureReason"].endswith("exit code: 137")


def test_one_failing_host_ends_the_others(lab: Lab) -> None:
    program = """
import json, os, sys, time
from pathlib import Path
ml = Path(os.environ["FLEETCAST_ML_ROOT"])
host = json.loads((ml / "input/config/resourceconfig.json").read_text())["current_host"]
sys.exit(1) if host == "algo-2" else time.sleep(60)
"""
    started = time.monotonic()

    lab.train(program, ResourceConfig=instances(2))

    assert lab.trained()["TrainingJobStatus"] == "Failed"
    assert time.monotonic() - started < 10


def test_a_used_name_is_refused_for_as_long_as_its_job_is_known(lab: Lab) -> None:
    lab.train(TREE)
    lab.trained()

    with pytest.raises(ApiError) as refused:
        lab.train(TREE)
    assert refused.value.code == "ResourceInUse"

    lab.call("DeleteTrainingJob", TrainingJobName="job")
    lab.train(TREE)


def test_stopping_lets_the_container_save_its_work(lab: Lab) -> None:
    lab.train(WAIT)
    wait_until(lambda: "ready" in log_of(lab))

    lab.call("StopTrainingJob", TrainingJobName="job")

    job = lab.trained()
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert archive(lab, "out/job/output/model.tar.gz") == {"saved": b"in time"}
    with pytest.raises(ApiError, match="is in status Stopped"):
        lab.call("StopTrainingJob", TrainingJobName="job")


def test_a_job_that_is_still_downloading_can_be_stopped(lab: Lab) -> None:
    for number in range(300):
        lab.put(f"data/{number}", "x")
    lab.train(TREE, InputDataConfig=[channel(lab, "c", "data/")])

    lab.call("StopTrainingJob", TrainingJobName="job")

    job = lab.trained()
    assert job["TrainingJobStatus"] == "Stopped"
    assert "Training" not in [step["Status"] for step in job["SecondaryStatusTransitions"]]


def test_a_job_over_its_time_is_stopped_and_not_failed(lab: Lab) -> None:
    lab.train(WAIT, StoppingCondition={"MaxRuntimeInSeconds": 1})

    job = lab.trained()

    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert archive(lab, "out/job/output/model.tar.gz") == {"saved": b"in time"}


def test_a_container_that_ignores_sigterm_is_killed_after_the_grace(lab: Lab) -> None:
    lab.start_sagemaker(Timing(job_grace=0.5, scan=0.1))
    started = time.monotonic()

    lab.train(STUBBORN, StoppingCondition={"MaxRuntimeInSeconds": 1})

    assert lab.trained()["SecondaryStatus"] == "MaxRuntimeExceeded"
    assert time.monotonic() - started < 8


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "under_score"}, "regular expression pattern"),
        ({"HyperParameters": {"k": "v" * 2501}}, "length less than or equal to 2500"),
        ({"HyperParameters": {"horizon": 28}}, "Invalid type"),
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds"),
        ({"AlgorithmSpecification": {"TrainingInputMode": "Pipe2"}}, "enum value set"),
        ({"OutputDataConfig": {}}, "Missing required parameter"),
    ],
    ids=["name", "long value", "number", "spot", "enumeration", "missing"],
)
def test_a_request_that_aws_refuses_is_refused(lab: Lab, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ApiError, match=sentence) as refused:
        lab.train(TREE, **changes)
    assert refused.value.code == "ValidationException"


def test_stopping_the_cloud_ends_the_hosts_and_fails_the_job(lab: Lab) -> None:
    lab.train(WAIT)
    wait_until(lambda: "ready" in log_of(lab))
    started = time.monotonic()

    lab.sagemaker.stop()

    job = lab.trained()
    assert job["FailureReason"].startswith("InternalServerError: the local cloud was stopped")
    assert time.monotonic() - started < 3


def test_a_job_that_a_crash_of_the_cloud_left_running_is_failed_at_the_next_start(lab: Lab) -> None:
    lab.train(WAIT)
    wait_until(lambda: "ready" in log_of(lab))
    record = next((lab.store / "state" / "sagemaker" / "TrainingJob").glob("*.json"))
    as_it_was = record.read_bytes()
    lab.sagemaker.stop()
    record.write_bytes(as_it_was)

    lab.start_sagemaker()

    assert lab.trained()["TrainingJobStatus"] == "Failed"


def test_jobs_are_listed_filtered_and_paged(lab: Lab) -> None:
    for name in ("run-a", "run-b", "other"):
        lab.train("", name=name)
        lab.trained(name)

    first = lab.call(
        "ListTrainingJobs", NameContains="run", SortBy="Name", SortOrder="Ascending", MaxResults=1
    )
    second = lab.call(
        "ListTrainingJobs",
        NameContains="run",
        SortBy="Name",
        SortOrder="Ascending",
        NextToken=first["NextToken"],
    )
    none = lab.call("ListTrainingJobs", StatusEquals="Failed")

    names = [job["TrainingJobName"] for page in (first, second) for job in page["TrainingJobSummaries"]]
    assert names == ["run-a", "run-b"]
    assert none["TrainingJobSummaries"] == []
    assert lab.call("ListProcessingJobs")["ProcessingJobSummaries"] == []
    with pytest.raises(ApiError, match="Could not find training job"):
        lab.call("DescribeTrainingJob", TrainingJobName="nobody")


def test_every_status_of_a_training_job_is_told(lab: Lab) -> None:
    lab.train("", Tags=[{"Key": "run", "Value": "r1"}])
    lab.trained()

    details = wait_until(
        lambda: (
            [
                d
                for d in lab.details("SageMaker Training Job State Change")
                if d["SecondaryStatus"] == "Completed"
            ]
            and lab.details("SageMaker Training Job State Change")
        )
    )
    assert [d["SecondaryStatus"] for d in details] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert details[-1]["TrainingJobStatus"] == "Completed"
    assert details[-1]["Tags"] == {"run": "r1"}
    assert details[-1]["TrainingEndTime"].isdecimal()
