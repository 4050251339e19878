"""The serving container's process: how it starts, what it imports, how it stops."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.containers.serving_support import Server, free_port, lay_out, naive_model, serving

from fleetcast.domain.names import artifact_name
from fleetcast_engine import pack


def single_model_root(root: Path) -> Path:
    lay_out(root, "x")
    (root / "x" / "model").rename(root / "model")
    return root


def test_serving_imports_neither_prophet_nor_pandas() -> None:
    heavy = "{'prophet', 'pandas', 'pyarrow', 'boto3', 'cmdstanpy'}"
    code = f"import sys, fleetcast_serving.container; print(sorted({heavy} & set(sys.modules)))"

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


def test_a_bundle_answers_for_the_customer_whom_the_request_names(tmp_path: Path) -> None:
    folder = tmp_path / "model" / "bundle"
    folder.mkdir(parents=True)
    for customer in ("meter-7", "meter-8"):
        (folder / artifact_name(customer)).write_bytes(pack(naive_model(customer)))

    with serving(tmp_path, FLEETCAST_SERVING_WORKERS="2") as server:
        for customer in ("meter-7", "meter-8") * 5:
            answer = server.anew("POST", "/invocations", {"period": 1, "customer_id": customer})
            assert answer.json()["customer_id"] == customer
        unknown = server.anew("POST", "/invocations", {"period": 1, "customer_id": "meter-9"})
        lines = b'{"period": 1, "customer_id": "meter-7"}\n{"period": 2, "customer_id": "meter-8"}\n'
        many = server.client.post(
            "/invocations", content=lines, headers={"content-type": "application/jsonlines"}
        )

    assert (unknown.status_code, unknown.json()["code"]) == (404, "CustomerNotFound")
    assert unknown.json()["field"] == "customer_id"
    assert [json.loads(line)["customer_id"] for line in many.text.splitlines()] == ["meter-7", "meter-8"]
    assert many.headers["content-type"] == "application/jsonlines"


@pytest.mark.parametrize(("cache", "status"), [(1, 404), (2**20, 200)])
def test_a_bundle_keeps_as_many_models_ready_as_it_is_told_to(
    tmp_path: Path, cache: int, status: int
) -> None:
    folder = tmp_path / "model" / "bundle"
    folder.mkdir(parents=True)
    artifact = folder / artifact_name("meter-7")
    artifact.write_bytes(pack(naive_model("meter-7")))
    (folder / artifact_name("meter-8")).write_bytes(artifact.read_bytes())
    asked = {"period": 1, "customer_id": "meter-7"}
    settings = {"FLEETCAST_MODEL_CACHE_BYTES": str(cache), "FLEETCAST_SERVING_WORKERS": "1"}

    with serving(tmp_path, **settings) as server:
        assert server.client.post("/invocations", json=asked).status_code == 200
        artifact.unlink()
        again = server.client.post("/invocations", json=asked)

    assert again.status_code == status


def test_a_batch_transform_is_told_what_suits_the_container(tmp_path: Path) -> None:
    with serving(single_model_root(tmp_path), FLEETCAST_SERVING_WORKERS="2") as server:
        told = server.client.get("/execution-parameters").json()

    assert told == {"MaxConcurrentTransforms": 2, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 1}


def test_without_a_model_a_single_model_container_says_so_and_ends(tmp_path: Path) -> None:
    server = Server(tmp_path)
    output = server.ended()
    server.close()

    assert server.process.returncode == 1
    assert output.startswith("fleetcast: cannot serve: there is no model.json in")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SAGEMAKER_BIND_TO_PORT", "http"),
        ("FLEETCAST_MODEL_BUDGET_BYTES", "-1"),
        ("FLEETCAST_SERVING_WORKERS", "0"),
        ("FLEETCAST_MAX_IN_FLIGHT", "1e3"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, variable: str, value: str) -> None:
    server = Server(tmp_path, **{"SAGEMAKER_MULTI_MODEL": "true", variable: value})
    output = server.ended()
    server.close()

    assert server.process.returncode == 1
    assert f"{variable} must be a whole number from 1 to" in output
    assert repr(value) in output


def test_a_port_that_is_taken_ends_the_container(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        port = str(taken.getsockname()[1])
        server = Server(tmp_path, SAGEMAKER_MULTI_MODEL="true", SAGEMAKER_BIND_TO_PORT=port)
        output = server.ended()
        server.close()

    assert server.process.returncode != 0
    assert "cannot listen on 127.0.0.1" in output
    assert "in use" in output


def test_the_log_says_which_artifact_a_name_stands_for(tmp_path: Path) -> None:
    url = lay_out(tmp_path, "m")
    with serving(tmp_path, SAGEMAKER_MULTI_MODEL="true") as server:
        headers = {"X-Amzn-SageMaker-Target-Model": "r20260131020000-0a1b2c/meter-7.tar.gz"}
        server.client.post("/models", json={"model_name": "8f3a", "url": url}, headers=headers)
        log = server.stop()

    assert "loaded model '8f3a'" in log
    assert "r20260131020000-0a1b2c/meter-7.tar.gz" in log


def test_the_log_says_why_a_model_could_not_be_loaded(tmp_path: Path) -> None:
    settings = {"SAGEMAKER_MULTI_MODEL": "true", "FLEETCAST_MODEL_BUDGET_BYTES": "10"}
    with serving(tmp_path, **settings) as server:
        broken = server.load("8f3a", str(tmp_path / "nowhere"))
        large = server.load("9f3a", lay_out(tmp_path, "m"))
        log = server.stop()

    assert (broken.status_code, large.status_code) == (422, 507)
    assert "could not load model '8f3a'" in log
    assert broken.json()["message"] in log
    assert "could not load model '9f3a'" in log
    assert large.json()["message"] in log


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


def test_nothing_is_written_but_to_standard_output(tmp_path: Path) -> None:
    """`/opt/ml/model` is read-only, and nothing outside `/tmp` is promised to be writable."""
    root = tmp_path / "ml"
    root.mkdir()
    url = lay_out(root, "m")
    before = sorted(path for path in tmp_path.rglob("*"))

    with serving(root, SAGEMAKER_MULTI_MODEL="true", HOME=str(tmp_path), TMPDIR=str(tmp_path)) as server:
        server.load("m", url)
        server.invoke("m", {"period": 3})
        opened = [
            str(link.readlink())
            for pid in (server.process.pid, *server.children())
            for link in Path(f"/proc/{pid}/fd").iterdir()
        ]
        server.stop()

    assert sorted(path for path in tmp_path.rglob("*")) == before
    assert [name for name in opened if name.startswith(str(tmp_path))] == []


def test_any_other_command_is_refused() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "fleetcast_serving", "train"], capture_output=True, text=True, check=False
    )

    assert run.returncode == 2
    assert "usage: python -m fleetcast_serving serve" in run.stderr


def test_models_of_thousands_of_customers_are_small() -> None:
    assert len(pack(naive_model("meter-7"))) < 1000
