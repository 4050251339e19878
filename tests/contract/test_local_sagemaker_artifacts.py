"""What a training job leaves: metrics, logs and archives."""

import pytest
from tests.contract.lab import Lab
from tests.contract.toy_jobs import archive, instances


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
