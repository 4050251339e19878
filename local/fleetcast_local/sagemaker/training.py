"""Training jobs: the `/opt/ml` contract, sharding, checkpoints, managed spot and model artifacts."""

import json
import logging
import math
import time
from collections.abc import Mapping
from typing import Any

from fleetcast_local.images import ProcessImage
from fleetcast_local.records import Record
from fleetcast_local.sagemaker.artifacts import upload_artifacts
from fleetcast_local.sagemaker.hosts import End, Host, Hosts, Periodic
from fleetcast_local.sagemaker.jobs import SHUTDOWN_REASON, Job, JobFailed, algorithm_error, host_names
from fleetcast_local.sagemaker.metrics import JobMetrics
from fleetcast_local.sagemaker.platform import Platform, event_detail, now
from fleetcast_local.sagemaker.sync import FolderSync
from fleetcast_local.sagemaker.transfer import Cancelled, shard

logger = logging.getLogger(__name__)

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading the training image and input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Interrupted": "Managed Spot capacity was taken back; the job starts again from its checkpoints",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job wait time exceeded MaxWaitTimeInSeconds provided",
}
_STOPPED_AS = {
    End.STOPPED: "Stopped",
    End.MAX_RUNTIME: "MaxRuntimeExceeded",
    End.MAX_WAIT: "MaxWaitTimeExceeded",
}
_EVENT_TIMES = ("CreationTime", "TrainingStartTime", "TrainingEndTime", "LastModifiedTime")


