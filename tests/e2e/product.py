"""The product as a user has it: the real SAM CLI deploys the real template, the rest is done from outside."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from fleetcast_local import lifecycle

REPOSITORY = Path(__file__).parents[2]


@dataclass
class Product:
    """A copy of the project with a local cloud of its own."""

    project: Path
    _clients: dict[str, Any] = field(default_factory=dict)

    def run(
        self,
        *arguments: str,
        check: bool = True,
        timeout: float = 600,
        settings: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run `fleetcast …` as a person would, in a home of its own."""
        done = subprocess.run(
            [Path(sys.executable).with_name("fleetcast"), *arguments],
            cwd=self.project,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "LANG": "C.UTF-8",
                # A container builder that happens to be here would want a registry, and minutes.
                "FLEETCAST_BUILDER": "process",
                **(settings or {}),
            },
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(
                f"fleetcast {' '.join(arguments)} ended {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done

    def read(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)

    @property
    def home(self) -> Path:
        return self.project.parent / "home"

    @property
    def address(self) -> Any:
        status = lifecycle.status(self.project)
        assert status.address
        return status.address

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.address.endpoint_url,
                region_name=self.address.region,
                aws_access_key_id=self.address.account,
                aws_secret_access_key="local",
                config=Config(inject_host_prefix=False, read_timeout=120),
            )
        return self._clients[service]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    @cached_property
    def outputs(self) -> dict[str, str]:
        stack = self.client("cloudformation").describe_stacks(StackName="fleetcast")["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def set_parameter(self, name: str, value: object) -> None:
        self.client("ssm").put_parameter(
            Name=f"/fleetcast/fleetcast/{name}", Value=str(value), Overwrite=True
        )

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Send a signed request to the API; return status, body (parsed if it is JSON) and headers."""
        url = lifecycle.api_url(self.address, self.outputs["ApiId"], "v1") + path
        request = AWSRequest(
            method, url, data=body, headers={"Content-Type": "application/json", **(headers or {})}
        )
        credentials = Credentials(self.address.account, "local")
        SigV4Auth(credentials, "execute-api", self.address.region).add_auth(request)
        sent = urllib.request.Request(url, body, dict(request.headers), method=method)
        try:
            with urllib.request.urlopen(sent, timeout=40) as answer:
                content = answer.read().decode()
                is_json = answer.headers["Content-Type"] == "application/json"
                return answer.status, json.loads(content) if is_json else content, answer.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read()), error.headers

    def forecast(self, customer: str, period: Any = 7) -> tuple[int, Any]:
        body = json.dumps({"period": period}).encode()
        status, answer, _ = self.request("POST", f"/customers/{quote(customer, safe='')}/forecasts", body)
        return status, answer

    def emails(self) -> list[EmailMessage]:
        files = sorted((self.project / ".fleetcast" / "inbox").glob("*.eml"))
        return [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]  # type: ignore[misc]

    def wait_for(self, execution: str, seconds: float = 240) -> dict[str, Any]:
        """Return the description of an execution that has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            described: dict[str, Any] = self.client("stepfunctions").describe_execution(
                executionArn=execution
            )
            if described["status"] != "RUNNING":
                return described
            time.sleep(0.2)
        pytest.fail(f"{execution} still runs after {seconds} s")

    def wait_until_healthy(self, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while self.request("GET", "/health")[0] != 200:
            assert time.monotonic() < deadline, "the API did not become healthy"
            time.sleep(0.2)

    def executions(self, status: str | None = None) -> list[dict[str, Any]]:
        wanted = {"statusFilter": status} if status else {}
        machine = self.outputs["StateMachineArn"]
        found = self.client("stepfunctions").list_executions(stateMachineArn=machine, **wanted)
        executions: list[dict[str, Any]] = found["executions"]
        return executions


def copy_project(target: Path) -> Path:
    """Copy what a clone would have, and share what is installed."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        source = REPOSITORY / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    for shared in (".venv", ".sam"):
        (target / shared).symlink_to((REPOSITORY / shared).resolve())
    return target


def deployed_product(folder: Path) -> Iterator[Product]:
    (folder / "home").mkdir()
    product = Product(copy_project(folder / "project"))
    try:
        product.run("up")
        product.run("deploy")
        yield product
    finally:
        product.close()
        lifecycle.down(product.project)
