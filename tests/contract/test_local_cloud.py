"""The local cloud starts, stops, survives and stays on this machine."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.conftest import RunningCloud
from tests.contract.cloud_resources import create_function, create_machine, ended
from tests.contract.lab import wait_until

from fleetcast_local import guard, lifecycle, processes
from fleetcast_local.layout import Layout

TABLE = {
    "TableName": "kept",
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
}


def fill(cloud: RunningCloud) -> str:
    """Make one resource of each kind that must survive, and return an execution's ARN."""
    cloud.client("s3").create_bucket(Bucket="kept")
    cloud.client("s3").put_object(Bucket="kept", Key="a/ä b", Body=b"body")
    cloud.client("dynamodb").create_table(**TABLE)
    cloud.client("dynamodb").put_item(TableName="kept", Item={"k": {"S": "1"}})
    cloud.client("ssm").put_parameter(Name="/kept", Value="v", Type="String")
    function = create_function(cloud, "kept")
    invoke = {"Type": "Task", "Resource": function, "End": True}
    machine = create_machine(cloud, {"StartAt": "Call", "States": {"Call": invoke}}, "kept")
    started = cloud.client("stepfunctions").start_execution(stateMachineArn=machine, name="kept", input="{}")
    assert ended(cloud, started["executionArn"])["status"] == "SUCCEEDED"
    return str(started["executionArn"])


def assert_kept(cloud: RunningCloud, execution: str) -> None:
    body = cloud.client("s3").get_object(Bucket="kept", Key="a/ä b")["Body"].read()
    item = cloud.client("dynamodb").get_item(TableName="kept", Key={"k": {"S": "1"}})["Item"]
    parameter = cloud.client("ssm").get_parameter(Name="/kept")["Parameter"]["Value"]
    answer = cloud.client("lambda").invoke(FunctionName="kept", Payload=b"{}")["Payload"].read()
    history = cloud.client("stepfunctions").get_execution_history(executionArn=execution)["events"]
    assert (body, item, parameter) == (b"body", {"k": {"S": "1"}}, "v")
    assert json.loads(answer) == {"got": {}}
    assert [event["type"] for event in history][-1] == "ExecutionSucceeded"


def test_everything_is_there_again_after_down_and_up(own_cloud: RunningCloud) -> None:
    execution = fill(own_cloud)
    port = own_cloud.address.port

    own_cloud.restart()

    assert_kept(own_cloud, execution)
    assert own_cloud.address.port == port


def test_a_killed_daemon_loses_nothing_older_than_a_few_seconds(own_cloud: RunningCloud) -> None:
    """A laptop that runs out of battery must not cost the project its state."""
    execution = fill(own_cloud)
    time.sleep(4)

    os.kill(own_cloud.address.pid, signal.SIGKILL)
    own_cloud.come_up()

    assert_kept(own_cloud, execution)


def test_down_leaves_no_process_even_after_the_daemon_was_killed(own_cloud: RunningCloud) -> None:
    create_function(own_cloud, "orphan")
    slow = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": True}
    slow["Parameters"] = {"FunctionName": "orphan", "Payload": {"sleep": 30}}
    machine = create_machine(own_cloud, {"StartAt": "Call", "States": {"Call": slow}}, "orphan")
    own_cloud.client("stepfunctions").start_execution(stateMachineArn=machine)
    identity = Layout.of(own_cloud.project).identity
    wait_until(lambda: len(processes.marked(identity)) == 2)

    os.kill(own_cloud.address.pid, signal.SIGKILL)
    was_running = lifecycle.down(own_cloud.project)

    assert was_running
    assert processes.marked(identity) == []


def test_a_cloud_whose_folder_is_removed_ends_and_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    """Somebody removes a clone and makes a new one in its place: it must start empty."""
    project = tmp_path / "project"
    project.mkdir()
    lifecycle.up(project)
    identity = Layout.of(project).identity

    shutil.rmtree(project)

    wait_until(lambda: processes.marked(identity) == [])
    assert not project.exists()


def test_up_returns_the_cloud_that_already_runs(own_cloud: RunningCloud) -> None:
    assert lifecycle.up(own_cloud.project) == own_cloud.address


def test_status_tells_running_from_stopped_from_never_started(tmp_path: Path) -> None:
    assert lifecycle.status(tmp_path).detail == "never started in this project"

    lifecycle.up(tmp_path)
    running = lifecycle.status(tmp_path)
    lifecycle.down(tmp_path)

    assert running.running
    assert lifecycle.status(tmp_path).detail == "stopped"
    assert not lifecycle.down(tmp_path)