class TrainingJob(Job):
    """One training job, over all its attempts."""

    kind = "TrainingJob"
    log_folder = "training-jobs"

    def __init__(self, platform: Platform, name: str) -> None:
        super().__init__(platform, name)
        self._created = time.monotonic()
        self._trained = 0.0
        algorithm = self.request["AlgorithmSpecification"]
        self._metrics = JobMetrics(platform.clients, name, algorithm.get("MetricDefinitions", []))

    @property
    def host_count(self) -> int:
        return int(self.request["ResourceConfig"].get("InstanceCount", 1))

    def execute(self) -> None:
        self.tell()
        while self._attempt():
            self.transition("Interrupted")
            self.control.resume()
            self.transition("Starting")

    def _attempt(self) -> bool:
        """Run the hosts once; return whether they were interrupted and must start again."""
        image = self.platform.images.resolve(self.request["AlgorithmSpecification"]["TrainingImage"])
        self.transition("Downloading")
        try:
            hosts, checkpoints = self._prepare()
        except Cancelled:
            if self.control.reason() is End.INTERRUPTED:
                return True
            raise
        group = Hosts(hosts, self.control, self.platform.timing.job_grace)
        end = self._train(image, hosts, group, checkpoints)
        if end is End.INTERRUPTED:
            return True
        self._conclude(end, hosts, group, checkpoints)
        return False

    def _prepare(self) -> tuple[list[Host], list[FolderSync]]:
        hosts = self.hosts(self.host_count, "input/config", "input/data", "model", "output/data")
        for index, host in enumerate(hosts):
            self._write_config(host)
            self._download_channels(host, index)
        return hosts, self._restore_checkpoints(hosts)

    def _train(
        self, image: ProcessImage, hosts: list[Host], group: Hosts, checkpoints: list[FolderSync]
    ) -> End:
        self.transition("Training", TrainingStartTime=self.request.get("TrainingStartTime") or now())
        started = time.monotonic()
        self._launch(image, hosts)
        followers = self.log_followers(hosts, LOG_GROUP)

        def look() -> None:
            self._look_for_trigger()
            for sync in checkpoints:
                sync.try_push()
            if self._metrics.read([line for follower in followers for line in follower.follow()]):
                self.update(FinalMetricDataList=self._metrics.final())

        try:
            with Periodic(look, self.platform.timing.scan, f"sync {self.name}"):
                end = group.wait(self._limits(started))
        finally:
            self._trained += time.monotonic() - started
        self._metrics.read([line for follower in followers for line in follower.follow(last=True)])
        return end

    def _limits(self, started: float) -> dict[End, float]:
        condition = self.request["StoppingCondition"]
        limits = {End.MAX_RUNTIME: started + condition.get("MaxRuntimeInSeconds", 86_400) - self._trained}
        if self.request.get("EnableManagedSpotTraining") and "MaxWaitTimeInSeconds" in condition:
            limits[End.MAX_WAIT] = self._created + condition["MaxWaitTimeInSeconds"]
        return limits

    def _launch(self, image: ProcessImage, hosts: list[Host]) -> None:
        algorithm = self.request["AlgorithmSpecification"]
        entrypoint = algorithm.get("ContainerEntrypoint", ())
        argv = image.command(
            entrypoint, algorithm.get("ContainerArguments", () if entrypoint else ("train",))
        )
        environment = {
            **image.environment(),
            **self.platform.environment,
            **self.request.get("Environment", {}),
            "TRAINING_JOB_NAME": self.name,
            "TRAINING_JOB_ARN": self.request["TrainingJobArn"],
        }
        for host in hosts:
            host.launch(argv, environment)

    def _conclude(self, end: End, hosts: list[Host], group: Hosts, checkpoints: list[FolderSync]) -> None:
        if end is End.SHUTDOWN:
            raise JobFailed(SHUTDOWN_REASON)
        for sync in checkpoints:
            sync.push()
        failed = group.failed()
        if end is End.EXITED and failed is not None:
            raise JobFailed(_failure(failed))
        self.transition("Uploading")
        upload_artifacts(self.transfer, hosts, self.request["OutputDataConfig"], self.name)
        if end is End.EXITED:
            self.finish("Completed")
        else:
            self.finish("Stopped", _secondary=_STOPPED_AS[end])

    def _write_config(self, host: Host) -> None:
        folder = host.sandbox.ml / "input" / "config"
        resources = self.request["ResourceConfig"]
        names = host_names(self.host_count)
        instance_type = resources.get("InstanceType", "local")
        documents: dict[str, Any] = {
            "hyperparameters": self.request.get("HyperParameters", {}),
            "inputdataconfig": {c["ChannelName"]: _channel_config(c, self.request) for c in self._channels()},
            "resourceconfig": {
                "current_host": host.name,
                "current_instance_type": instance_type,
                "current_group_name": "homogeneousCluster",
                "hosts": names,
                "instance_groups": [
                    {
                        "instance_group_name": "homogeneousCluster",
                        "instance_type": instance_type,
                        "hosts": names,
                    }
                ],
                "network_interface_name": "lo",
            },
        }
        for name, document in documents.items():
            (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")

    def _channels(self) -> list[dict[str, Any]]:
        channels: list[dict[str, Any]] = self.request.get("InputDataConfig", [])
        return channels

    def _download_channels(self, host: Host, index: int) -> None:
        for channel in self._channels():
            source = channel["DataSource"]["S3DataSource"]
            objects = self.transfer.source(source["S3DataType"], source["S3Uri"])
            mine = shard(objects, source.get("S3DataDistributionType"), index, self.host_count)
            folder = host.sandbox.ml / "input" / "data" / channel["ChannelName"]
            self.transfer.download(mine, folder, self.control.cancelled)

    def _restore_checkpoints(self, hosts: list[Host]) -> list[FolderSync]:
        config = self.request.get("CheckpointConfig")
        if config is None:
            return []
        folders = [host.sandbox.path(config.get("LocalPath", "/opt/ml/checkpoints")) for host in hosts]
        syncs = [FolderSync(self.transfer, folder, config["S3Uri"]) for folder in folders]
        for sync in syncs:
            sync.restore(self.control.cancelled)
        return syncs

    def transition(self, secondary: str, **members: Any) -> None:
        """Record the next SecondaryStatus, and tell whoever listens."""
        self.record_transition(secondary, **members)
        self.tell()

    def record_transition(self, secondary: str, **members: Any) -> None:
        with self.platform.records.lock:
            transitions = self._record().get("SecondaryStatusTransitions", [])
            _append(transitions, secondary, ended=members.get("TrainingEndTime"))
            self.request = self.update(
                SecondaryStatus=secondary, SecondaryStatusTransitions=transitions, **members
            )

    def finish(self, status: str, _secondary: str | None = None, **members: Any) -> None:
        seconds = max(1, math.ceil(self._trained))
        self.transition(
            _secondary or status,
            TrainingJobStatus=status,
            TrainingEndTime=now(),
            TrainingTimeInSeconds=seconds,
            BillableTimeInSeconds=seconds,
            FinalMetricDataList=self._metrics.final(),
            **members,
        )

    def tell(self) -> None:
        self.platform.tell("SageMaker Training Job State Change", event_detail(self._record(), _EVENT_TIMES))

    def _look_for_trigger(self) -> None:
        trigger = self.platform.store / "interrupt" / self.name
        if trigger.exists():
            trigger.unlink()
            if self.request.get("EnableManagedSpotTraining"):
                self.interrupt()
            else:
                logger.warning("%s does not use managed spot training and is not interrupted", self.name)

    def interrupt(self) -> None:
        """Take the spot capacity away: the hosts are killed without notice and start again."""
        self.control.ask(self.control.interrupt)


def _append(transitions: list[dict[str, Any]], secondary: str, ended: float | None) -> None:
    moment = now()
    if transitions and transitions[-1]["Status"] == secondary:
        return
    if transitions:
        transitions[-1]["EndTime"] = moment
    entry = {"Status": secondary, "StartTime": moment, "StatusMessage": _MESSAGES[secondary]}
    transitions.append(entry | ({"EndTime": ended} if ended else {}))


def _channel_config(channel: Mapping[str, Any], request: Record) -> dict[str, str]:
    mode = channel.get("InputMode") or request["AlgorithmSpecification"].get("TrainingInputMode", "File")
    source = channel["DataSource"]["S3DataSource"]
    config = {
        "TrainingInputMode": mode,
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    return config | ({"ContentType": channel["ContentType"]} if "ContentType" in channel else {})


def _failure(host: Host) -> str:
    file = host.sandbox.ml / "output" / "failure"
    text = file.read_text(encoding="utf-8", errors="replace").strip() if file.is_file() else ""
    return algorithm_error(text or f"See job logs for more information ({host.log})", host.exit_code or 0)
