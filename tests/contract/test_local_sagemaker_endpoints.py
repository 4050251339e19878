"""Endpoints: the multi-model contract, updates that drop nothing, and what happens when things break."""

import io
import json
import os
import signal
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import botocore.parsers
import botocore.session
import pytest
from tests.contract.lab import QUICK, Lab, wait_until

from fleetcast_local.sagemaker.service import ApiError, InvokeResponse, Timing

SERVER = """
import json, os, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
BUDGET = int(os.environ.get("BUDGET", "1000"))
LOADING = float(os.environ.get("LOADING", "0"))
VERSION = os.environ.get("VERSION", "1")
ml = Path(os.environ["FLEETCAST_ML_ROOT"])
models, lock = {}, threading.Lock()
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    def log_message(self, *_): pass
    def answer(self, status, document, **headers):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        custom = self.headers.get("X-Amzn-SageMaker-Custom-Attributes")
        if custom: self.send_header("X-Amzn-SageMaker-Custom-Attributes", custom)
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        if self.path == "/ping":
            return self.answer(200 if VERSION != "sick" else 500, {})
        self.answer(200, {"models": [{"modelName": name} for name in models]})
    def do_DELETE(self):
        with lock: known = models.pop(self.path.split("/")[2], None)
        self.answer(200 if known else 404, {})
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/models":
            request = json.loads(body)
            time.sleep(LOADING)
            with lock:
                if request["model_name"] in models: return self.answer(409, {})
                if len(models) >= BUDGET: return self.answer(507, {"message": "no memory"})
                file = Path(request["url"]) / "model.txt"
                if not file.exists(): return self.answer(500, {"message": "no model.txt"})
                models[request["model_name"]] = file.read_text()
            return self.answer(200, {})
        if self.path == "/invocations":
            content = (ml / "model" / "model.txt").read_text()
        else:
            content = models.get(self.path.split("/")[2])
            if content is None: return self.answer(404, {"message": "not loaded"})
        command, _, argument = body.decode().partition(" ")
        if command == "sleep": time.sleep(float(argument))
        if command == "crash": os._exit(9)
        if command == "fail": return self.answer(int(argument), {"message": "period is wrong"})
        if command == "forget": models.clear()
        self.answer(200, {"content": content, "version": VERSION, "pid": os.getpid(), "path": self.path,
                          "target": self.headers.get("X-Amzn-SageMaker-Target-Model"), "body": body.decode(),
                          "loaded": len(models), "argv": sys.argv[1:]})
if os.environ.get("EXIT"): sys.exit("cannot start")
class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
Server(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


def tar_gz(content: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo("model.txt")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content.encode()))
    return buffer.getvalue()


def put_models(lab: Lab, *names: str) -> None:
    for name in names:
        lab.put(f"models/{name}", tar_gz(f"model {name}"))


def multi_model(lab: Lab, name: str = "first", count: int = 1, **environment: str) -> str:
    """Make a model and a configuration of it, and return the configuration's name."""
    image = lab.image(SERVER)
    lab.model(image, name, Mode="MultiModel", ModelDataUrl=lab.uri("models/"), Environment=environment)
    return lab.endpoint_config(name, name, InitialInstanceCount=count)


def serve(lab: Lab, *models: str, count: int = 1, **environment: str) -> dict[str, Any]:
    put_models(lab, *models)
    return lab.endpoint(multi_model(lab, count=count, **environment))


def content(response: InvokeResponse) -> dict[str, Any]:
    assert response.status == 200, response
    document: dict[str, Any] = json.loads(response.body)
    return document


