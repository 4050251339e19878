"""A bench for the local SageMaker, CodeBuild and Auto Scaling: toy images in, answers held to botocore out."""

import hashlib
import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import boto3
import botocore.parsers
import botocore.session
from botocore.config import Config
from botocore.validate import ParamValidator

from fleetcast_local.codebuild import LocalCodeBuild
from fleetcast_local.sagemaker.scaling import Scaling
from fleetcast_local.sagemaker.service import InvokeResponse, LocalSageMaker, Timing

T = TypeVar("T")

ROLE = "arn:aws:iam::000000000000:role/fleetcast-sagemaker"
QUICK = Timing(job_grace=5, serving_grace=2, startup=60, model_wait=60, drain=10, scan=0.1, minute=60)


def held_to_model(service: str, operation: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer as boto3 would, having checked it against the operation's output shape."""
    model = botocore.session.get_session().get_service_model(service)
    shape = model.operation_model(operation).output_shape
    if shape is None:
        assert answer == {}
        return {}
    wire = json.dumps(answer)
    report = ParamValidator().validate(json.loads(wire), shape)
    assert not report.has_errors(), f"{operation}: {report.generate_report()}"
    parser = botocore.parsers.create_parser(model.protocol)
    parsed: dict[str, Any] = parser.parse({"body": wire.encode(), "headers": {}, "status_code": 200}, shape)
    return parsed


def wait_until(look: Callable[[], T], seconds: float = 60) -> T:
    """Return the first true value that the look gives."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


class Lab:
    def __init__(self, endpoint: str, folder: Path) -> None:
        self._url = endpoint
        self.began = time.time()
        self.store = folder / "cloud"
        self.bucket = f"bench-{uuid.uuid4().hex[:12]}"
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self._clients: list[Any] = []
        self._services: list[LocalSageMaker | LocalCodeBuild] = []
        self.s3 = self.client("s3")
        self.s3.create_bucket(Bucket=self.bucket)
        self._sagemaker: LocalSageMaker | None = None

    def client(self, service: str) -> Any:
        client = boto3.client(
            service,
            endpoint_url=self._url,
            region_name="us-east-1",
            aws_access_key_id="000000000000",
            aws_secret_access_key="local",
            config=Config(retries={"total_max_attempts": 1}, max_pool_connections=40),
        )
        self._clients.append(client)
        return client

    def emit(self, source: str, detail_type: str, detail: dict[str, Any]) -> None:
        json.dumps(detail)
        self.events.append((source, detail_type, detail))

    def details(self, detail_type: str) -> list[dict[str, Any]]:
        return [detail for _, kind, detail in self.events if kind == detail_type]

    def start_sagemaker(self, timing: Timing = QUICK, scaling: Scaling | None = None) -> LocalSageMaker:
        service = LocalSageMaker(
            self.store,
            self.client,
            environment={"LOCAL_CLOUD": "yes"},
            emit=self.emit,
            timing=timing,
            scaling=scaling,
        )
        service.start()
        self._services.append(service)
        self._sagemaker = service
        return service

    @property
    def sagemaker(self) -> LocalSageMaker:
        return self._sagemaker or self.start_sagemaker()

    def codebuild(self, **settings: Any) -> LocalCodeBuild:
        service = LocalCodeBuild(
            self.store, self.client, environment={"LOCAL_CLOUD": "yes"}, emit=self.emit, **settings
        )
        self._services.append(service)
        return service

    def close(self) -> None:
        for service in self._services:
            service.stop()
        for client in self._clients:
            client.close()

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        return held_to_model("sagemaker", operation, self.sagemaker.call(operation, params))

    def put(self, key: str, body: bytes | str) -> str:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        return self.uri(key)

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def keys(self, prefix: str) -> list[str]:
        listing = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"].removeprefix(prefix) for item in listing.get("Contents", [])]

    def read(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def image(self, program: str) -> str:
        """Make a process image whose entry point runs the program, and return its URI."""
        name = hashlib.sha256(program.encode()).hexdigest()
        package = self.store / "images" / name / "code" / "toy"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__main__.py").write_text(program, encoding="utf-8")
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {},
            "layers": [],
            "annotations": {
                "fleetcast.process-image": name,
                "fleetcast.entrypoint": "python -m toy",
                "fleetcast.pythonpath": "code",
            },
        }
        return self.push(f"toy-{uuid.uuid4().hex[:12]}", manifest)

    def push(self, repository: str, manifest: dict[str, Any], tag: str = "v1") -> str:
        ecr = self.client("ecr")
        ecr.create_repository(repositoryName=repository)
        ecr.put_image(
            repositoryName=repository,
            imageManifest=json.dumps(manifest),
            imageManifestMediaType="application/vnd.oci.image.manifest.v1+json",
            imageTag=tag,
        )
        return f"000000000000.dkr.ecr.us-east-1.amazonaws.com/{repository}:{tag}"

    def train(self, program: str, name: str = "job", **changes: Any) -> str:
        """Create a training job of the program, and return its name."""
        request = {
            "TrainingJobName": name,
            "AlgorithmSpecification": {"TrainingImage": self.image(program), "TrainingInputMode": "File"},
            "RoleArn": ROLE,
            "OutputDataConfig": {"S3OutputPath": self.uri("out")},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        }
        algorithm = changes.pop("AlgorithmSpecification", {})
        request["AlgorithmSpecification"] |= algorithm
        self.call("CreateTrainingJob", **(request | changes))
        return name

    def trained(self, name: str = "job", seconds: float = 60) -> dict[str, Any]:
        """Wait until the job has ended, and return its description."""

        def look() -> dict[str, Any] | None:
            job = self.call("DescribeTrainingJob", TrainingJobName=name)
            return job if job["TrainingJobStatus"] in {"Completed", "Failed", "Stopped"} else None

        return wait_until(look, seconds) or {}

    def secondary(self, status: str, name: str = "job") -> None:
        """Wait until the job has reached a SecondaryStatus."""
        wait_until(
            lambda: self.call("DescribeTrainingJob", TrainingJobName=name)["SecondaryStatus"] == status
        )

    def process(self, program: str, name: str = "job", **changes: Any) -> str:
        request = {
            "ProcessingJobName": name,
            "AppSpecification": {"ImageUri": self.image(program)},
            "RoleArn": ROLE,
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
            },
        }
        application = changes.pop("AppSpecification", {})
        request["AppSpecification"] |= application
        self.call("CreateProcessingJob", **(request | changes))
        return name

    def processed(self, name: str = "job") -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            job = self.call("DescribeProcessingJob", ProcessingJobName=name)
            return job if job["ProcessingJobStatus"] in {"Completed", "Failed", "Stopped"} else None

        return wait_until(look) or {}

    def model(self, image: str, name: str, **container: Any) -> str:
        self.call(
            "CreateModel",
            ModelName=name,
            PrimaryContainer={"Image": image, **container},
            ExecutionRoleArn=ROLE,
        )
        return name

    def endpoint_config(self, model: str, name: str, **variant: Any) -> str:
        settings = {"VariantName": "AllTraffic", "ModelName": model, "InstanceType": "ml.m5.large"}
        counts = {"InitialInstanceCount": 1, "InitialVariantWeight": 1.0}
        self.call(
            "CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=[settings | counts | variant]
        )
        return name

    def endpoint(self, config: str, name: str = "fleet") -> dict[str, Any]:
        self.call("CreateEndpoint", EndpointName=name, EndpointConfigName=config)
        return self.settled(name)

    def settled(self, name: str = "fleet") -> dict[str, Any]:
        """Wait until the endpoint is in service or has failed."""

        def look() -> dict[str, Any] | None:
            endpoint = self.call("DescribeEndpoint", EndpointName=name)
            return endpoint if endpoint["EndpointStatus"] in {"InService", "Failed"} else None

        return wait_until(look) or {}

    def invoke(
        self, target: str | None = None, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> InvokeResponse:
        given = {"Content-Type": "application/json"} | (headers or {})
        if target is not None:
            given["X-Amzn-SageMaker-Target-Model"] = target
        return self.sagemaker.invoke("fleet", body, given)
