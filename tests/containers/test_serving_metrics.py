"""What the container counts, and the lines of CloudWatch's embedded metric format that it becomes."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from tests.containers.serving_support import Server, lay_out, serving, wait_until

from fleetcast_serving.metrics.emf import Totals
from fleetcast_serving.metrics.measures import BUCKETS, Measures, bucket, middle


def lines_of(log: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.splitlines() if line.startswith('{"_aws"')]


def summed(log: str, metric: str) -> int:
    return sum(line[metric] for line in lines_of(log))


def served(server: Server, folder: Path) -> None:
    for name in ("a", "b"):
        server.load(name, lay_out(folder, name))
    server.load("broken", str(folder / "nowhere"))
    for _ in range(5):
        assert server.invoke("a", {"period": 1}).status_code == 200
    server.invoke("a", {"period": 0})
    server.client.delete("/models/b")


def test_everything_is_counted_once_whichever_worker_did_it(tmp_path: Path) -> None:
    with serving(tmp_path, SAGEMAKER_MULTI_MODEL="true", FLEETCAST_SERVING_WORKERS="2") as server:
        served(server, tmp_path)
        log = server.stop()

    [line] = lines_of(log)
    latency = line.pop("InvocationLatency")
    [directive] = line.pop("_aws")["CloudWatchMetrics"]
    assert line == {
        "ModelLoads": 2,
        "ModelLoadFailures": 1,
        "ModelUnloads": 1,
        "ModelHits": 4,
        "ModelMisses": 1,
        "ClientErrors": 2,
        "ServerErrors": server.unhealthy,
        "WorkersRestarted": 0,
        "LoadedModels": 1,
        "LoadedModelBytes": line["LoadedModelBytes"],
    }
    assert 500 < line["LoadedModelBytes"] < 3000
    assert latency["Count"] == sum(latency["Counts"]) == 6
    assert directive["Namespace"] == "Fleetcast/Serving"
    assert directive["Dimensions"] == [[]]


def test_a_line_comes_as_often_as_it_is_told_to(tmp_path: Path) -> None:
    settings = {"SAGEMAKER_MULTI_MODEL": "true", "FLEETCAST_METRICS_SECONDS": "1", "FLEETCAST_STACK": "prod"}
    with serving(tmp_path, **settings) as server:
        served(server, tmp_path)
        wait_until(lambda: len(lines_of(server.log())) >= 3, "three lines")
        wait_until(lambda: summed(server.log(), "ModelHits") == 4, "what the workers counted")
        log = server.stop()

    assert summed(log, "ModelLoads") == 2
    assert summed(log, "ModelUnloads") == 1
    for line in lines_of(log):
        assert line["Stack"] == "prod"
        assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Stack"]]


def test_a_line_keeps_the_limits_of_the_format() -> None:
    totals, measures = Totals(), Measures()
    for number in range(BUCKETS):
        measures.latencies[number] = 1
    totals.add(measures.report() or b"")

    line = json.loads(totals.line(models=1, bytes=2))

    [directive] = line["_aws"]["CloudWatchMetrics"]
    names = [metric["Name"] for metric in directive["Metrics"]]
    assert sorted(names) == sorted(line.keys() - {"_aws"})
    assert len(names) <= 100
    assert len(line["InvocationLatency"]["Values"]) == len(line["InvocationLatency"]["Counts"]) <= 100
    assert isinstance(line["_aws"]["Timestamp"], int)


def test_a_line_without_invocations_names_no_latency() -> None:
    """A metric that is named and not there makes CloudWatch reject the whole line."""
    line = json.loads(Totals().line(models=0, bytes=0))

    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert sorted(metric["Name"] for metric in directive["Metrics"]) == sorted(line.keys() - {"_aws"})
    assert "InvocationLatency" not in line


def test_counting_begins_anew_with_each_report_and_each_line() -> None:
    totals, measures = Totals(), Measures()
    measures.hits = 3
    measures.answered(404)
    totals.add(measures.report() or b"")

    assert measures.report() is None
    assert json.loads(totals.line())["ModelHits"] == 3
    assert json.loads(totals.line())["ClientErrors"] == 0


@pytest.mark.parametrize("microseconds", [*range(300), 10**3, 10**4, 12_345, 10**6, 59_999_999])
def test_a_bucket_says_what_a_time_was_to_an_eighth(microseconds: int) -> None:
    assert math.isclose(middle(bucket(microseconds)), microseconds, rel_tol=0.125, abs_tol=0.5)


def test_buckets_grow_with_time_and_end_somewhere() -> None:
    numbers = [bucket(2**power) for power in range(40)]

    assert numbers == sorted(numbers)
    assert numbers[-1] == BUCKETS - 1
