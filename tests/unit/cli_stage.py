"""A deployed stack, small but real, for the tests of the command line; its workflow plays runs."""

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.conftest import RunningCloud
from typer.testing import CliRunner, Result

from fleetcast.adapters.items import to_item
from fleetcast_cli.main import app

RUN_ID = "r20260101120000-abcdef"
SAMCONFIG = """
version = 0.1
[local.global.parameters]
stack_name = "{stack}"
region = "us-east-1"
[local.deploy.parameters]
parameter_overrides = ["Environment=local", "AlertEmail=operator@example.com"]
[prod.global.parameters]
stack_name = "{stack}"
region = "us-east-1"
[prod.deploy.parameters]
confirm_changeset = true
[dev.global.parameters]
stack_name = "cli-absent"
region = "us-east-1"
"""
_OUTPUTS = {
    "DataBucketName": {"Ref": "Data"},
    "ModelBucketName": {"Ref": "Models"},
    "PointerTableName": {"Ref": "Pointers"},
    "RunTableName": {"Ref": "Runs"},
    "StateMachineArn": {"Ref": "Machine"},
    "AlertTopicArn": "arn:aws:sns:us-east-1:000000000000:cli",
    "EndpointName": "cli",
    "ApiUrl": {"Ref": "ApiUrl"},
    "ApiId": "abc",
    "StackRegion": "us-east-1",
}


def _table(key: str) -> dict[str, Any]:
    return {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
        },
    }


TEMPLATE = {
    "Parameters": {"Machine": {"Type": "String"}, "ApiUrl": {"Type": "String"}},
    "Resources": {
        "Data": {"Type": "AWS::S3::Bucket"},
        "Models": {"Type": "AWS::S3::Bucket"},
        "Pointers": _table("customer_id"),
        "Runs": _table("run_id"),
    },
    "Outputs": {name: {"Value": value} for name, value in _OUTPUTS.items()},
}


