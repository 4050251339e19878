"""Processing jobs: inputs and outputs below /opt/ml/processing, and the exit message."""

import json
import time
from pathlib import Path
from typing import Any

from fleetcast_local.images import ProcessImage
from fleetcast_local.sagemaker.hosts import End, Host, Hosts, Periodic
from fleetcast_local.sagemaker.jobs import SHUTDOWN_REASON, Job, JobFailed, algorithm_error, host_names
from fleetcast_local.sagemaker.platform import event_detail, now
from fleetcast_local.sagemaker.sync import FolderSync
from fleetcast_local.sagemaker.transfer import files_below, shard

LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
_MESSAGE_LIMIT = 1024
_CONFIG_MEMBERS = (
    "ProcessingJobArn",
    "ProcessingJobName",
    "AppSpecification",
    "Environment",
    "ProcessingInputs",
    "ProcessingOutputConfig",
    "ProcessingResources",
    "RoleArn",
    "StoppingCondition",
)
_EVENT_TIMES = ("CreationTime", "ProcessingStartTime", "ProcessingEndTime", "LastModifiedTime")


class ProcessingJob(Job):
    """One processing job."""

    kind = "ProcessingJob"
    log_folder = "processing-jobs"

    @property
    def host_count(self) -> int:
        return int(self.request["ProcessingResources"]["ClusterConfig"]["InstanceCount"])

    def execute(self) -> None:
        self.tell()
        image = self.platform.images.resolve(self.request["AppSpecification"]["ImageUri"])
        hosts = self.hosts(self.host_count, "config", "output", "processing")
        for index, host in enumerate(hosts):
            self._write_config(host)
            self._download_inputs(host, index)
            for output in self._outputs():
                host.sandbox.path(output["LocalPath"]).mkdir(parents=True, exist_ok=True)
        group = Hosts(hosts, self.control, self.platform.timing.job_grace)
        end = self._process(image, hosts, group)
        self._conclude(end, hosts, group.failed())

    def _process(self, image: ProcessImage, hosts: list[Host], group: Hosts) -> End:
        self.update(ProcessingStartTime=now())
        specification = self.request["AppSpecification"]
        argv = image.command(
            specification.get("ContainerEntrypoint", ()), specification.get("ContainerArguments", ())
        )
        environment = (
            image.environment() | dict(self.platform.environment) | self.request.get("Environment", {})
        )
        for host in hosts:
            host.launch(argv, environment)
        followers = self.log_followers(hosts, LOG_GROUP)
        continuous = self._syncs(hosts)

        def look() -> None:
            for sync in continuous:
                sync.try_push()
            for follower in followers:
                follower.follow()

        runtime = self.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86_400)
        with Periodic(look, self.platform.timing.scan, f"sync {self.name}"):
            end = group.wait({End.MAX_RUNTIME: time.monotonic() + runtime})
        for follower in followers:
            follower.follow(last=True)
        for sync in continuous:
            sync.push()
        return end

    def _syncs(self, hosts: list[Host]) -> list[FolderSync]:
        return [
            FolderSync(self.transfer, host.sandbox.path(output["LocalPath"]), output["S3Uri"])
            for host in hosts
            for output in self._outputs()
            if output["S3UploadMode"] == "Continuous"
        ]

    def _conclude(self, end: End, hosts: list[Host], failed: Host | None) -> None:
        if end is End.SHUTDOWN:
            raise JobFailed(SHUTDOWN_REASON)
        message = _exit_message(hosts)
        if message:
            self.update(ExitMessage=message)
        if end is End.EXITED and failed is not None:
            text = f"See job logs for more information ({failed.log})"
            raise JobFailed(algorithm_error(text, failed.exit_code or 0))
        self._upload_outputs(hosts)
        if end is End.EXITED:
            self.finish("Completed")
        elif end is End.STOPPED:
            self.finish("Stopped")
        else:
            self.finish("Stopped", FailureReason="The job exceeded its StoppingCondition.MaxRuntimeInSeconds")

    def _upload_outputs(self, hosts: list[Host]) -> None:
        for output in self._outputs():
            if output["S3UploadMode"] == "EndOfJob":
                for host in hosts:
                    files = files_below(host.sandbox.path(output["LocalPath"]))
                    self.transfer.upload(files, output["S3Uri"])

    def _outputs(self) -> list[dict[str, str]]:
        outputs = self.request.get("ProcessingOutputConfig", {}).get("Outputs", [])
        return [output["S3Output"] for output in outputs if "S3Output" in output]

    def _write_config(self, host: Host) -> None:
        folder = host.sandbox.ml / "config"
        config = {name: self.request[name] for name in _CONFIG_MEMBERS if name in self.request}
        resources = {"current_host": host.name, "hosts": host_names(self.host_count)}
        (folder / "processingjobconfig.json").write_text(json.dumps(config), encoding="utf-8")
        (folder / "resourceconfig.json").write_text(json.dumps(resources), encoding="utf-8")

    def _download_inputs(self, host: Host, index: int) -> None:
        for item in self.request.get("ProcessingInputs", []):
            source = item["S3Input"]
            objects = self.transfer.source(source["S3DataType"], source["S3Uri"])
            mine = shard(objects, source.get("S3DataDistributionType"), index, self.host_count)
            self.transfer.download(mine, host.sandbox.path(source["LocalPath"]), self.control.cancelled)

    def finish(self, status: str, **members: Any) -> None:
        self.update(ProcessingJobStatus=status, ProcessingEndTime=now(), **members)
        self.tell()

    def tell(self) -> None:
        self.platform.tell(
            "SageMaker Processing Job State Change", event_detail(self._record(), _EVENT_TIMES)
        )


def _exit_message(hosts: list[Host]) -> str:
    """Return the first KB of the hosts' messages together; a message that is no UTF-8 fails the job."""
    content = b"".join(_read(host.sandbox.ml / "output" / "message") for host in hosts)
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JobFailed(
            "ClientError: /opt/ml/output/message is not UTF-8 text, which fails the job"
        ) from error
    return content[:_MESSAGE_LIMIT].decode("utf-8", "ignore")


def _read(file: Path) -> bytes:
    return file.read_bytes() if file.is_file() else b""
