"""What the functions of the run answer, in every shape: the walk through the state machine relies on it.

`tests/unit/test_function_run_steps.py` and `test_function_initiate_run.py` hold the real handlers to these shapes.
"""

from typing import Any, get_args

from fleetcast.domain.alerts import Alert, explain_failure
from fleetcast.domain.endpoints import Action
from fleetcast.domain.gate import Verdict
from fleetcast.domain.parameters import PARAMETERS
from fleetcast.domain.runs import Stack, plan_run
from fleetcast.domain.triggers import Trigger

RUN_ID = "r20260131020000-0a1b2c"
# As long as stack names may be, so that every name made of it is seen at its longest.
LONGEST_STACK = "fleetcast-with-a-long-name-x"
PARAMETER_VALUES = {parameter.name: parameter.default for parameter in PARAMETERS}
VERDICT = Verdict(
    accepted=True,
    reasons=(),
    customers=2,
    trained=1,
    statuses={"trained": 1, "too_short": 1},
    families={"prophet": 1},
    failed_share=0.0,
    error_ratio=0.8,
)


def plan(*, use_spot: bool = True, stack: str = "fleetcast") -> dict[str, Any]:
    parameters = {**PARAMETER_VALUES, "training/use_spot": use_spot}
    trigger = Trigger("data", "new data: raw/readings.csv", "e1")
    return plan_run(
        Stack(stack, "data-bucket", "model-bucket"), RUN_ID, trigger, parameters, "0123456789abcdef"
    )


ANSWERS: dict[str, list[Any]] = {
    "InitiateRun": [
        plan(),
        plan(use_spot=False, stack=LONGEST_STACK),
        {"started": False, "run_id": RUN_ID, "outcome": "joined"},
    ],
    "EvaluateRun": [
        {
            "accepted": accepted,
            "summary": VERDICT.to_document(),
            "alert": Alert("subject", "text").to_document(),
        }
        for accepted in (True, False)
    ],
    "PlanEndpoint": [
        {"action": action, "environment": {"FLEETCAST_MODEL_BUDGET_BYTES": "1"}}
        for action in get_args(Action)
    ],
    "PromoteRun": [{"cursor": 2_000, "done": done} for done in (True, False)],
    "CloseRun": [{"run_id": RUN_ID, "again": again} for again in (True, False)],
    "ExplainFailure": [
        explain_failure("fleetcast", RUN_ID, {"TrainModels": {"Error": "E", "Cause": "c"}}, "arn")
    ],
}
