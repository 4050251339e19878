"""What tasks and distributed maps may rely on, as data; see asl_checks for the form."""

from typing import Any

from tests.workflow.asl_checks import Check, caught, one, passing, task

_ITEM = {"k": {"S": "1"}}
_KEY = {"TableName": "${Table}", "Key": _ITEM}


def query(name: str) -> dict[str, Any]:
    return task("aws-sdk:ssm:getParameter", {"Name": name})


SERVICES = [
    Check(
        "sqs_send_message",
        "an object body becomes JSON text",
        one(task("sqs:sendMessage", {"QueueUrl": "${Queue}", "MessageBody": {"x": 1}})),
    ),
    Check(
        "dynamodb_put_item",
        "the optimized integration writes",
        one(task("dynamodb:putItem", {"TableName": "${Table}", "Item": {"k": {"S": "p"}}}, ResultPath=None)),
        {"kept": 1},
        output={"kept": 1},
    ),
    Check(
        "dynamodb_get_item",
        "and reads",
        one(task("dynamodb:getItem", _KEY, ResultSelector={"k.$": "$.Item.k.S"})),
        output={"k": "1"},
    ),
    Check(
        "dynamodb_update_item",
        "and updates by expression",
        one(
            task(
                "dynamodb:updateItem",
                {**_KEY, "UpdateExpression": "SET v = :v", "ExpressionAttributeValues": {":v": {"S": "z"}}},
            )
        ),
    ),
    Check(
        "sdk_dynamodb_query",
        "any operation of the SDK can be called",
        one(
            task(
                "aws-sdk:dynamodb:query",
                {
                    "TableName": "${Table}",
                    "KeyConditionExpression": "k = :k",
                    "ExpressionAttributeValues": {":k": {"S": "1"}},
                },
                ResultSelector={"n.$": "$.Count"},
            )
        ),
        output={"n": 1},
    ),
    Check(
        "sdk_ssm_by_path",
        "SSM answers a path",
        one(
            task(
                "aws-sdk:ssm:getParametersByPath",
                {"Path": "/asl", "Recursive": True},
                ResultSelector={"n.$": "$.Parameters[0].Name"},
            )
        ),
        output={"n": "/asl/a"},
    ),
    Check(
        "sdk_ssm_parameter",
        "and a name",
        one(
            {
                **query("/asl/a"),
                "ResultSelector": {"n.$": "$.Parameter.Value"},
            }
        ),
        output={"n": "1"},
    ),
    Check(
        "sdk_s3_list",
        "a listing's keys can be collected",
        one(
            task(
                "aws-sdk:s3:listObjectsV2",
                {"Bucket": "${Bucket}", "Prefix": "d/"},
                ResultSelector={"n.$": "$.KeyCount", "k.$": "$.Contents[*].Key"},
            )
        ),
        output={"n": 2, "k": ["d/1", "d/2"]},
    ),
    Check(
        "sdk_s3_put_and_get",
        "an object body is stored as JSON and read back as text",
        {
            "StartAt": "A",
            "States": {
                "A": task(
                    "aws-sdk:s3:putObject",
                    {"Bucket": "${Bucket}", "Key": "o", "Body": {"a": 1}},
                    ResultPath=None,
                    Next="B",
                ),
                "B": task(
                    "aws-sdk:s3:getObject",
                    {"Bucket": "${Bucket}", "Key": "o"},
                    ResultSelector={"b.$": "States.StringToJson($.Body)"},
                    End=True,
                ),
            },
        },
        output={"b": {"a": 1}},
    ),
    Check(
        "sdk_cloudwatch_metrics",
        "a workflow can put metrics",
        one(
            task(
                "aws-sdk:cloudwatch:putMetricData",
                {"Namespace": "N", "MetricData": [{"MetricName": "m", "Value": 1.5}]},
            )
        ),
    ),
    Check("sdk_ecr", "ECR answers", one(task("aws-sdk:ecr:describeRepositories", {}))),
    Check(
        "events_put_events",
        "a workflow can send events",
        one(
            task(
                "events:putEvents",
                {
                    "Entries": [
                        {"Source": "a", "DetailType": "b", "Detail": {"x": 1}, "EventBusName": "default"}
                    ]
                },
            )
        ),
    ),
]

