"""The way to a cloud: clients that reach the local one and nothing else, or AWS with the user's own settings."""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import boto3
import botocore.session
from botocore.config import Config
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
from botocore.exceptions import ClientError

from fleetcast_cli.errors import CommandFailed, Refused
from fleetcast_cli.project import Environment, Project
from fleetcast_local import lifecycle
from fleetcast_local.layout import CloudAddress

_RETRIES = {"total_max_attempts": 5, "mode": "standard"}


@dataclass(frozen=True)
class Outputs:
    """What the deployed stack says of itself."""

    data_bucket: str
    model_bucket: str
    pointer_table: str
    run_table: str
    state_machine: str
    endpoint: str
    api_url: str
    api_id: str

    @classmethod
    def from_stack(cls, values: dict[str, str]) -> Self:
        return cls(
            data_bucket=values["DataBucketName"],
            model_bucket=values["ModelBucketName"],
            pointer_table=values["PointerTableName"],
            run_table=values["RunTableName"],
            state_machine=values["StateMachineArn"],
            endpoint=values["EndpointName"],
            api_url=values["ApiUrl"],
            api_id=values["ApiId"],
        )


class Cloud:
    """One environment of a project."""

    def __init__(self, project: Project, environment: Environment) -> None:
        self.project, self.environment = project, environment
        self.settings = project.settings(environment)
        self._clients: dict[str, Any] = {}

    @property
    def is_local(self) -> bool:
        return self.environment is Environment.LOCAL

    @cached_property
    def address(self) -> CloudAddress:
        """Where the local cloud answers."""
        status = lifecycle.status(self.project.root)
        if not status.running or status.address is None:
            raise Refused(f"the local cloud is not up ({status.detail}): run fleetcast up")
        return status.address

    @cached_property
    def session(self) -> boto3.Session:
        if self.is_local:
            return _isolated_session(self.address)
        # boto3 itself does not know AWS_REGION, which the aws command and Lambda do.
        region = self.settings.region or os.environ.get("AWS_REGION")
        return boto3.Session(profile_name=self.settings.profile, region_name=region)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self.session.client(service, **self._client_settings())
        return self._clients[service]

    def _client_settings(self) -> dict[str, Any]:
        if not self.is_local:
            return {"config": Config(retries=_RETRIES, max_pool_connections=32)}
        config = Config(
            retries=_RETRIES,
            max_pool_connections=32,
            proxies={},  # one set for the user's browser must not see, or break, loopback calls
            inject_host_prefix=False,
            ignore_configured_endpoint_urls=True,
            use_fips_endpoint=False,
            use_dualstack_endpoint=False,
            s3={"addressing_style": "path"},
        )
        return {"endpoint_url": self.address.endpoint_url, "config": config}

    def describe_stack(self) -> dict[str, Any] | None:
        """Return the stack as CloudFormation knows it, None if there is none."""
        try:
            answer = self.client("cloudformation").describe_stacks(StackName=self.settings.stack_name)
        except ClientError as error:
            if "does not exist" in error.response["Error"]["Message"]:
                return None
            raise
        stacks: list[dict[str, Any]] = answer["Stacks"]
        return stacks[0] if stacks else None

    @cached_property
    def outputs(self) -> Outputs:
        stack, name = self.describe_stack(), self.settings.stack_name
        advice = f"run fleetcast deploy --env {self.environment.value}"
        if stack is None:
            raise CommandFailed(f"stack {name} is not deployed in {self.environment.value}: {advice}")
        values = stack_outputs(stack)
        try:
            return Outputs.from_stack(values)
        except KeyError as error:
            raise CommandFailed(
                f"stack {name} is {stack['StackStatus']} and has no output {error}: {advice}"
            ) from error

    @property
    def api_url(self) -> str:
        """The base address of the API; a host name of AWS does not exist on this machine."""
        if not self.is_local:
            return self.outputs.api_url
        stage = self.outputs.api_url.rstrip("/").rpartition("/")[2]
        return lifecycle.api_url(self.address, self.outputs.api_id, stage)


def stack_outputs(stack: dict[str, Any]) -> dict[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _isolated_session(address: CloudAddress) -> boto3.Session:
    """Make a session that reads neither the user's AWS files nor any AWS variable."""
    unset = {
        name: (None, None, default, conversion)
        for name, (_, _, default, conversion) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
    }
    no_file = (None, None, os.devnull, None)
    core = botocore.session.Session(
        session_vars={**unset, "config_file": no_file, "credentials_file": no_file}
    )
    core.set_credentials(address.account, "local")
    return boto3.Session(botocore_session=core, region_name=address.region)