def error(response: InvokeResponse) -> dict[str, Any]:
    """Return the error as botocore reads it."""
    model = botocore.session.get_session().get_service_model("sagemaker-runtime")
    code = response.headers["x-amzn-ErrorType"]
    wire = {
        "status_code": response.status,
        "headers": {k.lower(): v for k, v in response.headers.items()},
        "body": response.body,
    }
    shape = model.shape_for_error_code(code)
    assert shape is not None
    assert shape.metadata["error"]["httpStatusCode"] in {response.status, 400}
    parser = botocore.parsers.create_parser("rest-json")
    known = parser.parse(wire, model.operation_model("InvokeEndpoint").output_shape)["Error"]
    return {"Code": known["Code"], "Sentence": known["Message"], **parser.parse(wire, shape)}


def test_a_model_is_fetched_and_loaded_by_its_first_request(lab: Lab) -> None:
    endpoint = serve(lab, "r1/42.tar.gz")

    response = lab.invoke("r1/42.tar.gz", b"hello", headers={"X-Amzn-SageMaker-Custom-Attributes": "trace=1"})

    seen = content(response)
    assert endpoint["EndpointStatus"] == "InService"
    assert seen["content"] == "model r1/42.tar.gz"
    assert seen["target"] == "r1/42.tar.gz"
    assert seen["body"] == "hello"
    assert seen["argv"] == ["serve"]
    assert "42" not in seen["path"]
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["x-Amzn-Invoked-Production-Variant"] == "AllTraffic"
    assert response.headers["X-Amzn-SageMaker-Custom-Attributes"] == "trace=1"
    folders = list((lab.store / "endpoints" / "fleet").glob("*/opt/ml/models/*/model/model.txt"))
    assert len(folders) == 1


def test_a_new_key_is_servable_without_touching_the_endpoint(lab: Lab) -> None:
    serve(lab)

    put_models(lab, "r2/1.tar.gz")

    assert content(lab.invoke("r2/1.tar.gz"))["content"] == "model r2/1.tar.gz"


def test_a_cached_copy_goes_on_serving_after_its_key_was_overwritten_or_deleted(lab: Lab) -> None:
    serve(lab, "a.tar.gz", "b.tar.gz")
    for name in ("a.tar.gz", "b.tar.gz"):
        lab.invoke(name)

    lab.put("models/a.tar.gz", tar_gz("a new model"))
    lab.s3.delete_object(Bucket=lab.bucket, Key="models/b.tar.gz")

    assert content(lab.invoke("a.tar.gz"))["content"] == "model a.tar.gz"
    assert content(lab.invoke("b.tar.gz"))["content"] == "model b.tar.gz"


def test_a_full_container_makes_room_by_the_least_recently_used_model(lab: Lab) -> None:
    serve(lab, "a", "b", "c", BUDGET="2")
    for name in ("a", "b", "a", "c", "a"):
        assert content(lab.invoke(name))["loaded"] <= 2
    lab.s3.delete_object(Bucket=lab.bucket, Key="models/b")

    # What was unloaded is still on the instance's disk.
    assert content(lab.invoke("b"))["content"] == "model b"


def test_a_container_that_never_has_room_is_the_models_error(lab: Lab) -> None:
    serve(lab, "a", BUDGET="0")

    failure = error(lab.invoke("a"))

    assert (failure["Code"], failure["OriginalStatusCode"]) == ("ModelError", 507)


def test_many_requests_for_more_models_than_fit_are_all_answered(lab: Lab) -> None:
    names = [f"m{number}" for number in range(12)]
    serve(lab, *names, BUDGET="4")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lab.invoke, names * 6))

    assert [content(a)["content"] for a in answers] == [f"model {name}" for name in names * 6]


def test_a_model_that_the_container_lost_is_loaded_again(lab: Lab) -> None:
    serve(lab, "a")

    lab.invoke("a", b"forget")

    assert content(lab.invoke("a"))["content"] == "model a"


def test_a_model_that_loads_too_slowly_is_not_ready_yet(lab: Lab) -> None:
    lab.start_sagemaker(Timing(startup=10, model_wait=0.2, drain=1, serving_grace=1))
    serve(lab, "a", LOADING="0.6")

    first = lab.invoke("a")

    assert first.status == 429
    assert error(first)["Code"] == "ModelNotReadyException"
    wait_until(lambda: lab.invoke("a").status == 200)


