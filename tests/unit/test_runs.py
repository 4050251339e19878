"""The plan of a run: names, keys and settings, never data."""

import json
import re
from typing import Any

import pytest

from fleetcast.domain.parameters import PARAMETERS
from fleetcast.domain.runs import Stack, decisions_key, ledger_key, metrics_key, plan_run
from fleetcast.domain.triggers import Trigger
from fleetcast.errors import SettingError

RUN = "r20260131020000-0a1b2c"
VALUES = {parameter.name: parameter.default for parameter in PARAMETERS}
DATA = Trigger("data", "new data")


def plan(trigger: Trigger = DATA, stack: str = "fleetcast", **changes: Any) -> dict[str, Any]:
    values = {**VALUES, **{name.replace("__", "/"): value for name, value in changes.items()}}
    return plan_run(Stack(stack, "data", "models"), RUN, trigger, values, "0123456789abcdef")


def test_the_plan_is_json_and_small() -> None:
    """Step Functions carries 256 KB and no more; nothing here grows with the number of customers."""
    assert len(json.dumps(plan())) < 8_192


def test_every_prefix_ends_where_a_folder_ends() -> None:
    """S3 takes prefixes literally: r1 is the beginning of r10."""
    assert all(uri.endswith("/") for uri in plan()["uris"].values())


def test_models_and_checkpoints_are_one_place() -> None:
    uris = plan()["uris"]
    assert uris["checkpoints"] == f"{uris['models']}{RUN}/"


@pytest.mark.parametrize("kind", ["schedule", "queued", "manual"])
def test_only_what_settles_waits(kind: Any) -> None:
    assert plan()["settle_seconds"] == 60
    assert plan(Trigger(kind, "now"))["settle_seconds"] == 0


def test_hyperparameters_and_environment_are_text_within_the_limits_of_the_platform() -> None:
    for texts in (plan()["training"]["hyperparameters"], plan()["preparation"]["environment"]):
        assert all(isinstance(value, str) and len(value) <= 256 for value in texts.values())
    longest = plan(data__customer_column="x" * 128)["preparation"]["environment"]
    assert longest["FLEETCAST_CUSTOMER_COLUMN"] == "x" * 128


def test_a_job_without_spot_has_no_waiting_time() -> None:
    """SageMaker refuses one."""
    assert plan()["training"]["stopping_condition"] == {
        "MaxRuntimeInSeconds": 14_400,
        "MaxWaitTimeInSeconds": 28_800,
    }
    without = plan(training__use_spot=False)["training"]
    assert without["stopping_condition"] == {"MaxRuntimeInSeconds": 14_400}
    assert without["use_spot"] is False


def test_names_of_the_longest_stack_leave_room_for_the_retry_count() -> None:
    names = plan(stack="a" * 28)["names"].values()
    assert all(len(name) <= 61 and re.fullmatch(r"[a-z0-9-]+", name) for name in names)


@pytest.mark.parametrize("name", ["", "Fleetcast", "9lives", "a" * 29, "a_b", "a.b", "-a", "a\n"])
def test_a_stack_name_that_sagemaker_cannot_carry_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match="use 1 to 28 lower-case letters, digits and hyphens"):
        Stack(name, "data", "models")


def test_the_sources_are_named_by_their_digest() -> None:
    assert plan()["source"] == {"digest": "0123456789abcdef", "location": "data/source/0123456789abcdef.zip"}


def test_reports_of_a_run_lie_below_its_id() -> None:
    assert ledger_key(RUN) == f"ledger/run_id={RUN}/part-0.parquet"
    assert decisions_key(RUN) == f"runs/{RUN}/decisions.jsonl.gz"
    assert plan()["uris"]["run"] + "metrics.json" == f"s3://data/{metrics_key(RUN)}"
