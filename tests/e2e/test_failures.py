"""What can break, broken for real: each ends red, tells a person why and what to do, and leaves the old models serving.

The tests build on each other in the order of a fleet's life: nothing serves at first, then a run succeeds, and
everything after it must leave that run's models answering.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.product import Product


@pytest.fixture(scope="module")
def fleet(broken_product: Product) -> Product:
    broken_product.run("synth", "data", "--customers", "12", "--days", "120")
    return broken_product


def fail(product: Product) -> tuple[str, str]:
    """Start a run that must fail; return what the terminal said and the text of the email that explains it."""
    done = product.run("retrain", "--wait", check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout + done.stderr, explanation(product)


def explanation(product: Product) -> str:
    mails = [mail for mail in product.emails() if "FAILED in" in mail["Subject"]]
    return f"{mails[-1]['Subject']}\n{mails[-1].get_content()}"


def assert_still_serving(product: Product, run_id: str) -> None:
    status, answer = product.forecast("1")
    assert (status, answer.get("run_id")) == (200, run_id)


def test_a_failing_build_names_the_build_and_its_log(fleet: Product) -> None:
    codebuild = fleet.client("codebuild")
    project = codebuild.batch_get_projects(names=["fleetcast-serving"])["projects"][0]
    good = project["environment"]
    wrong = {"name": "SERVING_REPOSITORY_URI", "value": "000000000000.dkr.ecr.us-east-1.amazonaws.com/gone"}
    codebuild.update_project(name="fleetcast-serving", environment={**good, "environmentVariables": [wrong]})

    said, email = fail(fleet)

    codebuild.update_project(name="fleetcast-serving", environment=good)
    assert "BuildImages" in said
    assert "FAILED in BuildImages" in email
    assert "fleetcast-serving:" in email  # the build's id, by which its log is found
    assert "What to do:" in email


def test_an_empty_bucket_is_a_failure_that_says_where_data_belongs(fleet: Product) -> None:
    _, email = fail(fleet)

    assert "FAILED in PrepareData" in email
    assert "raw/" in email


def test_a_bucket_of_unreadable_files_fails_and_names_what_is_expected(fleet: Product) -> None:
    bucket = fleet.outputs["DataBucketName"]
    fleet.client("s3").put_object(
        Bucket=bucket, Key="raw/picture.csv", Body=b"\x89PNG\r\n\x1a\n" + bytes(range(256))
    )

    _, email = fail(fleet)

    fleet.client("s3").delete_object(Bucket=bucket, Key="raw/picture.csv")
    assert "FAILED in PrepareData" in email
    assert "picture.csv" in email
    assert "Put .csv, .csv.gz or .parquet files under raw/" in email


def test_an_endpoint_that_never_becomes_healthy_fails_the_run(fleet: Product) -> None:
    fleet.run("ingest", "data")
    with_broken_image(fleet, lambda: fail_in_endpoint(fleet))


def fail_in_endpoint(product: Product) -> None:
    _, email = fail(product)
    assert "FAILED in DescribeEndpoint" in email
    assert "healthy" in email


def with_broken_image(product: Product, do: Callable[[], None]) -> None:
    """Take the program out of the serving image that was built, as a bad build would."""
    [program] = (product.project / ".fleetcast" / "images").glob(
        "*/containers/serving/fleetcast_serving/__main__.py"
    )
    hidden = program.with_suffix(".hidden")
    program.rename(hidden)
    try:
        do()
    finally:
        hidden.rename(program)


@pytest.fixture(scope="module")
def serving_run(fleet: Product) -> str:
    """The run that replaces the failed endpoint, and whose models must outlive all that follows."""
    fleet.run("ingest", "data")  # nothing new where an earlier test did so
    fleet.run("retrain", "--wait")
    run_id: str = fleet.read("runs")[0]["run_id"]
    assert_still_serving(fleet, run_id)
    return run_id


def test_a_training_host_that_crashes_fails_the_run_and_the_old_models_serve(
    fleet: Product, serving_run: str
) -> None:
    execution = start(fleet)
    for pid in wait_for_processes(fleet, "fleetcast_training"):
        os.kill(pid, signal.SIGKILL)

    ending = fleet.wait_for(execution)

    assert ending["status"] == "FAILED"
    assert "TrainModels" in ending["cause"]
    assert "FAILED in TrainModels" in explanation(fleet)
    assert_still_serving(fleet, serving_run)


def test_a_training_job_that_runs_out_of_time_fails_the_run_and_the_old_models_serve(
    fleet: Product, serving_run: str
) -> None:
    fleet.set_parameter("training/engine", "prophet")  # the exact engine may well be done within the second
    fleet.set_parameter("training/max_runtime_seconds", 1)
    _, email = fail(fleet)
    fleet.set_parameter("training/max_runtime_seconds", 14_400)
    fleet.set_parameter("training/engine", "map")
    settle(fleet)

    assert "FAILED in TrainModels" in email
    assert "training/max_runtime_seconds" in email
    assert_still_serving(fleet, serving_run)


def settle(product: Product) -> None:
    """Stop whatever a changed parameter has started."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        running = product.executions("RUNNING")
        for execution in running:
            product.client("stepfunctions").stop_execution(executionArn=execution["executionArn"])
            product.wait_for(execution["executionArn"])
        if running:
            return
        time.sleep(0.2)