def test_a_missing_model_is_the_callers_error(lab: Lab) -> None:
    serve(lab)

    failure = error(lab.invoke("r1/nobody.tar.gz"))

    assert failure["Code"] == "ValidationError"
    assert "models/r1/nobody.tar.gz" in failure["Sentence"]
    put_models(lab, "r1/nobody.tar.gz")
    assert content(lab.invoke("r1/nobody.tar.gz"))


def test_an_object_that_is_no_archive_is_named(lab: Lab) -> None:
    serve(lab)
    lab.put("models/broken", b"not a tar")

    assert "must be a valid tar.gz" in error(lab.invoke("broken"))["Sentence"]


def test_a_model_that_the_container_refuses_is_the_models_error(lab: Lab) -> None:
    serve(lab)
    empty = io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w:gz"):
        pass
    lab.put("models/empty", empty.getvalue())

    failure = error(lab.invoke("empty"))

    assert (failure["Code"], failure["OriginalStatusCode"]) == ("ModelError", 500)
    assert "no model.txt" in failure["OriginalMessage"]


@pytest.mark.parametrize("status", [400, 500])
def test_an_error_of_the_container_becomes_model_error(lab: Lab, status: int) -> None:
    serve(lab, "a")

    response = lab.invoke("a", f"fail {status}".encode())

    failure = error(response)
    assert response.status == 424
    assert failure["OriginalStatusCode"] == status
    assert json.loads(failure["OriginalMessage"]) == {"message": "period is wrong"}
    assert failure["LogStreamArn"].startswith(
        "arn:aws:logs:us-east-1:000000000000:log-group:/aws/sagemaker/Endpoints"
    )


def test_an_answer_that_takes_too_long_is_an_error_with_status_zero(lab: Lab) -> None:
    lab.start_sagemaker(Timing(startup=10, invocation=0.2, drain=1, serving_grace=1))
    serve(lab, "a")

    failure = error(lab.invoke("a", b"sleep 1"))

    assert failure["OriginalStatusCode"] == 0
    assert "timed out" in failure["OriginalMessage"]


def test_what_does_not_fit_the_endpoint_is_refused(lab: Lab) -> None:
    serve(lab, "a")

    assert "TargetModel must be given" in error(lab.invoke())["Sentence"]
    assert (
        "Variant nobody not found"
        in error(lab.invoke("a", headers={"X-Amzn-SageMaker-Target-Variant": "nobody"}))["Sentence"]
    )
    assert "not found" in error(lab.sagemaker.invoke("nobody", b"", {}))["Sentence"]
    assert "printable ASCII" in error(lab.invoke("a\r\nX-Other: 1"))["Sentence"]
    assert lab.invoke("a", b"x" * (26 << 20)).status == 413


def test_a_container_that_dies_is_started_again(lab: Lab) -> None:
    serve(lab, "a")
    before = content(lab.invoke("a"))["pid"]

    failure = error(lab.invoke("a", b"crash"))

    assert failure["OriginalStatusCode"] == 0
    wait_until(lambda: lab.invoke("a").status == 200)
    assert content(lab.invoke("a"))["pid"] != before
    assert lab.settled()["EndpointStatus"] == "InService"


def test_with_two_instances_one_death_is_not_an_outage(lab: Lab) -> None:
    serve(lab, "a", "b", count=2)
    pids = {content(lab.invoke(name))["pid"] for name in ("a", "b")}
    victim = content(lab.invoke("a"))["pid"]

    os.kill(victim, signal.SIGKILL)

    statuses = [lab.invoke("a").status for _ in range(20)]
    assert len(pids) == 2
    assert statuses.count(200) >= 19


