"""A function runs here under the conditions it would meet on Lambda."""

import base64
import importlib.metadata
import json
import time
import uuid
from typing import Any

import pytest
from tests.conftest import RunningCloud
from tests.contract.cloud_resources import create_function, package


def invoke(cloud: RunningCloud, name: str, event: Any) -> tuple[str | None, Any]:
    answer = cloud.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event).encode())
    return answer.get("FunctionError"), json.loads(answer["Payload"].read())


def new(cloud: RunningCloud, code: str, **settings: Any) -> str:
    name = f"f-{uuid.uuid4().hex[:8]}"
    create_function(cloud, name, code, **settings)
    return name


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("class Mine(Exception): pass\ndef handler(e, c): raise Mine('äh')", "Mine", "äh"),
        ("def handler(e, c): return 1 / 0", "ZeroDivisionError", "division by zero"),
        ("def handler(e, c): return {1, 2}", "Runtime.MarshalError", "not JSON serializable"),
        ("import nowhere\ndef handler(e, c): pass", "Runtime.ImportModuleError", "No module named 'nowhere'"),
        ("def other(e, c): pass", "Runtime.HandlerNotFound", "handler"),
        ("import os\ndef handler(e, c): os._exit(3)", "Runtime.ExitError", "exit status 3"),
        (
            "import time\ndef handler(e, c): time.sleep(9)",
            "Sandbox.Timedout",
            "Task timed out after 1.00 seconds",
        ),
    ],
    ids=["own class", "built-in", "unserializable", "import", "no handler", "exit", "timeout"],
)
def test_an_error_keeps_the_name_that_a_workflow_catches(
    cloud: RunningCloud, code: str, kind: str, message: str
) -> None:
    name = new(cloud, code, Timeout=1)

    failed, error = invoke(cloud, name, {})

    assert failed == "Unhandled"
    assert error["errorType"] == kind
    assert message in error["errorMessage"]


def test_a_handled_error_does_not_cost_the_warm_process(cloud: RunningCloud) -> None:
    code = (
        "count = 0\ndef handler(e, c):\n    global count\n    count += 1\n    return 1 / e['by'] and count\n"
    )
    name = new(cloud, code)

    results = [invoke(cloud, name, {"by": by})[1] for by in (1, 0, 1)]

    assert results[0] == 1
    assert results[2] == 3


def test_the_timeout_is_the_functions_own_and_the_next_call_works(cloud: RunningCloud) -> None:
    name = new(cloud, "import time\ndef handler(e, c): time.sleep(e['s']); return 'ok'", Timeout=2)

    began = time.monotonic()
    failed, _ = invoke(cloud, name, {"s": 8})
    took = time.monotonic() - began

    assert failed
    assert 2 <= took < 4
    assert invoke(cloud, name, {"s": 0})[1] == "ok"


def test_a_later_layer_hides_an_earlier_one_and_the_function_hides_both(cloud: RunningCloud) -> None:
    def layer(files: dict[str, str]) -> str:
        content = {"ZipFile": package({f"python/{name}": text for name, text in files.items()})}
        return str(
            cloud.client("lambda").publish_layer_version(LayerName="l", Content=content)["LayerVersionArn"]
        )

    layers = [
        layer({"low.py": "V = 'first'", "mid.py": "V = 'first'", "top.py": "V = 'first'"}),
        layer({"mid.py": "V = 'second'", "top.py": "V = 'second'"}),
    ]
    name = f"f-{uuid.uuid4().hex[:8]}"
    files = {
        "app.py": "import low, mid, top\ndef handler(e, c): return [low.V, mid.V, top.V]",
        "top.py": "V = 'function'",
    }
    cloud.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role="arn:aws:iam::000000000000:role/x",
        Handler="app.handler",
        Code={"ZipFile": package(files)},
        Layers=layers,
    )

    assert invoke(cloud, name, {})[1] == ["first", "second", "function"]


def test_a_library_that_no_layer_brings_is_missing_as_on_aws(cloud: RunningCloud) -> None:
    """The developer's environment has it; the deployed function would fail on its first call."""
    name = new(cloud, "import boto3\nimport pyarrow\ndef handler(e, c): pass")

    _, error = invoke(cloud, name, {})

    assert error["errorMessage"] == "No module named 'pyarrow'"


def test_compiled_code_in_a_layer_is_taken_for_this_machine(cloud: RunningCloud) -> None:
    """The layer holds Lambda's build of the library, which neither a Mac nor another Python can load."""
    version = importlib.metadata.version("pyarrow")
    files = {
        f"python/pyarrow-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: false\n",
        "python/pyarrow/__init__.py": "raise ImportError('built for another machine')\n",
    }
    layer = cloud.client("lambda").publish_layer_version(
        LayerName="native", Content={"ZipFile": package(files)}
    )
    code = "import pyarrow\ndef handler(e, c): return [pyarrow.__version__, pyarrow.array([1, 2]).nbytes]"
    name = new(cloud, code, Layers=[layer["LayerVersionArn"]])

    assert invoke(cloud, name, {})[1] == [version, 16]


def test_the_context_tells_what_lambda_tells(cloud: RunningCloud) -> None:
    code = (
        "def handler(e, c):\n"
        "    return [c.function_name, c.memory_limit_in_mb, c.invoked_function_arn, len(c.aws_request_id),\n"
        "            0 < c.get_remaining_time_in_millis() <= 5000, c.log_group_name]\n"
    )
    name = new(cloud, code, Timeout=5, MemorySize=256)

    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    assert invoke(cloud, name, {})[1] == [name, "256", arn, 36, True, f"/aws/lambda/{name}"]


def test_what_a_function_prints_is_in_its_log(cloud: RunningCloud) -> None:
    name = new(cloud, "import os\ndef handler(e, c): print('größer'); os.write(1, b'raw\\n')")

    answer = cloud.client("lambda").invoke(FunctionName=name, Payload=b"{}", LogType="Tail")

    log = base64.b64decode(answer["LogResult"]).decode()
    assert "größer" in log
    assert "raw" in log


def test_a_warm_call_takes_milliseconds(cloud: RunningCloud) -> None:
    name = new(cloud, "def handler(e, c): return e")
    invoke(cloud, name, {})

    took = []
    for _ in range(20):
        began = time.perf_counter()
        invoke(cloud, name, {})
        took.append(time.perf_counter() - began)

    assert sorted(took)[10] < 0.05


def test_calls_at_the_same_time_have_processes_of_their_own(cloud: RunningCloud) -> None:
    name = new(cloud, "import os, time\ndef handler(e, c): time.sleep(1); return os.getpid()")
    machine_input = {"l": [1, 2, 3]}
    invoke_each = {
        "Type": "Map",
        "ItemsPath": "$.l",
        "End": True,
        "ItemProcessor": {
            "StartAt": "Call",
            "States": {
                "Call": {
                    "Type": "Task",
                    "Resource": f"arn:aws:lambda:us-east-1:000000000000:function:{name}",
                    "End": True,
                }
            },
        },
    }
    states = cloud.client("stepfunctions")
    machine = states.create_state_machine(
        name=name,
        definition=json.dumps({"StartAt": "Each", "States": {"Each": invoke_each}}),
        roleArn="arn:aws:iam::000000000000:role/x",
    )["stateMachineArn"]

    answer = states.start_sync_execution(stateMachineArn=machine, input=json.dumps(machine_input))

    assert len(set(json.loads(answer["output"]))) == 3
