"""Tasks on SageMaker and CodeBuild, `.sync` included: from a table of operations, not a class per service."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_factory,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import ResourceCondition
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_aws_sdk import (
    StateTaskServiceAwsSdk,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (
    StateTaskServiceCallback,
)
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

from fleetcast_local.asl import clients, shapes
from fleetcast_local.asl.repairs import replace_everywhere

# What the Java SDK calls an error that its service does not declare: the name after "SageMaker." and so on.
_SERVICES = {
    "sagemaker": ("SageMaker", "AmazonSageMakerException"),
    "codebuild": ("CodeBuild", "AWSCodeBuildException"),
    "states": ("StepFunctions", "AWSStepFunctionsException"),
}
_POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Job:
    """How a job is watched and stopped after the operation that started it."""

    describe: str
    stop: str
    key: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
    record: Callable[[dict[str, Any]], dict[str, Any]]
    status: Callable[[dict[str, Any]], str]
    running: frozenset[str]
    # Stopped is no failure to Step Functions as far as is known, so a workflow has to check the status itself.
    good: frozenset[str]
    stop_key: Callable[[dict[str, Any]], dict[str, Any]] = lambda key: key


def _sagemaker_job(kind: str, snake: str) -> Job:
    return Job(
        describe=f"describe_{snake}",
        stop=f"stop_{snake}",
        key=lambda request, _: {f"{kind}Name": request[f"{kind}Name"]},
        record=lambda answer: answer,
        status=lambda record: str(record[f"{kind}Status"]),
        running=frozenset({"InProgress", "Stopping"}),
        good=frozenset({"Completed", "Stopped"}),
    )


JOBS = {
    "createTrainingJob": _sagemaker_job("TrainingJob", "training_job"),
    "createProcessingJob": _sagemaker_job("ProcessingJob", "processing_job"),
    "createTransformJob": _sagemaker_job("TransformJob", "transform_job"),
    "startBuild": Job(
        describe="batch_get_builds",
        stop="stop_build",
        key=lambda _, answer: {"ids": [answer["Build"]["Id"]]},
        record=lambda answer: {"build": answer["builds"][0]},
        status=lambda record: str(record["build"]["buildStatus"]),
        running=frozenset({"IN_PROGRESS"}),
        good=frozenset({"SUCCEEDED"}),
        stop_key=lambda key: {"id": key["ids"][0]},
    ),
    "startExecution": Job(
        describe="describe_execution",
        stop="stop_execution",
        key=lambda _, answer: {"executionArn": answer["ExecutionArn"]},
        record=lambda answer: answer,
        status=lambda record: str(record["status"]),
        running=frozenset({"RUNNING"}),
        good=frozenset({"SUCCEEDED"}),
    ),
}


def apply() -> None:
    """Make this process's interpreter use the tasks below; moto declares SageMaker and CodeBuild unsupported."""
    original = state_task_service_factory.state_task_service_for

    def task_for(service_name: str) -> Any:
        if service_name == "aws-sdk":
            return SdkTask()
        return ServiceTask() if service_name in _SERVICES else original(service_name)

    replace_everywhere(original, task_for)


class SdkTask(StateTaskServiceAwsSdk):  # type: ignore[misc]  # moto ships no types
    """A task of an SDK integration, with parameters and results spelt and typed as Step Functions does."""

    def _eval_service_task(
        self,
        env: Any,
        resource_runtime_part: Any,
        normalised_parameters: dict[str, Any],
        state_credentials: Any,
    ) -> None:
        del state_credentials
        env.stack.append(call(self, resource_runtime_part.region, normalised_parameters))


def call(task: Any, region: str, parameters: dict[str, Any]) -> Any:
    """Call the operation that a task names and return its answer."""
    client = clients.client(region, task._get_boto_service_name())
    action = task._get_boto_service_action()
    model = shapes.operation(client, action)
    try:
        request = shapes.to_request(parameters, model.input_shape)
    except shapes.BadParameters as error:
        given = to_json_str(parameters, (",", ":"))
        raise shapes.BadParameters(
            f"The Parameters '{given}' could not be used to start the Task: [{error}]"
        ) from error
    answer = getattr(client, action)(**request)
    return shapes.to_result(_plain(answer), model.output_shape) if model.output_shape else {}


@dataclass(frozen=True)
class Ended:
    """How a job ended, described as Step Functions shows it."""

    good: bool
    description: dict[str, Any]