def test_a_single_model_is_in_place_before_its_container_starts(lab: Lab) -> None:
    lab.put("single/model.tar.gz", tar_gz("the only one"))
    lab.model(lab.image(SERVER), "single", ModelDataUrl=lab.uri("single/model.tar.gz"))
    lab.endpoint(lab.endpoint_config("single", "single"))

    assert content(lab.invoke())["content"] == "the only one"
    assert "not a multi-model endpoint" in error(lab.invoke("a"))["Sentence"]


def test_an_uncompressed_single_model_is_copied_as_it_is(lab: Lab) -> None:
    lab.put("single/model.txt", "plain")
    source = {
        "S3DataSource": {"S3Uri": lab.uri("single/"), "S3DataType": "S3Prefix", "CompressionType": "None"}
    }
    lab.model(lab.image(SERVER), "single", ModelDataSource=source)
    lab.endpoint(lab.endpoint_config("single", "single"))

    assert content(lab.invoke())["content"] == "plain"


class Traffic:
    """Requests without a pause, until closed."""

    def __init__(self, lab: Lab, threads: int = 4) -> None:
        self.answers: list[InvokeResponse] = []
        self._lab = lab
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._done.is_set():
            self.answers.append(self._lab.invoke("a", b"sleep 0.01"))

    def close(self) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()


def test_an_update_under_load_drops_no_request(lab: Lab) -> None:
    serve(lab, "a", VERSION="1")
    old = content(lab.invoke("a"))["pid"]
    traffic = Traffic(lab)
    wait_until(lambda: len(traffic.answers) > 50)

    lab.call(
        "UpdateEndpoint", EndpointName="fleet", EndpointConfigName=multi_model(lab, "second", VERSION="2")
    )
    updating = lab.call("DescribeEndpoint", EndpointName="fleet")
    endpoint = lab.settled()
    wait_until(lambda: json.loads(traffic.answers[-1].body).get("version") == "2")
    traffic.close()

    assert {answer.status for answer in traffic.answers} == {200}
    assert {json.loads(answer.body)["version"] for answer in traffic.answers} == {"1", "2"}
    assert updating["EndpointStatus"] == "Updating"
    assert updating["PendingDeploymentSummary"]["EndpointConfigName"] == "second"
    assert endpoint["EndpointConfigName"] == "second"
    wait_until(lambda: not alive(old))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_request_inside_when_the_update_comes_is_answered(lab: Lab) -> None:
    serve(lab, "a", VERSION="1")
    lab.invoke("a")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(lab.invoke, "a", b"sleep 2")
        time.sleep(0.1)
        lab.call(
            "UpdateEndpoint", EndpointName="fleet", EndpointConfigName=multi_model(lab, "second", VERSION="2")
        )
        lab.settled()

        assert content(lab.invoke("a"))["version"] == "2"
        assert not slow.done()
        assert content(slow.result())["version"] == "1"


@pytest.mark.parametrize("fault", [{"VERSION": "sick"}, {"EXIT": "1"}], ids=["ping", "exit"])
def test_a_failed_update_leaves_the_old_serving(lab: Lab, fault: dict[str, str]) -> None:
    lab.start_sagemaker(Timing(startup=1, drain=1, serving_grace=1))
    serve(lab, "a", VERSION="1")
    traffic = Traffic(lab)

    lab.call(
        "UpdateEndpoint", EndpointName="fleet", EndpointConfigName=multi_model(lab, "second", 1, **fault)
    )
    endpoint = lab.settled()
    traffic.close()

    assert endpoint["EndpointStatus"] == "InService"
    assert endpoint["EndpointConfigName"] == "first"
    assert "did not pass the ping health check" in endpoint["FailureReason"]
    assert "PendingDeploymentSummary" not in endpoint
    assert {answer.status for answer in traffic.answers} == {200}
    statuses = [d["EndpointStatus"] for d in lab.details("SageMaker Endpoint State Change")]
    assert statuses == ["CREATING", "IN_SERVICE", "UPDATING", "ROLLING_BACK", "IN_SERVICE"]