def test_a_pid_that_now_belongs_to_a_stranger_is_left_alone(own_cloud: RunningCloud) -> None:
    lifecycle.down(own_cloud.project)
    with stranger() as other:
        layout = Layout.of(own_cloud.project)
        stale = json.loads(layout.address_file.read_text())
        layout.address_file.write_text(json.dumps(stale | {"pid": other.pid}))

        assert not lifecycle.status(own_cloud.project).running
        assert not lifecycle.down(own_cloud.project)
        own_cloud.come_up()

        assert other.poll() is None


def test_a_taken_port_makes_the_cloud_take_the_next(own_cloud: RunningCloud) -> None:
    lifecycle.down(own_cloud.project)
    with socket.create_server(("127.0.0.1", own_cloud.address.port)):
        taken = own_cloud.address.port
        own_cloud.come_up()

        assert own_cloud.address.port != taken
        assert own_cloud.client("sts").get_caller_identity()["Account"] == "000000000000"


def test_a_start_that_fails_shows_the_end_of_the_log(tmp_path: Path) -> None:
    state = tmp_path / ".fleetcast" / "state" / "codebuild" / "Build"
    state.mkdir(parents=True)
    (state / "broken.json").write_text("{")

    with pytest.raises(lifecycle.CloudError, match=r"ended while starting[\s\S]*JSONDecodeError"):
        lifecycle.up(tmp_path)

    assert processes.marked(Layout.of(tmp_path).identity) == []


def test_nothing_listens_beyond_loopback(cloud: RunningCloud) -> None:
    """MiniStack by itself would listen on 0.0.0.0, and on 8883 for IoT."""
    create_function(cloud, "listener")
    cloud.client("lambda").invoke(FunctionName="listener", Payload=b"{}")
    pids = [cloud.address.pid, *processes.marked(Layout.of(cloud.project).identity)]

    addresses = {address for pid in pids for address in listening(pid)}

    assert addresses == {f"0100007F:{cloud.address.port:04X}"}


def test_the_users_aws_settings_reach_neither_the_daemon_nor_a_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_PROFILE", "AWS_SECRET_ACCESS_KEY", "AWS_CA_BUNDLE", "BOTO_CONFIG", "PYTHONPATH"):
        monkeypatch.setenv(name, "the-users-own")
    address = lifecycle.up(tmp_path)
    try:
        monkeypatch.undo()
        cloud = RunningCloud(tmp_path, address)
        create_function(cloud, "leak", "import os\ndef handler(event, context): return dict(os.environ)\n")
        seen = json.loads(cloud.client("lambda").invoke(FunctionName="leak")["Payload"].read())
        cloud.close()
        daemon = Path(f"/proc/{address.pid}/environ").read_text()
    finally:
        lifecycle.down(tmp_path)

    assert "the-users-own" not in daemon
    assert "the-users-own" not in seen.values()
    assert seen["AWS_ENDPOINT_URL"] == address.endpoint_url


@pytest.mark.parametrize("url", ["http://127.0.0.1:4571", "http://localhost:1", "http://[::1]:80"])
def test_the_guard_lets_loopback_pass(url: str) -> None:
    assert guard.require_local(url) == url


@pytest.mark.parametrize(
    "url", [None, "", "https://s3.amazonaws.com", "http://10.0.0.1:4571", "http://127.0.0.1.example.com"]
)
def test_the_guard_refuses_every_other_machine(url: str | None) -> None:
    with pytest.raises(guard.NotLocal):
        guard.require_local(url)


def test_the_environment_leaves_an_aws_client_no_way_out(cloud: RunningCloud) -> None:
    settings = lifecycle.environment(cloud.address)

    assert settings["AWS_ENDPOINT_URL"] == cloud.address.endpoint_url
    assert settings["AWS_CONFIG_FILE"] == settings["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
    assert "AWS_PROFILE" not in settings


@contextmanager
def stranger() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(["sleep", "60"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def listening(pid: int) -> set[str]:
    """Return the TCP addresses a process listens on, as /proc/net writes them."""
    sockets = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:
            continue
        sockets.add(target.removeprefix("socket:[").rstrip("]"))
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return {row[1] for row in rows if row[3] == "0A" and row[9] in sockets}
