"""What runs inside a function's process: loads the handler once, then answers one invocation per line.

Started by `functions.py` as a plain file, without site-packages: a function sees its code, its layers and
the few libraries that Lambda's own Python brings, so a dependency missing from a layer is missing here too.
"""

import importlib
import json
import os
import sys
import time
import traceback
from types import SimpleNamespace
from typing import Any


def main() -> None:
    with os.fdopen(int(sys.argv[1]), "w", buffering=1) as replies:
        start = json.loads(sys.stdin.readline())
        sys.path[:0] = start["paths"]
        try:
            handler = load(start["handler"])
        except BaseException as error:  # noqa: BLE001 - Lambda reports any failed import, SystemExit included
            reply(replies, error=describe(error, _init_error_type(error)))
            return
        reply(replies, result=None)
        for line in sys.stdin:
            serve(handler, json.loads(line), replies)


def load(path: str) -> Any:
    module, _, name = path.replace("/", ".").rpartition(".")
    return getattr(importlib.import_module(module), name)


def serve(handler: Any, call: dict[str, Any], replies: Any) -> None:
    os.environ.update(call["environment"])
    try:
        result = handler(call["event"], context(call))
    except Exception as error:  # noqa: BLE001 - its class is what the caller's Retry and Catch go by
        outcome = {"error": describe(error, type(error).__name__)}
    else:
        outcome = {"result": result}
    sys.stdout.flush()
    sys.stderr.flush()
    # Tells the reader of the log that this invocation's lines are complete.
    os.write(2, f"{call['end_of_log']}\n".encode())
    reply(replies, **outcome)


def reply(replies: Any, **outcome: Any) -> None:
    try:
        line = json.dumps(outcome)
    except (TypeError, ValueError) as error:
        line = json.dumps({"error": describe(error, "Runtime.MarshalError")})
    replies.write(line + "\n")


def describe(error: BaseException, kind: str) -> dict[str, Any]:
    """Describe an error as the Python runtime of Lambda does; frames of this file are left out."""
    frames = [line for line in traceback.format_tb(error.__traceback__) if f'File "{__file__}"' not in line]
    return {"errorMessage": str(error), "errorType": kind, "stackTrace": frames}


def _init_error_type(error: BaseException) -> str:
    if isinstance(error, ImportError):
        return "Runtime.ImportModuleError"
    if isinstance(error, SyntaxError):
        return "Runtime.UserCodeSyntaxError"
    if isinstance(error, AttributeError):
        return "Runtime.HandlerNotFound"
    return type(error).__name__


def context(call: dict[str, Any]) -> SimpleNamespace:
    deadline = time.time() + call["timeout"]
    name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
    return SimpleNamespace(
        function_name=name,
        function_version=os.environ["AWS_LAMBDA_FUNCTION_VERSION"],
        invoked_function_arn=call["arn"],
        memory_limit_in_mb=os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"],
        aws_request_id=call["request_id"],
        log_group_name=os.environ["AWS_LAMBDA_LOG_GROUP_NAME"],
        log_stream_name=os.environ["AWS_LAMBDA_LOG_STREAM_NAME"],
        identity=None,
        client_context=None,
        get_remaining_time_in_millis=lambda: max(0, int((deadline - time.time()) * 1000)),
    )


if __name__ == "__main__":
    main()