def project_folder(folder: Path, stack: str = "cli") -> Path:
    """Make a folder a project: what the command line looks for is there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "template.yaml").write_text("{}")
    (folder / "samconfig.toml").write_text(SAMCONFIG.replace("{stack}", stack))
    return folder


def fleetcast(project: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Result:
    """Run a command as a shell without a terminal would."""
    return CliRunner().invoke(app, ["--project", str(project), *arguments], env=dict(env or {}))


@dataclass
class Stage:
    """The stack that commands act on, and what tests put into it."""

    cloud: RunningCloud
    outputs: dict[str, str]

    def fleetcast(self, *arguments: str, env: Mapping[str, str] | None = None) -> Result:
        return fleetcast(self.cloud.project, *arguments, env=env)

    def read(self, *arguments: str) -> Any:
        done = self.fleetcast(*arguments, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def as_aws(self) -> dict[str, str]:
        """Return the settings of a user to whom the local cloud is AWS."""
        address = self.cloud.address
        return {
            "AWS_ENDPOINT_URL": address.endpoint_url,
            "AWS_ACCESS_KEY_ID": address.account,
            "AWS_SECRET_ACCESS_KEY": "theirs",
            "AWS_CONFIG_FILE": os.devnull,
        }

    def put(self, output: str, key: str, body: bytes) -> None:
        self.cloud.client("s3").put_object(Bucket=self.outputs[output], Key=key, Body=body)

    def raw_keys(self) -> set[str]:
        listed = self.cloud.client("s3").list_objects_v2(Bucket=self.outputs["DataBucketName"], Prefix="raw/")
        return {entry["Key"] for entry in listed.get("Contents", [])}

    def put_item(self, output: str, document: Mapping[str, Any]) -> None:
        self.cloud.client("dynamodb").put_item(TableName=self.outputs[output], Item=to_item(document))

    def work_at(self, reason: str, phase: str = "running") -> str:
        """Start an execution that holds the run lock; return its ARN."""
        execution: str = self.cloud.client("stepfunctions").start_execution(
            stateMachineArn=self.outputs["StateMachineArn"], input=json.dumps({"reason": reason})
        )["executionArn"]
        lock = {"run_id": "lock", "holder": RUN_ID, "execution_arn": execution, "again": False}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.put_item("RunTableName", lock | {"phase": phase, "since": now})
        return execution

    def release_lock(self) -> None:
        key = {"run_id": {"S": "lock"}}
        self.cloud.client("dynamodb").delete_item(TableName=self.outputs["RunTableName"], Key=key)


def stand_up(
    cloud: RunningCloud, api_url: str = "https://abc.execute-api.us-east-1.amazonaws.com/v1"
) -> Stage:
    """Deploy a stack of its own into a running cloud, and make the cloud's folder the project it belongs to."""
    name = f"cli-{uuid.uuid4().hex[:6]}"
    project_folder(cloud.project, name)
    formation, stepfunctions = cloud.client("cloudformation"), cloud.client("stepfunctions")
    machine = stepfunctions.create_state_machine(
        name=name, definition=json.dumps(workflow({})), roleArn="arn:aws:iam::000000000000:role/test"
    )["stateMachineArn"]
    formation.create_stack(
        StackName=name,
        TemplateBody=json.dumps(TEMPLATE),
        Parameters=[
            {"ParameterKey": "Machine", "ParameterValue": machine},
            {"ParameterKey": "ApiUrl", "ParameterValue": api_url},
        ],
    )
    formation.get_waiter("stack_create_complete").wait(
        StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    (stack,) = formation.describe_stacks(StackName=name)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    models = f"s3://{outputs['ModelBucketName']}/models/{RUN_ID}/"
    quality = f"s3://{outputs['DataBucketName']}/prepared/{RUN_ID}/quality/"
    plan = {"run_id": RUN_ID, "uris": {"checkpoints": models, "quality": quality}}
    stepfunctions.update_state_machine(stateMachineArn=machine, definition=json.dumps(workflow(plan)))
    return Stage(cloud, outputs)


def _ending(error: str, cause: str) -> dict[str, Any]:
    return {"Type": "Fail", "Error": error, "Cause": cause}


def _choice(reason: str, state: str) -> dict[str, Any]:
    return {"Variable": "$.reason", "StringEquals": reason, "Next": state}


def workflow(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A workflow that ends as the reason it is started with says, through the states of the real one."""
    explained = {
        "error": "PrepareFailed",
        "cause": "PrepareData: no file",
        "message": "Why: x\nWhat to do: Look at raw/.",
    }
    return {
        "StartAt": "IsRunWanted",
        "States": {
            "IsRunWanted": {
                "Type": "Choice",
                "Choices": [_choice("refuse", "RefuseRun"), _choice("skip", "SkipRun")],
                "Default": "InitiateRun",
            },
            "RefuseRun": _ending("RunInProgress", json.dumps({"errorMessage": "run r1 is in progress"})),
            "SkipRun": {"Type": "Pass", "Result": {"started": False, "outcome": "joined"}, "End": True},
            "InitiateRun": {"Type": "Pass", "Result": dict(plan), "ResultPath": "$.plan", "Next": "HandOver"},
            "HandOver": {
                "Type": "Pass",
                "Parameters": {"reason.$": "$.reason", "run_id.$": "$.plan.run_id", "uris.$": "$.plan.uris"},
                "Next": "TrainModels",
            },
            "TrainModels": {"Type": "Wait", "Seconds": 1, "Next": "HowDoesItEnd"},
            "HowDoesItEnd": {
                "Type": "Choice",
                "Choices": [
                    _choice("fail", "ExplainFailure"),
                    _choice("reject", "RejectRun"),
                    _choice("wait", "Stall"),
                    _choice("linger", "Linger"),
                    _choice("linger and fail", "LingerAndFail"),
                ],
                "Default": "EvaluateRun",
            },
            "ExplainFailure": {
                "Type": "Pass",
                "Result": explained,
                "ResultPath": "$.explained",
                "Next": "FailRun",
            },
            "FailRun": {"Type": "Fail", "ErrorPath": "$.explained.error", "CausePath": "$.explained.cause"},
            "RejectRun": _ending("RunRejected", "too many failed"),
            "Stall": {"Type": "Wait", "Seconds": 60, "End": True},
            "Linger": {"Type": "Wait", "Seconds": 6, "Next": "EvaluateRun"},
            "LingerAndFail": {"Type": "Wait", "Seconds": 6, "Next": "ExplainFailure"},
            "EvaluateRun": {
                "Type": "Pass",
                "Result": {"accepted": True},
                "ResultPath": "$.evaluation",
                "End": True,
            },
        },
    }