def test_an_endpoint_that_never_passes_its_health_check_fails(lab: Lab) -> None:
    lab.start_sagemaker(Timing(startup=1))

    endpoint = serve(lab, VERSION="sick")

    assert endpoint["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in endpoint["FailureReason"]
    assert not list((lab.store / "endpoints").glob("*/*/opt"))
    with pytest.raises(ApiError, match="Cannot update failed endpoint"):
        lab.call("UpdateEndpoint", EndpointName="fleet", EndpointConfigName="first")
    lab.call("DeleteEndpoint", EndpointName="fleet")


def test_a_deleted_endpoint_is_gone_with_its_processes(lab: Lab) -> None:
    serve(lab, "a")
    pid = content(lab.invoke("a"))["pid"]

    lab.call("DeleteEndpoint", EndpointName="fleet")

    wait_until(lambda: lab.call("ListEndpoints")["Endpoints"] == [])
    assert not alive(pid)
    assert lab.invoke("a").status == 400


def test_capacity_and_weights_change_while_serving(lab: Lab) -> None:
    serve(lab, "a")
    desired = {"VariantName": "AllTraffic", "DesiredInstanceCount": 3, "DesiredWeight": 0.5}

    lab.call(
        "UpdateEndpointWeightsAndCapacities", EndpointName="fleet", DesiredWeightsAndCapacities=[desired]
    )
    [variant] = lab.settled()["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["CurrentWeight"]) == (3, 0.5)

    lab.call(
        "UpdateEndpointWeightsAndCapacities",
        EndpointName="fleet",
        DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 1}],
    )
    [variant] = lab.settled()["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (1, 1)
    assert lab.invoke("a").status == 200
    with pytest.raises(ApiError, match="no variant nobody"):
        lab.call(
            "UpdateEndpointWeightsAndCapacities",
            EndpointName="fleet",
            DesiredWeightsAndCapacities=[{"VariantName": "nobody", "DesiredInstanceCount": 1}],
        )


@pytest.mark.parametrize(("retain", "count"), [(True, 2), (False, 1)])
def test_an_update_keeps_the_live_capacity_only_where_asked(lab: Lab, *, retain: bool, count: int) -> None:
    serve(lab)
    desired = {"VariantName": "AllTraffic", "DesiredInstanceCount": 2}
    lab.call(
        "UpdateEndpointWeightsAndCapacities", EndpointName="fleet", DesiredWeightsAndCapacities=[desired]
    )
    lab.settled()

    lab.call(
        "UpdateEndpoint",
        EndpointName="fleet",
        EndpointConfigName=multi_model(lab, "second"),
        RetainAllVariantProperties=retain,
    )

    assert lab.settled()["ProductionVariants"][0]["CurrentInstanceCount"] == count


def test_a_hot_model_is_copied_to_a_second_instance(lab: Lab) -> None:
    serve(lab, "a", count=2)
    lab.invoke("a")

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda _: lab.invoke("a", b"sleep 0.3"), range(24)))

    assert len({content(answer)["pid"] for answer in answers}) == 2
    assert len({content(lab.invoke("a"))["pid"] for _ in range(5)}) == 1


def test_without_caching_a_model_leaves_after_its_request(lab: Lab) -> None:
    put_models(lab, "a")
    settings = {"Mode": "MultiModel", "MultiModelConfig": {"ModelCacheSetting": "Disabled"}}
    lab.model(lab.image(SERVER), "once", ModelDataUrl=lab.uri("models/"), **settings)
    lab.endpoint(lab.endpoint_config("once", "once"))

    lab.invoke("a")
    lab.put("models/a", tar_gz("new"))

    assert content(lab.invoke("a"))["content"] == "new"


