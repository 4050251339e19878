"""From what is called to the IAM actions that it needs: one row per integration, one table of exceptions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.static.call_graph import Call
from tests.static.machines import Integration

_HERE = "us-east-1:000000000000"
# boto3's name of a service → its prefix in IAM, where they differ.
_PREFIX = {"stepfunctions": "states", "sagemaker-runtime": "sagemaker"}
# Operations whose action has another name.
_RENAMED = {
    ("lambda", "Invoke"): "lambda:InvokeFunction",
    ("lambda", "GetLayerVersionByArn"): "lambda:GetLayerVersion",
    ("s3", "ListObjectsV2"): "s3:ListBucket",
    ("s3", "ListObjects"): "s3:ListBucket",
    ("s3", "HeadObject"): "s3:GetObject",
    ("s3", "HeadBucket"): "s3:ListBucket",
    ("s3", "CopyObject"): "s3:PutObject",
    ("s3", "DeleteObjects"): "s3:DeleteObject",
    ("dynamodb", "TransactWriteItems"): "dynamodb:PutItem",
}
# Actions that the service checks besides its own.
_DEPENDENT = {"scheduler:UpdateSchedule": ("iam:PassRole",), "scheduler:CreateSchedule": ("iam:PassRole",)}
# What every function does without calling boto3: its log, its traces.
EVERY_FUNCTION = (
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
)
_EVENTS = ("events:PutTargets", "events:PutRule", "events:DescribeRule")
_JOBS = {
    "createTrainingJob": (
        "TrainingJob",
        "training-job",
        "StepFunctionsGetEventsForSageMakerTrainingJobsRule",
    ),
    "createProcessingJob": (
        "ProcessingJob",
        "processing-job",
        "StepFunctionsGetEventsForSageMakerProcessingJobsRule",
    ),
    "createTransformJob": (
        "TransformJob",
        "transform-job",
        "StepFunctionsGetEventsForSageMakerTransformJobsRule",
    ),
}


@dataclass(frozen=True)
class Need:
    """An action on a resource; no resource where the service knows no narrower one."""

    action: str
    resource: str | None = None
    passed_to: str | None = None


def of_call(call: Call) -> Iterator[str]:
    """Yield the actions that a boto3 call needs."""
    prefix = _PREFIX.get(call.service, call.service)
    action = _RENAMED.get((call.service, call.operation), f"{prefix}:{call.operation}")
    yield action
    yield from _DEPENDENT.get(action, ())


def of_task(called: Integration, parameters: Mapping[str, Any], arns: Mapping[str, str]) -> Iterator[Need]:
    """Yield the actions that the state machine's role needs for one Task.

    Args:
        called: the Task's integration.
        parameters: what it sends.
        arns: ARNs of the stack's resources, by the name that the parameters use for them.
    """
    for field in ("RoleArn", "ExecutionRoleArn"):
        if field in parameters:
            yield Need("iam:PassRole", parameters[field], "sagemaker.amazonaws.com")
    if called.operation in _JOBS:
        yield from _job(called, parameters)
    elif called.service == "codebuild":
        yield from _build(called, arns[parameters["ProjectName"]])
    else:
        yield from _plain(called, parameters, arns)


def _job(called: Integration, parameters: Mapping[str, Any]) -> Iterator[Need]:
    kind, resource, rule = _JOBS[called.operation]
    job = f"arn:aws:sagemaker:{_HERE}:{resource}/{parameters[f'{kind}Name']}"
    yield Need(f"sagemaker:Create{kind}", job)
    if called.sync:
        yield from (Need(f"sagemaker:{verb}{kind}", job) for verb in ("Describe", "Stop"))
        yield Need("sagemaker:AddTags", job)  # Step Functions tags the jobs that it waits for
        yield Need("sagemaker:ListTags")
        yield from (Need(action, f"arn:aws:events:{_HERE}:rule/{rule}") for action in _EVENTS)


def _build(called: Integration, project: str) -> Iterator[Need]:
    yield Need("codebuild:StartBuild", project)
    if called.sync:
        # Without StopBuild an aborted execution leaves its build running and billing.
        for verb in ("StopBuild", "BatchGetBuilds", "BatchGetReports"):
            yield Need(f"codebuild:{verb}", project)
        rule = f"arn:aws:events:{_HERE}:rule/StepFunctionsGetEventForCodeBuildStartBuildRule"
        yield from (Need(action, rule) for action in _EVENTS)


def _plain(called: Integration, parameters: Mapping[str, Any], arns: Mapping[str, str]) -> Iterator[Need]:
    sagemaker = f"arn:aws:sagemaker:{_HERE}"
    match called.service, called.operation:
        case "lambda", "invoke":
            yield Need("lambda:InvokeFunction", parameters["FunctionName"])
        case "sns", "publish":
            yield Need("sns:Publish", parameters["TopicArn"])
        case "states", "startExecution":
            yield Need("states:StartExecution", parameters["StateMachineArn"])
        case "dynamodb", operation:
            yield Need(f"dynamodb:{_pascal(operation)}", arns[parameters["TableName"]])
        case "ecr", operation:
            yield Need(f"ecr:{_pascal(operation)}", arns[parameters["RepositoryName"]])
        case "applicationautoscaling", operation:
            target = f"arn:aws:application-autoscaling:{_HERE}:scalable-target/1234"
            yield Need(f"application-autoscaling:{_pascal(operation)}", target)
        case "sagemaker", "createModelPackage":
            group = parameters["ModelPackageGroupName"].rpartition(":")[2]
            yield Need("sagemaker:CreateModelPackage", f"arn:aws:sagemaker:{_HERE}:{group}")
            yield Need("sagemaker:CreateModelPackage", f"{sagemaker}:model-package/fleetcast/1")
            # The registry looks at image and artifact in the caller's name: AWS's own policy for it has these.
            yield Need("ecr:BatchGetImage", arns["ServingRepository"])
            yield Need("s3:GetObject", f"{arns['DataBucket']}/runs/r/training/job/output/model.tar.gz")
            yield Need("s3:ListBucket", arns["DataBucket"])
        case "sagemaker", "createModel":
            yield Need("sagemaker:CreateModel", f"{sagemaker}:model/{parameters['ModelName']}")
        case "sagemaker", operation:
            yield from _endpoint(_pascal(operation), parameters)


def _endpoint(operation: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
    """Create and update of an endpoint check the ARN of the configuration as well."""
    for field, kind in (("EndpointName", "endpoint"), ("EndpointConfigName", "endpoint-config")):
        if field in parameters:
            yield Need(f"sagemaker:{operation}", f"arn:aws:sagemaker:{_HERE}:{kind}/{parameters[field]}")


def _pascal(operation: str) -> str:
    return operation[0].upper() + operation[1:]
