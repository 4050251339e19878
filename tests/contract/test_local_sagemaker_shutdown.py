"""Stopping the local cloud in the middle of anything ends every container, at once and without a word of it."""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.contract.lab import QUICK, Lab, wait_until
from tests.contract.toys import alive, content, multi_model, serve

from fleetcast_local.sagemaker import endpoints
from fleetcast_local.sagemaker.fleet import Variant

LONG = replace(QUICK, drain=600)


class Watched:
    """Counts the minutes that autoscaling is told of."""

    def __init__(self) -> None:
        self.minutes = 0

    def minute(self, measured: Mapping[tuple[str, str], float]) -> None:
        self.minutes += 1

    def watches(self, endpoint: str, variant: str) -> bool:
        return False

    def forget(self, endpoint: str) -> None: ...


def scale(lab: Lab, count: int) -> None:
    desired = {"VariantName": "AllTraffic", "DesiredInstanceCount": count}
    lab.call(
        "UpdateEndpointWeightsAndCapacities", EndpointName="fleet", DesiredWeightsAndCapacities=[desired]
    )


def variant(lab: Lab) -> Variant:
    fleet = lab.sagemaker._endpoints.fleet("fleet")
    assert fleet is not None
    return fleet.variants["AllTraffic"]


def end_of_changes() -> None:
    """Wait for the threads that change endpoints; what goes wrong in one fails the test that looks away."""
    for thread in threading.enumerate():
        if thread.name == "endpoint fleet":
            thread.join(60)
            assert not thread.is_alive()


def test_a_stop_in_the_middle_of_growing_leaves_no_instance_and_no_outcome(lab: Lab, tmp_path: Path) -> None:
    lab.start_sagemaker(LONG)
    gate = tmp_path / "gate"
    gate.touch()
    serve(lab, "a", GATE=str(gate))
    growing = variant(lab)
    gate.unlink()
    scale(lab, 3)
    started = wait_until(lambda: children(growing) if len(children(growing)) == 2 else None)

    lab.sagemaker.stop()

    assert [pid for pid in started or [] if alive(pid)] == []
    end_of_changes()
    assert growing.replicas == ()
    assert lab.call("DescribeEndpoint", EndpointName="fleet")["EndpointStatus"] == "Updating"
    gate.touch()
    lab.start_sagemaker()
    [back] = lab.settled()["ProductionVariants"]
    assert back["CurrentInstanceCount"] == 1


def children(growing: Variant) -> list[int]:
    return [instance._child.pid for instance in growing._starting if instance._child]


@pytest.mark.parametrize("change", ["shrink", "replace", "delete"])
def test_a_stop_does_not_wait_for_instances_that_drain(lab: Lab, change: str) -> None:
    lab.start_sagemaker(LONG)
    serve(lab, "a", "b", count=2)
    pids = {content(lab.invoke(name))["pid"] for name in ("a", "b")}
    assert len(pids) == 2
    leaving = variant(lab)
    with ThreadPoolExecutor(2) as callers:
        slow = [callers.submit(lab.invoke, name, b"sleep 500") for name in ("a", "b")]
        wait_until(lambda: [replica.instance.in_flight for replica in leaving.replicas] == [1, 1])
        begin(lab, change)
        wait_until(lambda: len(leaving.replicas) < 2)

        lab.sagemaker.stop()

        assert [pid for pid in pids if alive(pid)] == []
        end_of_changes()
        assert all(request.result().status >= 400 for request in slow)


def begin(lab: Lab, change: str) -> None:
    if change == "shrink":
        scale(lab, 1)
    elif change == "replace":
        lab.call("UpdateEndpoint", EndpointName="fleet", EndpointConfigName=multi_model(lab, "second"))
    else:
        lab.call("DeleteEndpoint", EndpointName="fleet")


def test_a_stop_ends_the_containers_before_it_waits_for_cloudwatch(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The local CloudWatch is gone by then: its clients try again for a while, and nobody scales after that."""
    publishing, answer = threading.Event(), threading.Event()

    def publish(*_: Any) -> None:
        publishing.set()
        answer.wait(200)

    monkeypatch.setattr(endpoints, "publish", publish)
    scaling = Watched()
    lab.start_sagemaker(replace(QUICK, minute=0.1), scaling)
    assert publishing.wait(60)
    serve(lab, "a")
    pid = content(lab.invoke("a"))["pid"]

    stopping = threading.Thread(target=lab.sagemaker.stop)
    stopping.start()
    try:
        wait_until(lambda: not alive(pid))
    finally:
        answer.set()
        stopping.join()

    assert scaling.minutes == 0