def test_an_endpoint_is_back_after_a_restart_of_the_cloud(lab: Lab) -> None:
    serve(lab, "a", count=2)
    desired = {"VariantName": "AllTraffic", "DesiredInstanceCount": 1}
    lab.call(
        "UpdateEndpointWeightsAndCapacities", EndpointName="fleet", DesiredWeightsAndCapacities=[desired]
    )
    lab.settled()
    pid = content(lab.invoke("a"))["pid"]
    lab.call("DeleteEndpointConfig", EndpointConfigName="first")
    lab.call("DeleteModel", ModelName="first")

    lab.sagemaker.stop()
    assert not alive(pid)
    lab.start_sagemaker()

    endpoint = lab.call("DescribeEndpoint", EndpointName="fleet")
    assert endpoint["EndpointStatus"] == "InService"
    assert endpoint["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert content(lab.invoke("a"))["content"] == "model a"


def test_a_restart_in_the_middle_of_an_update_brings_back_what_served(lab: Lab) -> None:
    serve(lab, "a", VERSION="1")
    lab.call(
        "UpdateEndpoint", EndpointName="fleet", EndpointConfigName=multi_model(lab, "second", VERSION="sick")
    )

    lab.sagemaker.stop()
    lab.start_sagemaker()

    endpoint = lab.call("DescribeEndpoint", EndpointName="fleet")
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", "first")
    assert "stopped during an update" in endpoint["FailureReason"]
    assert content(lab.invoke("a"))["version"] == "1"


def test_the_variants_metrics_reach_cloudwatch(lab: Lab) -> None:
    serve(lab, "a", count=2)
    for body in (b"", b"", b"fail 400", b"fail 500"):
        lab.invoke("a", body)
    lab.invoke("missing")

    lab.sagemaker.publish_metrics()

    assert metric(lab, "Invocations", "Sum") == 5
    assert metric(lab, "InvocationsPerInstance", "Sum") == 2.5
    assert metric(lab, "Invocation4XXErrors", "Sum") == 2
    assert metric(lab, "Invocation5XXErrors", "Sum") == 1
    assert metric(lab, "InvocationModelErrors", "Sum") == 2
    assert metric(lab, "ModelCacheHit", "Sum") == 3
    assert metric(lab, "ModelLatency", "Maximum") > 0
    assert metric(lab, "ModelLoadingWaitTime", "SampleCount") == 2


def metric(lab: Lab, name: str, statistic: str) -> float:
    dimensions = [{"Name": "EndpointName", "Value": "fleet"}, {"Name": "VariantName", "Value": "AllTraffic"}]
    cloudwatch = lab.client("cloudwatch")
    now = time.time()
    data = cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker", MetricName=name, Dimensions=dimensions, StartTime=lab.began, EndTime=now + 60,
        Period=60, Statistics=[statistic],
    )["Datapoints"]  # fmt: skip
    return float(sum(point[statistic] for point in data))


def test_the_cloud_adds_far_less_than_a_millisecond_to_a_request(lab: Lab) -> None:
    serve(lab, "a")
    for _ in range(50):
        lab.invoke("a")

    instance = lab.sagemaker._endpoints.fleet("fleet").variants["AllTraffic"].replicas[0].instance  # type: ignore[union-attr]
    path = content(lab.invoke("a"))["path"]

    def direct() -> None:
        instance.connections.request("POST", path, body=b"", headers={}, timeout=5)

    through = [timed(lambda: lab.invoke("a")) for _ in range(200)]
    alone = [timed(direct) for _ in range(200)]

    assert sorted(through)[100] - sorted(alone)[100] < 0.0005