def test_a_run_that_the_gate_rejects_ends_red_and_moves_no_pointer(fleet: Product, serving_run: str) -> None:
    bucket = fleet.outputs["DataBucketName"]
    broken = "customer_id,timestamp,consumption\n" + "".join(
        f"broken-{n},2026-01-01,nothing\n" for n in range(20)
    )
    fleet.client("s3").put_object(Bucket=bucket, Key="raw/broken.csv", Body=broken.encode())

    done = fleet.run("retrain", "--wait", check=False)

    fleet.client("s3").delete_object(Bucket=bucket, Key="raw/broken.csv")
    assert done.returncode == 1
    assert fleet.read("runs")[0]["status"] == "REJECTED"
    mail = [mail for mail in fleet.emails() if "rejected" in mail["Subject"]][-1]
    assert "gate/max_failed_share" in mail.get_content()
    assert_still_serving(fleet, serving_run)


def test_an_aborted_execution_stops_its_job_and_releases_the_lock(fleet: Product, serving_run: str) -> None:
    execution = start(fleet)
    wait_for_processes(fleet, "fleetcast_training")

    fleet.client("stepfunctions").stop_execution(executionArn=execution, cause="changed our mind")

    assert fleet.wait_for(execution)["status"] == "ABORTED"
    wait_until(lambda: not processes(fleet, "fleetcast_training"), "the training job still runs")
    wait_until(lambda: fleet.read("runs")[0]["status"] == "ABORTED", "the run's record still says otherwise")
    assert any(execution in mail.get_content() and "ABORTED" in mail.get_content() for mail in fleet.emails())
    assert_still_serving(fleet, serving_run)


def test_a_file_dropped_under_raw_starts_a_run(fleet: Product, serving_run: str) -> None:
    before = {run["run_id"] for run in fleet.read("runs")}
    rows = "".join(f"newcomer,2026-01-{day:02d},{day % 7}\n" for day in range(1, 31))
    fleet.client("s3").put_object(
        Bucket=fleet.outputs["DataBucketName"],
        Key="raw/newcomer.csv",
        Body=f"customer_id,timestamp,consumption\n{rows}".encode(),
    )

    run = wait_for_run(fleet, before)

    assert (run["status"], run["trigger"]) == ("SUCCEEDED", "data")
    assert fleet.forecast("newcomer")[0] == 200


def test_a_schedule_of_a_minute_starts_a_run_by_itself(fleet: Product, serving_run: str) -> None:
    before = {run["run_id"] for run in fleet.read("runs")}
    fleet.set_parameter("schedule/expression", "rate(1 minute)")

    run = wait_for_run(fleet, before)

    fleet.set_parameter("schedule/state", "DISABLED")
    assert run["trigger"] == "schedule"


def test_a_topic_that_refuses_ends_the_run_red_before_anything_is_done(
    fleet: Product, serving_run: str
) -> None:
    wait_until(lambda: not fleet.executions("RUNNING"), "a scheduled run does not end", 120)
    serving = fleet.forecast("1")[1]["run_id"]
    fleet.client("sns").delete_topic(TopicArn=fleet.outputs["AlertTopicArn"])

    done = fleet.run("retrain", "--wait", check=False)

    assert done.returncode == 1
    assert "NotifyStart" in done.stdout + done.stderr
    assert_still_serving(fleet, serving)


def start(product: Product) -> str:
    started = product.client("stepfunctions").start_execution(
        stateMachineArn=product.outputs["StateMachineArn"], input='{"reason": "a test"}'
    )
    execution: str = started["executionArn"]
    return execution


def wait_for_run(product: Product, before: set[str]) -> dict[str, Any]:
    """Return the next run that has ended."""
    wait_until(lambda: _ended(product, before), "no run came by itself", 200)
    return _ended(product, before)[0]


def _ended(product: Product, before: set[str]) -> list[dict[str, Any]]:
    return [run for run in product.read("runs") if run["run_id"] not in before and run["status"] != "RUNNING"]


def wait_for_processes(product: Product, name: str) -> list[int]:
    wait_until(lambda: bool(processes(product, name)), f"no process of {name} came")
    return processes(product, name)


def processes(product: Product, name: str) -> list[int]:
    """The pids of this product's processes that run a module, parents before their workers."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, environ = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if name.encode() in command and str(product.project).encode() in environ:
            found.append(int(folder.name))
    return sorted(found)


def wait_until(holds: Callable[[], bool | list[Any]], complaint: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.3)
