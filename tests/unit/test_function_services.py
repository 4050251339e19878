"""What is asked besides a run: health, the model of a customer, and the schedule."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from tests.static.answers import PARAMETER_VALUES, RUN_ID
from tests.unit.endpoint_support import absent, serving
from tests.unit.function_support import invoke, sample
from tests.unit.test_function_forecast_customer import CUSTOMER, conforms
from tests.unit.test_pointer_table import FIRST

from fleetcast.adapters.clients import client
from fleetcast.adapters.pointer_table import PointerTable
from fleetcast.adapters.run_table import RunTable
from fleetcast.domain.triggers import Trigger


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (serving, 200),
        (partial(serving, status="Updating"), 200),
        (partial(serving, status="Failed"), 503),
        (absent, 503),
    ],
    ids=["serving", "updating", "failed", "absent"],
)
def test_health_is_whether_forecasts_can_be_answered(
    sagemaker: Stubber,
    run_table: str,
    monkeypatch: pytest.MonkeyPatch,
    found: Callable[[Stubber], None],
    status: int,
) -> None:
    monkeypatch.setenv("RUN_TABLE", run_table)
    found(sagemaker)

    answered = invoke("check_health", sample("check_health"))

    assert answered["statusCode"] == status
    if status == 200:
        assert json.loads(answered["body"])["run_in_progress"] is None


def test_health_says_which_run_is_at_work(
    sagemaker: Stubber, run_table: str, execution: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUN_TABLE", run_table)
    RunTable(run_table).acquire(RUN_ID, execution(), Trigger("manual", "by hand"))
    serving(sagemaker)

    body = json.loads(invoke("check_health", sample("check_health"))["body"])

    assert body == {"status": "ok", "endpoint": "InService", "run_in_progress": RUN_ID}


@pytest.fixture
def schedule(aws: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    values = {
        **PARAMETER_VALUES,
        "schedule/expression": "rate(1 day)",
        "schedule/time_zone": "Europe/Berlin",
        "schedule/state": "DISABLED",
    }
    for name, value in values.items():
        client("ssm").put_parameter(Name=f"/fleetcast/fleetcast/{name}", Value=str(value), Type="String")
    client("scheduler").create_schedule(
        Name="fleetcast-retrain",
        Description="kept",
        ScheduleExpression="cron(0 3 ? * MON *)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": "arn:aws:states:us-east-1:123456789012:stateMachine:fleetcast-retrain",
            "RoleArn": "arn:aws:iam::123456789012:role/start",
            "Input": '{"source": "fleetcast.schedule"}',
            "DeadLetterConfig": {"Arn": "arn:aws:sqs:us-east-1:123456789012:dead"},
        },
    )
    monkeypatch.setenv("PARAMETER_PATH", "/fleetcast/fleetcast/")
    monkeypatch.setenv("SCHEDULE_NAME", "fleetcast-retrain")
    return client("scheduler")


def test_a_changed_parameter_changes_the_schedule_and_nothing_else(schedule: Any) -> None:
    """UpdateSchedule replaces the whole of it: what is not sent again is lost."""
    before = schedule.get_schedule(Name="fleetcast-retrain")

    invoke("apply_schedule", sample("apply_schedule"))

    after = schedule.get_schedule(Name="fleetcast-retrain")
    assert (after["ScheduleExpression"], after["ScheduleExpressionTimezone"], after["State"]) == (
        "rate(1 day)",
        "Europe/Berlin",
        "DISABLED",
    )
    assert after["Target"] == before["Target"]
    assert (after["Description"], after["FlexibleTimeWindow"]) == ("kept", {"Mode": "OFF"})


def test_a_schedule_that_the_service_refuses_fails_for_its_dead_letter_queue(schedule: Any) -> None:
    schedule.delete_schedule(Name="fleetcast-retrain")

    with pytest.raises(ClientError, match="does not exist"):
        invoke("apply_schedule", sample("apply_schedule"))


def test_a_customer_is_told_which_model_it_is_served(
    pointer_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTER_TABLE", pointer_table)
    unknown = invoke("describe_customer", sample("describe_customer"))
    PointerTable(pointer_table).promote([(CUSTOMER, FIRST)], by=FIRST.run_id)

    answered = invoke("describe_customer", sample("describe_customer"))

    document = json.loads(answered["body"])
    assert unknown["statusCode"] == 404
    assert document == {"customer_id": CUSTOMER, **FIRST.to_document()}
    conforms(document, "Model")
