"""Tasks on SageMaker and CodeBuild, `.sync` included: from a table of operations, not a class per service."""

import json
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
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (
    StateTaskServiceCallback,
)
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

from fleetcast_local.asl import clients
from fleetcast_local.asl.repairs import replace_everywhere

# What the Java SDK calls an error that its service does not declare: the name after "SageMaker." and so on.
_SERVICES = {
    "sagemaker": ("SageMaker", "AmazonSageMakerException"),
    "codebuild": ("CodeBuild", "AWSCodeBuildException"),
}


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
}


def apply() -> None:
    """Make this process's interpreter run SageMaker and CodeBuild tasks, which moto declares unsupported."""
    original = state_task_service_factory.state_task_service_for

    def task_for(service_name: str) -> Any:
        return ServiceTask() if service_name in _SERVICES else original(service_name)

    replace_everywhere(original, task_for)


class ServiceTask(StateTaskServiceCallback):  # type: ignore[misc]  # moto ships no types
    """A task on one of the services above."""

    def __init__(self) -> None:
        # Declaring Sync alone makes moto look for a task token that is not there.
        super().__init__(
            supported_integration_patterns={ResourceCondition.Sync, ResourceCondition.WaitForTaskToken}
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
        client = clients.client(resource_runtime_part.region, self._get_boto_service_name())
        action = self._get_boto_service_action()
        self._to_boto_request(normalised_parameters, _operation(client, action).input_shape)
        env.stack.append(self._call(client, action, normalised_parameters))

    def _build_sync_resolver(
        self,
        env: Any,
        resource_runtime_part: Any,
        normalised_parameters: dict[str, Any],
        state_credentials: Any,
    ) -> Callable[[], Any]:
        del state_credentials
        job = JOBS[self.resource.api_action]
        client = clients.client(resource_runtime_part.region, self._get_boto_service_name())
        key = job.key(normalised_parameters, env.stack.pop())
        self._abandon = lambda: getattr(client, job.stop)(**job.stop_key(key))

        def poll() -> Any:
            record = job.record(_plain(getattr(client, job.describe)(**key)))
            status = job.status(record)
            if status in job.running:
                return None
            shown = self._shown(client, job.describe, record)
            if status in job.good:
                return shown
            raise FailureEventException(self._failed(env, _TASK_FAILED, to_json_str(shown)))

        return poll

    def _eval_sync(self, env: Any, **waiting: Any) -> Any:
        outcome = super()._eval_sync(env=env, **waiting)
        if outcome is None:  # the execution was stopped, or the state ran out of time
            self._stop_job()
        return outcome

    def _stop_job(self) -> None:
        try:
            self._abandon()
        except ClientError as error:
            # Step Functions too only tries: the job may have ended in this very moment.
            if error.response["Error"]["Code"] not in ("ValidationException", "ResourceNotFound"):
                raise

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

    def _call(self, client: Any, action: str, request: dict[str, Any]) -> Any:
        return self._shown(client, action, _plain(getattr(client, action)(**request)))

    def _shown(self, client: Any, action: str, answer: dict[str, Any]) -> Any:
        """Return an answer as Step Functions shows it: member names in Pascal case, values as JSON."""
        return json.loads(to_json_str(_pascal(answer, _shape_of(client, action, answer))))


_TASK_FAILED = StatesErrorName(typ=StatesErrorNameType.StatesTaskFailed)


def _operation(client: Any, action: str) -> Any:
    return client.meta.service_model.operation_model(client.meta.method_to_api_mapping[action])


def _shape_of(client: Any, action: str, answer: dict[str, Any]) -> Any:
    # A build is described in a list of builds but shown as the single build that was started.
    if "build" in answer and action == "batch_get_builds":
        action = "start_build"
    return _operation(client, action).output_shape


def _plain(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def _pascal(value: Any, shape: Any) -> Any:
    if shape.type_name == "structure" and isinstance(value, dict):
        return {
            name[:1].upper() + name[1:]: _pascal(member, shape.members[name])
            for name, member in value.items()
            if name in shape.members
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_pascal(member, shape.member) for member in value]
    return value