def timed(call: Any) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def test_an_endpoint_is_made_of_things_that_exist(lab: Lab) -> None:
    config = multi_model(lab)

    with pytest.raises(ApiError, match="Could not find endpoint configuration"):
        lab.endpoint("nobody")
    with pytest.raises(ApiError, match="Could not find model"):
        lab.endpoint_config("nobody", "another")
    with pytest.raises(ApiError, match="Cannot pull"):
        lab.model("000000000000.dkr.ecr.us-east-1.amazonaws.com/nobody:v1", "another")
    with pytest.raises(ApiError, match="Cannot create already existing model"):
        lab.model(lab.image(SERVER), "first")
    with pytest.raises(ApiError, match="ModelDataUrl that is a prefix"):
        lab.model(lab.image(SERVER), "another", Mode="MultiModel", ModelDataUrl=lab.uri("models/a.tar.gz"))
    lab.endpoint(config)
    with pytest.raises(ApiError, match="Cannot create already existing endpoint"):
        lab.endpoint(config)
    variant = {
        "VariantName": "a",
        "ModelName": "first",
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    settings = {"ProductionVariants": [variant], "ShadowProductionVariants": [variant]}
    with pytest.raises(ApiError, match="no shadow variants"):
        lab.call("CreateEndpointConfig", EndpointConfigName="shadow", **settings)


def test_an_endpoint_in_motion_is_left_alone(lab: Lab) -> None:
    lab.start_sagemaker(Timing(startup=3))
    config = multi_model(lab, VERSION="sick")
    lab.call("CreateEndpoint", EndpointName="fleet", EndpointConfigName=config)

    with pytest.raises(ApiError, match="Cannot update in-progress endpoint"):
        lab.call("UpdateEndpoint", EndpointName="fleet", EndpointConfigName=config)
    with pytest.raises(ApiError, match="Cannot update in-progress endpoint"):
        lab.call("DeleteEndpoint", EndpointName="fleet")
    assert lab.settled()["EndpointStatus"] == "Failed"


def test_models_and_configurations_are_described_and_listed(lab: Lab) -> None:
    config = multi_model(lab)

    model = lab.call("DescribeModel", ModelName="first")
    described = lab.call("DescribeEndpointConfig", EndpointConfigName=config)

    assert model["PrimaryContainer"]["Mode"] == "MultiModel"
    assert described["ProductionVariants"][0]["ModelName"] == "first"
    assert [m["ModelName"] for m in lab.call("ListModels")["Models"]] == ["first"]
    assert [c["EndpointConfigName"] for c in lab.call("ListEndpointConfigs")["EndpointConfigs"]] == ["first"]


def test_two_variants_share_the_traffic_by_weight(lab: Lab) -> None:
    put_models(lab, "a")
    image = lab.image(SERVER)
    for name in ("blue", "green"):
        lab.model(
            image, name, Mode="MultiModel", ModelDataUrl=lab.uri("models/"), Environment={"VERSION": name}
        )
    variants = [
        {"VariantName": n, "ModelName": n, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large",
         "InitialVariantWeight": weight}
        for n, weight in (("blue", 0.0), ("green", 1.0))
    ]  # fmt: skip
    lab.call("CreateEndpointConfig", EndpointConfigName="both", ProductionVariants=variants)
    lab.endpoint("both")

    assert {content(lab.invoke("a"))["version"] for _ in range(10)} == {"green"}
    chosen = lab.invoke("a", headers={"X-Amzn-SageMaker-Target-Variant": "blue"})
    assert content(chosen)["version"] == "blue"
    assert chosen.headers["x-Amzn-Invoked-Production-Variant"] == "blue"


def test_stopping_the_cloud_does_not_wait_for_a_deployment(lab: Lab) -> None:
    lab.start_sagemaker(QUICK)
    lab.call("CreateEndpoint", EndpointName="fleet", EndpointConfigName=multi_model(lab, VERSION="sick"))
    started = time.monotonic()

    lab.sagemaker.stop()

    assert time.monotonic() - started < 5
    assert lab.call("DescribeEndpoint", EndpointName="fleet")["EndpointStatus"] == "Creating"
