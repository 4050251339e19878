"""The main job from end to end: deploy, ingest, train, release, serve; then what happens the second time."""

import csv
import gzip
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.e2e.product import Product

CUSTOMERS = 24


@pytest.fixture(scope="module")
def first_run(product: Product) -> dict[str, Any]:
    """The first run of a fresh stack, over a small fleet in which one customer in twenty is broken."""
    product.run("synth", "data", "--customers", str(CUSTOMERS), "--days", "200", "--defects")
    product.run("ingest", "data")
    product.run("retrain", "--wait")
    run: dict[str, Any] = product.read("runs")[0]
    return run


@pytest.fixture
def ledger(product: Product, first_run: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = product.read("fleet", "--run", first_run["run_id"], "--limit", "1000")[
        "worst"
    ]
    return rows


def test_the_sam_cli_finds_nothing_to_say_against_the_template(product: Product) -> None:
    done = subprocess.run(
        [product.project / ".sam" / "bin" / "sam", "validate", "--lint", "--region", "us-east-1"],
        cwd=product.project,
        env={"PATH": os.environ["PATH"], "HOME": str(product.home), "SAM_CLI_TELEMETRY": "0"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_run_ends_green_and_says_how_many_customers_it_served(first_run: dict[str, Any]) -> None:
    assert first_run["status"] == "SUCCEEDED"
    assert first_run["summary"]["customers"] >= CUSTOMERS
    assert first_run["summary"]["trained"] > CUSTOMERS / 2


def test_every_customer_of_the_raw_data_has_a_ledger_row(
    product: Product, ledger: list[dict[str, Any]]
) -> None:
    raw = set().union(*(customers_of(file) for file in (product.project / "data").glob("*.csv.gz")))

    assert {row["customer_id"] for row in ledger} == raw
    assert all(row["reason"] for row in ledger if row["status"] != "trained")


def customers_of(file: Path) -> set[str]:
    """The ids in a generated file; the one file that is broken on purpose is no gzip at all."""
    if file.read_bytes()[:2] != b"\x1f\x8b":
        return set()
    with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
        return {row["customer_id"] for row in csv.DictReader(lines) if row["customer_id"]}


def test_every_trained_customer_answers_and_every_other_says_why_not(
    product: Product, ledger: list[dict[str, Any]]
) -> None:
    for row in ledger:
        status, answer = product.forecast(row["customer_id"])
        if row["status"] == "trained":
            assert status == 200, answer
            assert answer["customer_id"] == row["customer_id"]
            assert answer["run_id"] == row["run_id"]
            assert answer["model_family"] == row["family"]
            assert len(answer["forecast"]) == 7
            assert all(
                step["yhat_lower"] <= step["yhat"] <= step["yhat_upper"] for step in answer["forecast"]
            )
        else:
            assert (status, answer["error"]["code"]) == (404, "unknown_customer")


def test_no_customer_is_served_a_model_that_lost_to_the_naive(ledger: list[dict[str, Any]]) -> None:
    compared = [row for row in ledger if row["status"] == "trained" and row["naive_mae"] is not None]

    assert compared
    assert all(row["mae"] <= row["naive_mae"] for row in compared)


def test_the_operator_gets_an_email_at_the_start_and_one_with_the_summary(
    product: Product, first_run: dict[str, Any]
) -> None:
    mine = [mail for mail in product.emails() if first_run["run_id"] in mail["Subject"]]

    assert [re.sub(r"r\d{14}-\w{6}", "RUN", mail["Subject"]).partition(",")[0] for mail in mine] == [
        "Fleetcast fleetcast: run RUN started",
        "Fleetcast fleetcast: run RUN succeeded",
    ]
    summary = mine[1].get_content()
    assert "with a new model" in summary
    assert "against the seasonal naive" in summary


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"period": 0}', "period"),
        (b'{"period": -1}', "period"),
        (b'{"period": 1.5}', "period"),
        (b'{"period": "7"}', "period"),
        (b'{"period": 1000000000}', "period"),
        (b'{"period": true}', "period"),
        (b"{}", "period"),
        (b'{"period": 7, "horizon": 1}', "horizon"),
        (b"{period: 7}", "body"),
        (b"\xff\xfe", "body"),
        (b"", "body"),
        (b"[" * 50_000, "body"),
        (b'{"period": 7, "x": "' + b"y" * 5_000_000 + b'"}', "body"),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else value,
)
def test_a_bad_body_is_refused_with_the_field_at_fault(
    product: Product, first_run: dict[str, Any], body: bytes, field: str
) -> None:
    status, answer, _ = product.request("POST", "/customers/1/forecasts", body)

    assert status == 400
    assert answer["error"]["field"] == field


def test_all_that_may_be_asked_is_answered_by_the_model(
    product: Product, ledger: list[dict[str, Any]]
) -> None:
    customer = next(row["customer_id"] for row in ledger if row["status"] == "trained")
    path = f"/customers/{quote(customer, safe='')}/forecasts"
    _, daily, _ = product.request("POST", path, b'{"period": 21, "interval": 0.95}')
    start = daily["forecast"][6]["timestamp"]
    asked = {"period": 2, "start": start, "frequency": "weekly", "interval": 0.95, "components": True}

    status, weekly, _ = product.request("POST", path, json.dumps(asked).encode())

    assert status == 200, weekly
    assert (weekly["frequency"], weekly["interval"]) == ("weekly", 0.95)
    assert all(step.pop("components")["trend"] for step in weekly["forecast"])
    assert [step["timestamp"] for step in weekly["forecast"]] == [
        daily["forecast"][place]["timestamp"] for place in (6, 13)
    ]
    assert weekly["forecast"][1]["yhat"] == pytest.approx(daily["forecast"][13]["yhat"])


def test_what_the_model_refuses_is_a_bad_request_with_its_field(
    product: Product, ledger: list[dict[str, Any]]
) -> None:
    customer = next(row["customer_id"] for row in ledger if row["status"] == "trained")
    path = f"/customers/{quote(customer, safe='')}/forecasts"

    for asked in ({"start": "1999-01-01"}, {"frequency": "15min"}):
        status, answer, _ = product.request("POST", path, json.dumps({"period": 2, **asked}).encode())
        assert (status, answer["error"]["field"]) == (400, next(iter(asked)))


def test_a_caller_chooses_csv_by_a_header(product: Product, ledger: list[dict[str, Any]]) -> None:
    customer = next(row["customer_id"] for row in ledger if row["status"] == "trained")
    path, body = f"/customers/{quote(customer, safe='')}/forecasts", b'{"period": 2}'

    status, table, headers = product.request("POST", path, body, {"Accept": "text/csv"})
    refused, problem, _ = product.request("POST", path, body, {"Accept": "text/html"})

    assert (status, headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert table.splitlines()[0] == "customer_id,timestamp,yhat,yhat_lower,yhat_upper"
    assert len(table.splitlines()) == 3
    assert (refused, problem["error"]["field"]) == (406, "Accept")


def test_another_content_type_is_refused(product: Product, first_run: dict[str, Any]) -> None:
    status, answer, _ = product.request(
        "POST", "/customers/1/forecasts", b'{"period": 7}', {"Content-Type": "text/csv"}
    )

    assert (status, answer["error"]["field"]) == (400, "Content-Type")


@pytest.mark.parametrize(
    "customer", ["nobody", "../../etc/passwd", "a/../1", "x" * 128, "Ünï ¢ode?#&", "%41"]
)
def test_an_unknown_customer_is_not_found_however_its_id_is_spelled(
    product: Product, first_run: dict[str, Any], customer: str
) -> None:
    assert product.forecast(customer)[0] == 404


@pytest.mark.parametrize("customer", ["x" * 129, "line\nbreak"])
def test_an_id_that_cannot_exist_is_a_bad_request(
    product: Product, first_run: dict[str, Any], customer: str
) -> None:
    status, answer = product.forecast(customer)

    assert (status, answer["error"]["field"]) == (400, "customer_id")


def test_the_api_says_which_model_serves_and_that_it_is_well(
    product: Product, ledger: list[dict[str, Any]]
) -> None:
    trained = next(row for row in ledger if row["status"] == "trained")

    status, model, _ = product.request("GET", f"/customers/{quote(trained['customer_id'], safe='')}/model")
    healthy, health, _ = product.request("GET", "/health")

    assert (status, model["run_id"], model["fingerprint"]) == (200, trained["run_id"], trained["fingerprint"])
    assert (healthy, health["status"]) == (200, "ok")


def test_a_second_run_builds_nothing_leaves_the_endpoint_alone_and_keeps_the_former_model(
    product: Product, first_run: dict[str, Any]
) -> None:
    builds = len(product.client("codebuild").list_builds()["ids"])
    config = product.client("sagemaker").describe_endpoint(EndpointName="fleetcast")["EndpointConfigName"]

    product.run("retrain", "--wait")

    second = product.read("runs")[0]["run_id"]
    shown = product.read("show", "1")
    assert second != first_run["run_id"]
    assert shown["model"]["run_id"] == second
    assert shown["previous"]["run_id"] == first_run["run_id"]
    assert len(product.client("codebuild").list_builds()["ids"]) == builds
    assert (
        product.client("sagemaker").describe_endpoint(EndpointName="fleetcast")["EndpointConfigName"]
        == config
    )
    assert product.forecast("1")[1]["run_id"] == second


def test_each_run_is_a_version_in_the_model_registry(product: Product, first_run: dict[str, Any]) -> None:
    sagemaker = product.client("sagemaker")
    listed = sagemaker.list_model_packages(ModelPackageGroupName="fleetcast")["ModelPackageSummaryList"]
    described = [sagemaker.describe_model_package(ModelPackageName=p["ModelPackageArn"]) for p in listed]

    assert first_run["run_id"] in {package["CustomerMetadataProperties"]["run_id"] for package in described}


def test_autoscaling_watches_the_endpoint(product: Product, first_run: dict[str, Any]) -> None:
    scaling = product.client("application-autoscaling")
    [target] = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    [policy] = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]

    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 10)
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 30_000
    names = [alarm["AlarmName"] for alarm in policy["Alarms"]]
    assert len(product.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]) == 2


def test_the_same_event_twice_starts_one_run(product: Product, first_run: dict[str, Any]) -> None:
    event = {
        "id": "11111111-2222-3333-4444-555555555555",
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {"object": {"key": "raw/late.csv"}},
    }
    states, machine = product.client("stepfunctions"), product.outputs["StateMachineArn"]
    runs_before = {run["run_id"] for run in product.read("runs")}

    both = [
        states.start_execution(stateMachineArn=machine, input=json.dumps(event))["executionArn"]
        for _ in range(2)
    ]
    endings = [product.wait_for(execution) for execution in both]

    assert {ending["status"] for ending in endings} == {"SUCCEEDED"}
    assert len({run["run_id"] for run in product.read("runs")} - runs_before) == 1


def test_a_restart_of_the_cloud_keeps_the_stack_the_models_and_the_service(
    product: Product, first_run: dict[str, Any]
) -> None:
    before = product.forecast("1")

    product.run("down")
    product.run("up")
    product.close()
    product.wait_until_healthy()

    after = product.forecast("1")
    assert before[0] == after[0] == 200
    assert before[1]["forecast"] == after[1]["forecast"]
    assert first_run["run_id"] in {run["run_id"] for run in product.read("runs")}
