"""The serving container's process: how it starts, what it imports, how it stops."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.containers.serving_support import PATIENCE, Server, free_port, lay_out, naive_model, serving

from fleetcast_engine import pack


def single_model_root(root: Path) -> Path:
    lay_out(root, "x")
    (root / "x" / "model").rename(root / "model")
    return root


def test_serving_imports_neither_prophet_nor_pandas() -> None:
    heavy = "{'prophet', 'pandas', 'pyarrow', 'boto3', 'cmdstanpy'}"
    code = f"import sys, fleetcast_serving.__main__; print(sorted({heavy} & set(sys.modules)))"

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout == "[]\n"


def test_without_the_multi_model_flag_the_one_model_is_served(tmp_path: Path) -> None:
    with serving(single_model_root(tmp_path)) as server:
        answer = server.client.post("/invocations", json={"period": 2})
        refused = server.client.post("/invocations", json={"period": 0})
        management = server.client.get("/models")
        log = server.stop()

    assert [row["yhat"] for row in answer.json()["forecast"]] == [1, 2]
    assert refused.json()["field"] == "period"
    assert management.status_code == 404
    assert server.process.returncode == 0
    assert "Traceback" not in log


def test_without_a_model_a_single_model_container_says_so_and_ends(tmp_path: Path) -> None:
    server = Server(tmp_path)
    output, _ = server.process.communicate(timeout=PATIENCE)
    server.client.close()

    assert server.process.returncode == 1
    assert output.startswith("fleetcast: cannot serve: there is no model.json in")


@pytest.mark.parametrize(
    ("variable", "value"),
    [("SAGEMAKER_BIND_TO_PORT", "http"), ("FLEETCAST_MODEL_BUDGET_BYTES", "-1")],
)
def test_a_wrong_setting_is_named(tmp_path: Path, variable: str, value: str) -> None:
    server = Server(tmp_path, **{"SAGEMAKER_MULTI_MODEL": "true", variable: value})
    output, _ = server.process.communicate(timeout=PATIENCE)
    server.client.close()

    assert server.process.returncode == 1
    assert f"{variable} must be a whole number from 1 to" in output
    assert repr(value) in output


def test_a_port_that_is_taken_ends_the_container(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        port = str(taken.getsockname()[1])
        server = Server(tmp_path, SAGEMAKER_MULTI_MODEL="true", SAGEMAKER_BIND_TO_PORT=port)
        output, _ = server.process.communicate(timeout=PATIENCE)
        server.client.close()

    assert server.process.returncode != 0
    assert "address already in use" in output


def test_sigterm_lets_a_running_request_finish(tmp_path: Path) -> None:
    body = b'{"period": 3}'
    head = (
        b"POST /models/m/invoke HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n" % len(body)
    )
    with serving(tmp_path, SAGEMAKER_MULTI_MODEL="true") as server:
        server.load("m", lay_out(tmp_path, "m"))
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
            client.sendall(head + body[:4])
            time.sleep(0.3)
            began = time.monotonic()
            server.process.terminate()
            time.sleep(0.3)
            client.sendall(body[4:])
            received = b""
            while chunk := client.recv(65_536):
                received += chunk
        server.process.communicate(timeout=PATIENCE)

    assert received.startswith(b"HTTP/1.1 200 OK")
    assert len(json.loads(received.partition(b"\r\n\r\n")[2])["forecast"]) == 3
    assert server.process.returncode == 0
    assert time.monotonic() - began < 30


def test_the_log_says_which_artifact_a_name_stands_for(tmp_path: Path) -> None:
    url = lay_out(tmp_path, "m")
    with serving(tmp_path, SAGEMAKER_MULTI_MODEL="true") as server:
        headers = {"X-Amzn-SageMaker-Target-Model": "r20260131020000-0a1b2c/meter-7.tar.gz"}
        server.client.post("/models", json={"model_name": "8f3a", "url": url}, headers=headers)
        log = server.stop()

    assert "loaded model '8f3a'" in log
    assert "r20260131020000-0a1b2c/meter-7.tar.gz" in log


def test_a_linked_model_file_is_not_followed(tmp_path: Path) -> None:
    """An extracted archive may hold links; one must not make the container read its host's files."""
    url = lay_out(tmp_path, "real")
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    (hostile / "model.json").symlink_to(Path(url) / "model.json")

    with serving(tmp_path, SAGEMAKER_MULTI_MODEL="true") as server:
        answer = server.load("hostile", str(hostile))

    assert answer.status_code == 422
    assert "is not an ordinary file" in answer.json()["message"]


def test_any_other_command_is_refused() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "fleetcast_serving", "train"], capture_output=True, text=True, check=False
    )

    assert run.returncode == 2
    assert "usage: python -m fleetcast_serving serve" in run.stderr


def test_models_of_thousands_of_customers_are_small() -> None:
    assert len(pack(naive_model("meter-7"))) < 1000