ERRORS = [
    Check(
        "sdk_error_name",
        "an SDK error carries the service's and the exception's name",
        caught(query("/nope"), "States.ALL"),
        output="Ssm.ParameterNotFoundException",
    ),
    Check(
        "sdk_error_name_undeclared",
        "an error that the service does not declare is the service's general one",
        caught(task("aws-sdk:sagemaker:describeEndpoint", {"EndpointName": "nope"}), "States.ALL"),
        output="SageMaker.SageMakerException",
    ),
    Check(
        "dynamodb_error_name",
        "the optimized integration has its own spelling",
        caught(task("dynamodb:getItem", {**_KEY, "TableName": "nope1"}), "States.ALL"),
        output="DynamoDB.ResourceNotFoundException",
    ),
    Check(
        "task_failed_matches_service_errors",
        "States.TaskFailed stands for any error but a timeout",
        caught(query("/nope"), "States.TaskFailed"),
        output="Ssm.ParameterNotFoundException",
    ),
    Check(
        "retry_then_catch",
        "a bounded retry is followed by the Catch",
        {
            "StartAt": "A",
            "States": {
                "A": {
                    **query("/nope"),
                    "Retry": [
                        {
                            "ErrorEquals": ["States.ALL"],
                            "IntervalSeconds": 1,
                            "MaxAttempts": 1,
                            "BackoffRate": 1.5,
                            "MaxDelaySeconds": 5,
                            "JitterStrategy": "FULL",
                        }
                    ],
                    "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}],
                    "End": True,
                },
                "B": passing(Result={"r": 1}, End=True),
            },
        },
        output={"r": 1},
    ),
]

FUNCTIONS = [
    Check(
        "lambda_invoke",
        "the function's answer is under Payload",
        one(
            task(
                "lambda:invoke",
                {"FunctionName": "${Function}", "Payload.$": "$"},
                ResultSelector={"p.$": "$.Payload"},
            )
        ),
        {"a": 1},
        output={"p": {"got": {"a": 1}}},
    ),
    Check(
        "lambda_by_arn",
        "a function's own ARN as Resource gives the bare answer",
        one({"Type": "Task", "Resource": "${Function}"}),
        {"a": 1},
        output={"got": {"a": 1}},
    ),
    Check(
        "lambda_error_is_its_class",
        "Catch goes by the exception's class name",
        caught(task("lambda:invoke", {"FunctionName": "${Function}", "Payload": {"boom": 1}}), "Custom"),
        output="Custom",
    ),
    Check(
        "task_timeout",
        "a task that takes too long is States.Timeout",
        caught(
            task("lambda:invoke", {"FunctionName": "${Function}", "Payload": {"sleep": 6}}, TimeoutSeconds=2),
            "States.Timeout",
        ),
        output="States.Timeout",
        seconds=(1.9, 5.5),
    ),
    Check(
        "nested_execution",
        "startExecution.sync:2 waits and gives the child's output as JSON",
        one(
            task(
                "states:startExecution.sync:2",
                {"StateMachineArn": "${Child}", "Input": {}},
                ResultSelector={"o.$": "$.Output"},
            )
        ),
        output={"o": {"c": 1}},
    ),
    Check(
        "heartbeat_timeout",
        "a token nobody sends a heartbeat for has an error of its own",
        caught(
            task(
                "sqs:sendMessage.waitForTaskToken",
                {"QueueUrl": "${Queue}", "MessageBody": {"t.$": "$$.Task.Token"}},
                HeartbeatSeconds=2,
            ),
            "States.HeartbeatTimeout",
        ),
        output="States.HeartbeatTimeout",
        seconds=(1.9, 10),
    ),
]


def distributed(reader: str, parameters: dict[str, Any], config: Any = None, **fields: Any) -> dict[str, Any]:
    settings = {"ReaderConfig": config} if config else {}
    return one(
        {
            "Type": "Map",
            "ItemReader": {"Resource": f"arn:aws:states:::s3:{reader}", "Parameters": parameters, **settings},
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": "A",
                "States": {"A": passing(End=True)},
            },
            **fields,
        }
    )


_JSON_ITEMS = ("getObject", {"Bucket": "${Bucket}", "Key": "items.json"}, {"InputType": "JSON"})
_CSV = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}

MAPS = [
    Check("map_over_json", "items from a JSON object", distributed(*_JSON_ITEMS), output=["a", "b", "c"]),
    Check(
        "map_over_csv",
        "rows of a CSV file with its header",
        distributed("getObject", {"Bucket": "${Bucket}", "Key": "items.csv"}, _CSV),
        output=[{"city": "x", "n": "1"}, {"city": "y", "n": "2"}],
    ),
    Check(
        "map_over_a_listing",
        "the objects below a prefix",
        distributed(
            "listObjectsV2",
            {"Bucket": "${Bucket}", "Prefix": "d/"},
            ItemSelector={"k.$": "$$.Map.Item.Value.Key"},
        ),
        output=[{"k": "d/1"}, {"k": "d/2"}],
    ),
    Check(
        "map_in_batches",
        "ItemBatcher hands several items to one iteration",
        distributed(*_JSON_ITEMS, ItemBatcher={"MaxItemsPerBatch": 2}),
        output=[{"Items": ["a", "b"]}, {"Items": ["c"]}],
    ),
]

RESULT_WRITER = distributed(
    *_JSON_ITEMS,
    ResultWriter={
        "Resource": "arn:aws:states:::s3:putObject",
        "Parameters": {"Bucket": "${Bucket}", "Prefix": "out"},
    },
)
