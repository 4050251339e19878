"""What moto's interpreter gets wrong, put right; each repair is kept honest by tests/workflow/test_asl_*.

moto imports names, not modules, all over its parser: a function is therefore replaced wherever it is held.
"""

import json
import re
import sys
from collections.abc import Callable
from typing import Any

import jsonata
import moto.stepfunctions.parser.models  # noqa: F401 - loads every module that holds a name replaced here
from ministack.services import stepfunctions as ministack
from moto.stepfunctions.parser.api import HistoryEventType, TaskTimedOutEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name import custom_error_name
from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import ErrorEqualsDecl
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_aws_sdk as aws_sdk,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import (
    StateTaskService,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task import StateTask
from moto.stepfunctions.parser.asl.eval.callback.callback import HeartbeatTimeoutError
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.jsonata import jsonata as moto_jsonata
from moto.stepfunctions.parser.asl.utils import boto_client, json_path
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

from fleetcast_local.asl import clients

# How Step Functions spells services in the error names of SDK integrations.
SDK_ERROR_NAMES = {
    "applicationautoscaling": "ApplicationAutoScaling",
    "cloudwatch": "CloudWatch",
    "cloudwatchlogs": "CloudWatchLogs",
    "codebuild": "CodeBuild",
    "dynamodb": "DynamoDb",
    "ecr": "Ecr",
    "eventbridge": "EventBridge",
    "lambda": "Lambda",
    "s3": "S3",
    "sagemaker": "SageMaker",
    "sfn": "Sfn",
    "sns": "Sns",
    "sqs": "Sqs",
    "ssm": "Ssm",
}
# Step Functions names services as the Java SDK does, boto3 in its own way.
BOTO_NAMES = {
    "applicationautoscaling": "application-autoscaling",
    "cloudwatchlogs": "logs",
    "eventbridge": "events",
    "sfn": "stepfunctions",
    "states": "stepfunctions",
}
_MANY = re.compile(r"\[(\*|\?|[^\]]*:)|\.\.")
_TERMINAL = ("States.Runtime", "States.DataLimitExceeded")
_TIMEOUTS = ("States.Timeout", "States.HeartbeatTimeout")


def apply() -> None:
    """Repair the interpreter of this process."""
    replace_everywhere(boto_client.boto_client_for, clients.client)
    replace_everywhere(json_path.extract_json, extract_json)
    replace_everywhere(moto_jsonata.encode_jsonata_variable_declarations, encode_variables)
    moto_jsonata._eval_jsonata = evaluate_jsonata
    # A Fail state may pass on a States.* error that a Catch kept.
    custom_error_name.ILLEGAL_CUSTOM_ERROR_PREFIX = "\0"
    aws_sdk._SERVICE_ERROR_NAMES.update(SDK_ERROR_NAMES)
    StateTaskService._SERVICE_NAME_SFN_TO_BOTO_OVERRIDES.update(BOTO_NAMES)
    StateTaskService._get_timed_out_failure_event = timed_out
    StateTask._from_error = _heartbeat_aware(StateTask._from_error)
    ErrorEqualsDecl._eval_body = match_error


def replace_everywhere(old: Callable[..., Any], new: Callable[..., Any]) -> None:
    """Replace a function in every module of moto's interpreter that imported it by name."""
    modules = [module for name, module in sys.modules.items() if name.startswith("moto.stepfunctions.parser")]
    for module in modules:
        for name, value in list(vars(module).items()):
            if value is old:
                setattr(module, name, new)


def extract_json(path: str, data: Any) -> Any:
    """Return what a JSONPath selects: a list only if the path itself can select many."""
    matches = json_path.parse(path).find(data)
    if _MANY.search(path):
        return [match.value for match in matches]
    if not matches:
        raise json_path.NoSuchJsonPathError(json_path=path, data=data)
    return matches[0].value


def evaluate_jsonata(expression: str) -> Any:
    try:
        parsed = jsonata.Jsonata(expression)
        ministack._register_sfn_jsonata_functions(parsed)
        return json.loads(to_json_str(parsed.evaluate(None)))
    except Exception as error:
        raise moto_jsonata.JSONataException("UNKNOWN", str(error)) from error


def encode_variables(bindings: dict[str, Any]) -> str:
    return "".join(f"{name}:={to_json_str(value)};" for name, value in bindings.items())


def timed_out(task: StateTaskService, env: Any, kind: str = "StatesTimeout") -> FailureEvent:
    name = StatesErrorName(typ=StatesErrorNameType[kind])
    return FailureEvent(
        env=env,
        error_name=name,
        event_type=HistoryEventType.TaskTimedOut,
        event_details=EventDetails(
            taskTimedOutEventDetails=TaskTimedOutEventDetails(
                resourceType=task._get_sfn_resource_type(),
                resource=task._get_sfn_resource(),
                error=name.error_name,
            )
        ),
    )


def _heartbeat_aware(from_error: Callable[..., Any]) -> Callable[..., Any]:
    def name_error(task: Any, env: Any, ex: Exception) -> Any:
        if isinstance(ex, HeartbeatTimeoutError):
            return timed_out(task, env, "StatesHeartbeatTimeout")
        return from_error(task, env, ex)

    return name_error


def match_error(declared: ErrorEqualsDecl, env: Any) -> None:
    """Decide whether a Retry or Catch means an error, with the exceptions AWS makes for its own names."""
    error = env.stack.pop().error_name
    names = {name.error_name for name in declared.error_names}
    if error in names:
        matches = True
    elif error in _TERMINAL:
        matches = False
    elif "States.ALL" in names:
        matches = True
    elif error in _TIMEOUTS:
        matches = "States.Timeout" in names
    else:
        matches = "States.TaskFailed" in names
    env.stack.append(matches)
