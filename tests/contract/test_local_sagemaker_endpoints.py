"""Endpoints: updates that drop nothing, and what happens when things break."""

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.lab import QUICK, Lab, wait_until
from tests.contract.toys import SERVER, alive, content, error, multi_model, put_models, serve
from tests.contract.traffic import Traffic

from fleetcast_local.sagemaker.service import ApiError, InvokeResponse, Timing


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


def test_an_update_under_load_drops_no_request(lab: Lab) -> None:
    serve(lab, "a", VERSION="1")
    old = content(lab.invoke("a"))["pid"]
    with Traffic(lab) as traffic:
        wait_until(lambda: len(traffic.answers) > 50)
        lab.call(
            "UpdateEndpoint", EndpointName="fleet", EndpointConfigName=multi_model(lab, "second", VERSION="2")
        )
        endpoint = lab.settled()
        wait_until(lambda: version(traffic.answers[-1]) == "2")

    assert traffic.failures == []
    assert {version(answer) for answer in traffic.answers} == {"1", "2"}
    [updating] = [
        d for d in lab.details("SageMaker Endpoint State Change") if d["EndpointStatus"] == "UPDATING"
    ]
    assert updating["PendingDeploymentSummary"]["EndpointConfigName"] == "second"
    assert endpoint["EndpointConfigName"] == "second"
    wait_until(lambda: not alive(old))


def version(answer: tuple[str, InvokeResponse]) -> str:
    return str(json.loads(answer[1].body).get("version"))


def test_neither_updates_nor_scaling_drop_a_request_of_many_models(lab: Lab) -> None:
    """New instances begin with no model loaded, and have room for half of them only."""
    models = [f"m{number}" for number in range(40)]
    serve(lab, *models, VERSION="0", BUDGET="20")
    with Traffic(lab, models, threads=8, body=b"sleep 0.002") as traffic:
        for round_, count in enumerate((3, 1, 2), start=1):
            config = multi_model(lab, f"round-{round_}", VERSION=str(round_), BUDGET="20")
            desired = {"VariantName": "AllTraffic", "DesiredInstanceCount": count}
            seen = len(traffic.answers)
            lab.call(
                "UpdateEndpoint",
                EndpointName="fleet",
                EndpointConfigName=config,
                RetainAllVariantProperties=True,
            )
            lab.settled()
            lab.call(
                "UpdateEndpointWeightsAndCapacities",
                EndpointName="fleet",
                DesiredWeightsAndCapacities=[desired],
            )
            lab.settled()
            wait_until(lambda seen=seen: len(traffic.answers) > seen + 100)  # type: ignore[misc]

    assert traffic.failures == []
    assert {version(answer) for answer in traffic.answers} == {"0", "1", "2", "3"}
    assert all(json.loads(answer.body)["content"] == f"model {model}" for model, answer in traffic.answers)


def test_a_request_inside_when_the_update_comes_is_answered(lab: Lab, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    serve(lab, "a", VERSION="1")
    lab.invoke("a")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(lab.invoke, "a", f"wait {gate}".encode())
        fleet = lab.sagemaker._endpoints.fleet("fleet")
        assert fleet is not None
        [replica] = fleet.variants["AllTraffic"].replicas
        wait_until(lambda: replica.instance.in_flight == 1)
        lab.call(
            "UpdateEndpoint", EndpointName="fleet", EndpointConfigName=multi_model(lab, "second", VERSION="2")
        )
        lab.settled()

        assert content(lab.invoke("a"))["version"] == "2"
        assert not slow.done()
        gate.touch()
        assert content(slow.result())["version"] == "1"


@pytest.mark.parametrize("fault", [{"VERSION": "sick"}, {"EXIT": "1"}], ids=["ping", "exit"])
def test_a_failed_update_leaves_the_old_serving(lab: Lab, fault: dict[str, str]) -> None:
    serve(lab, "a", VERSION="1")
    # Only now: a good container may take its time on a busy machine. The platform's facts are frozen otherwise.
    object.__setattr__(lab.sagemaker._platform, "timing", replace(QUICK, startup=1))
    with Traffic(lab) as traffic:
        lab.call(
            "UpdateEndpoint", EndpointName="fleet", EndpointConfigName=multi_model(lab, "second", 1, **fault)
        )
        endpoint = lab.settled()

    assert endpoint["EndpointStatus"] == "InService"
    assert endpoint["EndpointConfigName"] == "first"
    assert "did not pass the ping health check" in endpoint["FailureReason"]
    assert "PendingDeploymentSummary" not in endpoint
    assert traffic.answers
    assert traffic.failures == []
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


def test_an_endpoint_in_motion_is_left_alone(lab: Lab, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    config = multi_model(lab, GATE=str(gate))
    lab.call("CreateEndpoint", EndpointName="fleet", EndpointConfigName=config)

    with pytest.raises(ApiError, match="Cannot update in-progress endpoint"):
        lab.call("UpdateEndpoint", EndpointName="fleet", EndpointConfigName=config)
    with pytest.raises(ApiError, match="Cannot update in-progress endpoint"):
        lab.call("DeleteEndpoint", EndpointName="fleet")
    gate.touch()
    assert lab.settled()["EndpointStatus"] == "InService"


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

    assert time.monotonic() - started < QUICK.startup / 2
    assert lab.call("DescribeEndpoint", EndpointName="fleet")["EndpointStatus"] == "Creating"


def test_an_endpoint_that_is_being_started_again_asks_for_patience(lab: Lab) -> None:
    serve(lab, "a")
    lab.sagemaker.stop()
    lab.sagemaker._platform.records.update("Endpoint", "fleet", EndpointStatus="SystemUpdating")

    response = lab.invoke("a")

    assert response.status == 503
    assert error(response)["Code"] == "ServiceUnavailable"