class Watch:
    """One job that a task waits for. Not part of the task: the iterations of a Map share that."""

    def __init__(self, client: Any, job: Job, key: dict[str, Any]) -> None:
        self._client = client
        self._job = job
        self._key = key
        self.parsed: tuple[str, ...] = ()

    def look(self) -> Ended | None:
        """Return how the job ended, or None while it runs."""
        job = self._job
        record = job.record(_plain(getattr(self._client, job.describe)(**self._key)))
        status = job.status(record)
        if status in job.running:
            return None
        shown = shapes.to_result(record, _shape_of(self._client, job.describe, record))
        parsed = {name: json.loads(shown[name]) for name in self.parsed if name in shown}
        return Ended(status in job.good, {**shown, **parsed})

    def stop(self) -> None:
        try:
            getattr(self._client, self._job.stop)(**self._job.stop_key(self._key))
        except ClientError as error:
            # Step Functions too only tries: the job may have ended in this very moment.
            if error.response["Error"]["Code"] not in ("ValidationException", "ResourceNotFound"):
                raise


class ServiceTask(StateTaskServiceCallback):  # type: ignore[misc]  # moto ships no types
    """A task on one of the services above."""

    def __init__(self) -> None:
        # Declaring Sync alone makes moto look for a task token that is not there.
        super().__init__(
            supported_integration_patterns={
                ResourceCondition.Sync,
                ResourceCondition.Sync2,
                ResourceCondition.WaitForTaskToken,
            }
        )

    def _validate_service_integration_is_supported(self) -> None:
        """Accept every operation: one that does not exist fails when it is called, and names itself."""

    def _eval_service_task(
        self,
        env: Any,
        resource_runtime_part: Any,
        normalised_parameters: dict[str, Any],
        state_credentials: Any,
    ) -> None:
        del state_credentials
        if self.resource.api_action == "startExecution":
            normalised_parameters["Input"] = _as_text(normalised_parameters.get("Input", {}))
        env.stack.append(call(self, resource_runtime_part.region, normalised_parameters))

    def _build_sync_resolver(
        self,
        env: Any,
        resource_runtime_part: Any,
        normalised_parameters: dict[str, Any],
        state_credentials: Any,
    ) -> "Watch":
        del state_credentials
        client = clients.client(resource_runtime_part.region, self._get_boto_service_name())
        job = JOBS[self.resource.api_action]
        return Watch(client, job, job.key(normalised_parameters, env.stack.pop()))

    def _build_sync2_resolver(self, **task: Any) -> "Watch":
        watch = self._build_sync_resolver(**task)
        watch.parsed = ("Input", "Output")
        return watch

    def _eval_sync(self, env: Any, sync_resolver: "Watch", **_: Any) -> Any:
        # Not the base class's: it also waits for a task token, which would hide that the time is over.
        while env.is_running():
            ended = sync_resolver.look()
            if ended and ended.good:
                return ended.description
            if ended:
                raise FailureEventException(self._failed(env, _TASK_FAILED, to_json_str(ended.description)))
            time.sleep(_POLL_SECONDS)
        sync_resolver.stop()  # the execution was stopped, or the state ran out of time
        return None

    def _from_error(self, env: Any, ex: Exception) -> FailureEvent:
        if not isinstance(ex, ClientError):
            return super()._from_error(env=env, ex=ex)
        service, undeclared = _SERVICES[self.resource.service_name]
        declared = type(ex).__name__
        if declared == "ClientError":
            declared = undeclared
        elif not declared.endswith("Exception"):
            declared += "Exception"
        return self._failed(
            env, CustomErrorName(f"{service}.{declared}"), ex.response["Error"].get("Message", "")
        )

    def _failed(self, env: Any, name: ErrorName, cause: str) -> FailureEvent:
        return FailureEvent(
            env=env,
            error_name=name,
            event_type=HistoryEventType.TaskFailed,
            event_details=EventDetails(
                taskFailedEventDetails=TaskFailedEventDetails(
                    error=name.error_name,
                    cause=cause,
                    resource=self._get_sfn_resource(),
                    resourceType=self._get_sfn_resource_type(),
                )
            ),
        )


_TASK_FAILED = StatesErrorName(typ=StatesErrorNameType.StatesTaskFailed)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else to_json_str(value, (",", ":"))


def _shape_of(client: Any, action: str, answer: dict[str, Any]) -> Any:
    # A build is described in a list of builds but shown as the single build that was started.
    if "build" in answer and action == "batch_get_builds":
        action = "start_build"
    return shapes.operation(client, action).output_shape


def _plain(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}
