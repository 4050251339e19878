"""Small resources for the tests of the local cloud."""

import io
import json
import time
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from tests.conftest import RunningCloud

ROLE = "arn:aws:iam::000000000000:role/test"
ECHO = """
import time
class Custom(Exception): pass
def handler(event, context):
    time.sleep(event.get("sleep", 0))
    if event.get("boom"): raise Custom("bad")
    return {"got": event}
"""


def package(files: dict[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


def create_function(cloud: RunningCloud, name: str, code: str = ECHO, **settings: Any) -> str:
    created = cloud.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": package({"app.py": code})},
        **{"Timeout": 20, **settings},
    )
    return str(created["FunctionArn"])


def create_machine(cloud: RunningCloud, definition: dict[str, Any], name: str) -> str:
    created = cloud.client("stepfunctions").create_state_machine(
        name=name, definition=json.dumps(definition), roleArn=ROLE
    )
    return str(created["stateMachineArn"])


def ended(cloud: RunningCloud, execution: str, seconds: float = 60) -> dict[str, Any]:
    """Return an execution's description once it is no longer running."""

    def description() -> dict[str, Any] | None:
        described = cloud.client("stepfunctions").describe_execution(executionArn=execution)
        return None if described["status"] == "RUNNING" else dict(described)

    return eventually(description, seconds)


def eventually(find: Callable[[], Any], seconds: float = 15) -> Any:
    """Return what is found, as soon as it is; fail when the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = find()
        if found:
            return found
        time.sleep(0.05)
    pytest.fail(f"nothing was found within {seconds} s")
