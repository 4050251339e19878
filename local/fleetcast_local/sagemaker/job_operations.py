"""The API of training and processing jobs."""

from collections.abc import Callable
from typing import Any

from fleetcast_local.records import Record
from fleetcast_local.sagemaker.artifacts import artifacts_uri
from fleetcast_local.sagemaker.jobs import SHUTDOWN_REASON, RunningJobs, is_running, refuse_used_name
from fleetcast_local.sagemaker.platform import Platform, now
from fleetcast_local.sagemaker.processing import ProcessingJob
from fleetcast_local.sagemaker.training import TrainingJob
from fleetcast_local.service_model import ApiError

Handler = Callable[[dict[str, Any]], dict[str, Any]]

_ONE_DAY = 86_400


class JobOperations:
    """Creates, stops, interrupts and deletes jobs."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._running = RunningJobs(platform)

    def handlers(self) -> dict[str, Handler]:
        return {
            "CreateTrainingJob": self.create_training_job,
            "StopTrainingJob": self.stop_training_job,
            "DeleteTrainingJob": lambda params: self._delete("TrainingJob", params),
            "CreateProcessingJob": self.create_processing_job,
            "StopProcessingJob": self.stop_processing_job,
            "DeleteProcessingJob": lambda params: self._delete("ProcessingJob", params),
        }

    def start(self) -> None:
        """Fail the jobs that a crash of the local cloud left behind as running."""
        for kind in ("TrainingJob", "ProcessingJob"):
            for record in self._platform.records.all(kind):
                if is_running(record, kind):
                    job = self._job(kind, record[f"{kind}Name"])
                    job.fail(SHUTDOWN_REASON)

    def shutdown(self) -> None:
        self._running.shutdown()

    def create_training_job(self, params: dict[str, Any]) -> dict[str, Any]:
        name = params["TrainingJobName"]
        _check_training(params)
        condition = {"MaxRuntimeInSeconds": _ONE_DAY} | params["StoppingCondition"]
        record = self._new("TrainingJob", name, params) | {
            "StoppingCondition": condition,
            "SecondaryStatus": "Starting",
            "SecondaryStatusTransitions": [
                {
                    "Status": "Starting",
                    "StartTime": now(),
                    "StatusMessage": "Preparing the instances for training",
                }
            ],
            # The address is settled when the job begins; the object is there when it has completed.
            "ModelArtifacts": {"S3ModelArtifacts": artifacts_uri(params["OutputDataConfig"], name)},
        }
        self._begin("TrainingJob", name, record)
        return {"TrainingJobArn": record["TrainingJobArn"]}

    def create_processing_job(self, params: dict[str, Any]) -> dict[str, Any]:
        name = params["ProcessingJobName"]
        _check_processing(params)
        record = self._new("ProcessingJob", name, params)
        record.setdefault("StoppingCondition", {"MaxRuntimeInSeconds": _ONE_DAY})
        self._begin("ProcessingJob", name, record)
        return {"ProcessingJobArn": record["ProcessingJobArn"]}

    def stop_training_job(self, params: dict[str, Any]) -> dict[str, Any]:
        with self._platform.records.lock:  # or the job could end between the look and the change
            job = self._stopping("TrainingJob", params["TrainingJobName"])
            if isinstance(job, TrainingJob):
                job.record_transition("Stopping", TrainingJobStatus="Stopping")
        return _stop(job)

    def stop_processing_job(self, params: dict[str, Any]) -> dict[str, Any]:
        with self._platform.records.lock:
            job = self._stopping("ProcessingJob", params["ProcessingJobName"])
            if isinstance(job, ProcessingJob):
                job.update(ProcessingJobStatus="Stopping")
        return _stop(job)

    def interrupt(self, name: str) -> None:
        """Take the spot capacity of a running training job away."""
        job = self._running.find("TrainingJob", name)
        if not isinstance(job, TrainingJob):
            raise ApiError(
                "ValidationException", f"Training job {name} is not running, so it cannot be interrupted."
            )
        if not job.request.get("EnableManagedSpotTraining"):
            raise ApiError("ValidationException", f"Training job {name} does not use managed spot training.")
        job.interrupt()

    def _new(self, kind: str, name: str, params: dict[str, Any]) -> Record:
        moment = now()
        return {
            **{key: value for key, value in params.items() if key != "Tags"},
            "_Tags": params.get("Tags", []),
            f"{kind}Arn": self._platform.arn(kind, name),
            f"{kind}Status": "InProgress",
            "CreationTime": moment,
            "LastModifiedTime": moment,
        }

    def _begin(self, kind: str, name: str, record: Record) -> None:
        with self._platform.records.lock:
            refuse_used_name(self._platform, kind, name)
            self._platform.records.put(kind, name, record)
        self._running.start(self._job(kind, name))

    def _job(self, kind: str, name: str) -> TrainingJob | ProcessingJob:
        return (TrainingJob if kind == "TrainingJob" else ProcessingJob)(self._platform, name)

    def _stopping(self, kind: str, name: str) -> TrainingJob | ProcessingJob | None:
        record = self._existing(kind, name)
        status = record[f"{kind}Status"]
        if status == "Stopping":
            return None
        job = self._running.find(kind, name)
        if status != "InProgress" or not isinstance(job, TrainingJob | ProcessingJob):
            words = "training" if kind == "TrainingJob" else "processing"
            raise ApiError(
                "ValidationException",
                f"The request was rejected because the {words} job is in status {status}.",
            )
        return job

    def _delete(self, kind: str, params: dict[str, Any]) -> dict[str, Any]:
        name = params[f"{kind}Name"]
        record = self._existing(kind, name)
        if is_running(record, kind):
            raise ApiError(
                "ResourceInUse", f"{kind} {name} is in status {record[f'{kind}Status']}. Stop it first."
            )
        self._platform.records.delete(kind, name)
        return {}

    def _existing(self, kind: str, name: str) -> Record:
        record = self._platform.records.get(kind, name)
        if record is None:
            raise ApiError("ResourceNotFound", f"Could not find {kind} {name}.")
        return record


def _stop(job: TrainingJob | ProcessingJob | None) -> dict[str, Any]:
    if job is not None:
        job.tell()
        job.control.ask(job.control.stop)
    return {}


def _check_training(params: dict[str, Any]) -> None:
    algorithm, resources = params["AlgorithmSpecification"], params.get("ResourceConfig", {})
    if "TrainingImage" not in algorithm:
        raise _unsupported("AlgorithmSpecification.AlgorithmName", "name a TrainingImage")
    if "InstanceCount" not in resources:
        raise _unsupported("a ResourceConfig without InstanceCount", "give InstanceType and InstanceCount")
    channels = params.get("InputDataConfig", [])
    if len({channel["ChannelName"] for channel in channels}) != len(channels):
        raise ApiError("ValidationException", "Input channel names must be unique within a training job.")
    for channel in channels:
        mode = channel.get("InputMode") or algorithm["TrainingInputMode"]
        source = channel["DataSource"].get("S3DataSource")
        if mode == "Pipe":
            raise _unsupported("TrainingInputMode Pipe", "use File or FastFile")
        if source is None or source["S3DataType"] not in {"S3Prefix", "ManifestFile"}:
            raise _unsupported(
                f"the data source of channel {channel['ChannelName']}",
                "use S3DataSource with S3Prefix or ManifestFile",
            )
    _check_spot(params)


def _check_spot(params: dict[str, Any]) -> None:
    condition = params["StoppingCondition"]
    runtime, wait = condition.get("MaxRuntimeInSeconds", _ONE_DAY), condition.get("MaxWaitTimeInSeconds")
    if not params.get("EnableManagedSpotTraining"):
        if wait is not None:
            raise ApiError(
                "ValidationException",
                "MaxWaitTimeInSeconds is allowed only when EnableManagedSpotTraining is true.",
            )
    elif wait is None or wait < runtime:
        raise ApiError(
            "ValidationException",
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds "
            f"({runtime}) when EnableManagedSpotTraining is true.",
        )


def _check_processing(params: dict[str, Any]) -> None:
    inputs = params.get("ProcessingInputs", [])
    outputs = params.get("ProcessingOutputConfig", {}).get("Outputs", [])
    for item in inputs:
        if "S3Input" not in item:
            raise _unsupported(f"the source of input {item['InputName']}", "use S3Input")
        if item["S3Input"].get("S3InputMode", "File") != "File":
            raise _unsupported("S3InputMode Pipe", "use File")
    for item in outputs:
        if "S3Output" not in item:
            raise _unsupported(f"the target of output {item['OutputName']}", "use S3Output")
    for path in [i["S3Input"].get("LocalPath", "") for i in inputs] + [
        o["S3Output"]["LocalPath"] for o in outputs
    ]:
        if not path.startswith("/opt/ml/processing/") or ".." in path:
            raise ApiError(
                "ValidationException",
                f"LocalPath '{path}' must begin with /opt/ml/processing/ and name a folder.",
            )


def _unsupported(what: str, instead: str) -> ApiError:
    return ApiError("ValidationException", f"The local cloud does not support {what}; {instead}.")
