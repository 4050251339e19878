"""Training and processing jobs do on a laptop what a container was promised by SageMaker."""

import io
import json
import tarfile
import time
from typing import Any

import pytest
from tests.contract.lab import Lab, wait_until

from fleetcast_local.sagemaker.service import ApiError, Timing

TREE = """
import json, os, sys
from pathlib import Path
ml = Path(os.environ["FLEETCAST_ML_ROOT"])
found = {str(f.relative_to(ml)): f.read_text() for f in ml.rglob("*") if f.is_file()}
host = json.loads(found["input/config/resourceconfig.json"])["current_host"]
told = {"argv": sys.argv[1:], "files": found, "environment": dict(os.environ), "cwd": os.getcwd()}
(ml / "model" / f"{host}.json").write_text(json.dumps(told))
"""
WAIT = """
import os, signal, sys, time
from pathlib import Path
ml = Path(os.environ["FLEETCAST_ML_ROOT"])
def stop(*_):
    (ml / "model" / "saved").write_text("in time")
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
time.sleep(60)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(60)
"""


def channel(lab: Lab, name: str, prefix: str, **source: str) -> dict[str, Any]:
    settings = {
        "S3DataType": "S3Prefix",
        "S3Uri": lab.uri(prefix),
        "S3DataDistributionType": "FullyReplicated",
    }
    return {"ChannelName": name, "DataSource": {"S3DataSource": settings | source}}


def instances(count: int) -> dict[str, Any]:
    return {"InstanceType": "ml.m5.large", "InstanceCount": count, "VolumeSizeInGB": 1}


def archive(lab: Lab, key: str) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(lab.read(key)), mode="r:gz") as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def told(lab: Lab, host: str = "algo-1") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(archive(lab, "out/job/output/model.tar.gz")[f"{host}.json"])
    return document


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


def log_of(lab: Lab, host: str = "algo-1") -> str:
    log = lab.store / "logs" / "training-jobs" / "job" / f"{host}.log"
    return log.read_text() if log.exists() else ""


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


def test_metrics_are_read_from_the_log_and_published(lab: Lab) -> None:
    program = """
for done in (1, 2, 3):
    print(f"fleetcast: customers_done={done} customers_total=3 mean_mae_ratio=0.{done}", flush=True)
"""
    definitions = [
        {"Name": "customers_done", "Regex": "customers_done=([0-9]+)"},
        {"Name": "ratio", "Regex": "mean_mae_ratio=([0-9.]+)"},
        {"Name": "absent", "Regex": "never=([0-9]+)"},
    ]

    lab.train(program, AlgorithmSpecification={"MetricDefinitions": definitions})

    final = {m["MetricName"]: m["Value"] for m in lab.trained()["FinalMetricDataList"]}
    assert final == {"customers_done": 3, "ratio": pytest.approx(0.3)}
    published = lab.client("cloudwatch").list_metrics(Namespace="/aws/sagemaker/TrainingJobs")["Metrics"]
    assert {metric["MetricName"] for metric in published} >= {"customers_done", "ratio"}


def test_the_log_is_in_cloudwatch_logs(lab: Lab) -> None:
    lab.train("print('hello from the host')", name="logged")
    lab.trained("logged")

    logs = lab.client("logs")
    [stream] = logs.describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix="logged/algo-1-"
    )["logStreams"]
    events = logs.get_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamName=stream["logStreamName"]
    )
    assert [event["message"] for event in events["events"]] == ["hello from the host"]


OUTPUT = """
import json, os
from pathlib import Path
ml = Path(os.environ["FLEETCAST_ML_ROOT"])
host = json.loads((ml / "input/config/resourceconfig.json").read_text())["current_host"]
(ml / "model" / (NAME)).write_text(host)
(ml / "output/data/sub").mkdir()
(ml / "output/data/sub" / f"{host}.txt").write_text("o")
"""


def test_the_models_of_all_hosts_become_one_archive(lab: Lab) -> None:
    lab.train(OUTPUT.replace("NAME", "f'run-{host}.json'"), ResourceConfig=instances(2))

    job = lab.trained()

    assert job["ModelArtifacts"]["S3ModelArtifacts"] == lab.uri("out/job/output/model.tar.gz")
    assert set(archive(lab, "out/job/output/model.tar.gz")) == {"run-algo-1.json", "run-algo-2.json"}
    assert set(archive(lab, "out/job/output/output.tar.gz")) == {"sub/algo-1.txt", "sub/algo-2.txt"}
    assert job["TrainingTimeInSeconds"] >= 1
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"]


def test_two_hosts_must_not_write_the_same_model_file(lab: Lab) -> None:
    lab.train(OUTPUT.replace("NAME", "'run.json'"), ResourceConfig=instances(2))

    job = lab.trained()

    assert job["TrainingJobStatus"] == "Failed"
    assert "algo-1 and algo-2 both wrote /opt/ml/model/run.json" in job["FailureReason"]


def test_artifacts_may_be_left_uncompressed(lab: Lab) -> None:
    lab.train(
        OUTPUT.replace("NAME", "'run.json'"),
        OutputDataConfig={"S3OutputPath": lab.uri("out"), "CompressionType": "NONE"},
    )
    lab.trained()

    assert lab.keys("out/job/output/") == ["data/sub/algo-1.txt", "model/run.json"]


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
