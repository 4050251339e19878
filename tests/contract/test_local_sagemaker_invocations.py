"""The data plane: models fetched, loaded and unloaded on demand, and every error by its name."""

import io
import json
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.contract.lab import Lab, wait_until
from tests.contract.toys import SERVER, content, error, put_models, serve, tar_gz

from fleetcast_local.sagemaker.service import Timing


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
    lab.start_sagemaker(Timing(startup=60, model_wait=0.2, drain=1, serving_grace=1))
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
    lab.start_sagemaker(Timing(startup=60, invocation=0.2, drain=1, serving_grace=1))
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


def test_the_variants_metrics_reach_cloudwatch(lab: Lab) -> None:
    serve(lab, "a", count=2)
    for body in (b"", b"", b"fail 400", b"fail 500"):
        lab.invoke("a", body)
    lab.invoke("missing")

    lab.sagemaker.end_minute()

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


def test_a_connection_that_the_container_closed_is_not_used_again(lab: Lab) -> None:
    serve(lab, "a", KEEPALIVE="0.2")
    lab.invoke("a")

    time.sleep(0.5)

    assert lab.invoke("a").status == 200
