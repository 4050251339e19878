"""`containers/build` as the buildspecs call it, against an ECR of our own."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

PROJECT = Path(__file__).resolve().parents[2]
REGISTRY = "000000000000.dkr.ecr.us-east-1.amazonaws.com"
TAG = "0123456789abcdef"

# Stands in for Docker and Buildah: notes how it was called, and a push really arrives in ECR.
ENGINE = f"""#!{sys.executable}
import json, os, sys
call = {{"arguments": sys.argv[1:], "input": sys.stdin.read() if "--password-stdin" in sys.argv else ""}}
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps(call) + "\\n")
if sys.argv[1] == os.environ.get("FAILING"):
    sys.exit(17)
if sys.argv[1] == "push":
    import boto3
    repository, _, tag = sys.argv[2].partition("/")[2].rpartition(":")
    boto3.client("ecr").put_image(repositoryName=repository, imageTag=tag, imageManifest='{{"schemaVersion":2}}')
"""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("ecr")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SERVICES": "ecr",
        "IOT_MTLS_ENABLED": "0",
    }
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), **settings}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"], env=environment, stdout=log, stderr=log
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/_ministack/health", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        assert process.poll() is None
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("ECR does not answer")


class Bench:
    """Three fresh repositories, an image store, and a PATH without any engine unless one is installed."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        self.folder = folder
        self.project = PROJECT
        self.store = folder / "images"
        self.calls = folder / "calls.jsonl"
        self.bin = folder / "bin"
        self.bin.mkdir()
        (self.bin / "python3").symlink_to(sys.executable)
        stack = f"fleetcast-{uuid.uuid4().hex[:8]}"
        access = {
            "AWS_ACCESS_KEY_ID": "000000000000",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_REGION": "us-east-1",
        }
        self.names = {target: f"{stack}/{target}" for target in ("processing", "training", "serving")}
        self.environment = {
            **access,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint,
            "PATH": str(self.bin),
            "HOME": str(folder),
            "CALLS": str(self.calls),
            "IMAGE_TAG": TAG,
            **{
                f"{target.upper()}_REPOSITORY_URI": f"{REGISTRY}/{name}"
                for target, name in self.names.items()
            },
        }
        self.ecr = boto3.client(
            "ecr",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="000000000000",
            aws_secret_access_key="x",
        )
        for name in self.names.values():
            self.ecr.create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")

    def install(self, program: str) -> None:
        path = self.bin / program
        path.write_text(ENGINE)
        path.chmod(0o755)

    def build(self, *targets: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        # Through the interpreter and not the shebang: a link to a virtual environment's Python is not in it.
        return subprocess.run(
            [sys.executable, str(self.project / "containers" / "build"), *targets],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def images(self, target: str) -> list[dict[str, Any]]:
        name = self.names[target]
        listed = self.ecr.list_images(repositoryName=name)["imageIds"]
        if not listed:
            return []
        images: list[dict[str, Any]] = self.ecr.batch_get_image(repositoryName=name, imageIds=listed)[
            "images"
        ]
        return images

    def engine_calls(self) -> list[dict[str, Any]]:
        return (
            [json.loads(line) for line in self.calls.read_text().splitlines()] if self.calls.exists() else []
        )

    @property
    def local(self) -> dict[str, str]:
        return {"FLEETCAST_IMAGE_STORE": str(self.store)}


@pytest.fixture
def bench(endpoint: str, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(endpoint, tmp_path)
    yield made
    made.ecr.close()


def copy_of_sources(folder: Path) -> Path:
    root = folder / "project"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "src", root / "src", ignore=ignore)
    shutil.copytree(PROJECT / "containers", root / "containers", ignore=ignore)
    shutil.copytree(PROJECT / "requirements", root / "requirements")
    return root


def test_without_an_engine_the_local_cloud_gets_process_images(bench: Bench) -> None:
    run = bench.build("processing", "training", **bench.local)

    assert run.returncode == 0, run.stderr
    for target in ("processing", "training"):
        (image,) = bench.images(target)
        annotations = json.loads(image["imageManifest"])["annotations"]
        folder = bench.store / annotations["fleetcast.process-image"]
        assert annotations["fleetcast.target"] == target
        assert annotations["fleetcast.entrypoint"] == f"python -m fleetcast_{target}"
        assert all((folder / part).is_dir() for part in annotations["fleetcast.pythonpath"].split(":"))
        assert (folder / "requirements" / f"{target}.txt").is_file()
        assert image["imageId"]["imageDigest"] in run.stdout
    assert bench.images("serving") == []


@pytest.mark.parametrize("target", ["processing", "training", "serving"])
def test_a_process_image_runs_by_itself(bench: Bench, target: str) -> None:
    """Nothing but the folder and the interpreter's libraries: the project is not on the path."""
    assert bench.build(target, **bench.local).returncode == 0
    annotations = json.loads(bench.images(target)[0]["imageManifest"])["annotations"]
    folder = bench.store / annotations["fleetcast.process-image"]
    path = os.pathsep.join(str(folder / part) for part in annotations["fleetcast.pythonpath"].split(":"))
    code = f"import fleetcast, fleetcast_{target}.__main__ as m; print(m.__file__); print(list(fleetcast.__path__)[0])"

    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": path, "PATH": os.environ["PATH"]},
        cwd=bench.folder,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    assert all(line.startswith(str(folder)) for line in run.stdout.split())


def test_a_tag_that_is_there_is_left_alone(bench: Bench) -> None:
    bench.build("serving", **bench.local)
    (before,) = bench.images("serving")

    again = bench.build("serving", **bench.local)

    assert again.returncode == 0
    digest = before["imageId"]["imageDigest"]
    assert f"{REGISTRY}/{bench.names['serving']}:{TAG} is already there as {digest}" in again.stdout
    assert bench.images("serving") == [before]


def test_a_cleared_image_store_is_filled_again(bench: Bench) -> None:
    bench.build("serving", **bench.local)
    (folder,) = bench.store.iterdir()
    shutil.rmtree(folder)

    assert bench.build("serving", **bench.local).returncode == 0

    assert folder.is_dir()


def test_the_same_sources_are_the_same_image_wherever_they_lie(bench: Bench) -> None:
    bench.build("training", **bench.local)
    bench.project = copy_of_sources(bench.folder)

    bench.build("training", IMAGE_TAG="another", **bench.local)

    assert len(list(bench.store.iterdir())) == 1
    assert len({image["imageId"]["imageDigest"] for image in bench.images("training")}) == 1


def test_a_changed_source_is_another_image(bench: Bench) -> None:
    bench.project = copy_of_sources(bench.folder)
    bench.build("training", **bench.local)
    with (bench.project / "src" / "fleetcast" / "errors.py").open("a") as source:
        source.write("\n# changed\n")

    bench.build("training", IMAGE_TAG="another", **bench.local)

    assert len(list(bench.store.iterdir())) == 2
    assert len(bench.images("training")) == 2


@pytest.mark.parametrize("program", ["docker", "buildah"])
def test_an_engine_builds_logs_in_and_pushes(bench: Bench, program: str) -> None:
    bench.install(program)

    run = bench.build("serving", FLEETCAST_BASE_IMAGE="mirror/python@sha256:1")

    assert run.returncode == 0, run.stderr
    probe, build, login, push = bench.engine_calls()
    image = f"{REGISTRY}/{bench.names['serving']}:{TAG}"
    assert probe["arguments"][0] in {"version", "info"}
    words = build["arguments"]
    assert words[0] == "build"
    assert words[words.index("--target") + 1] == "serving"
    assert words[words.index("--tag") + 1] == image
    assert words[words.index("--build-arg") + 1] == "BASE_IMAGE=mirror/python@sha256:1"
    assert words[-1] == str(PROJECT)
    assert login["arguments"] == ["login", "--username", "AWS", "--password-stdin", REGISTRY]
    assert login["input"]
    assert login["input"] not in " ".join(login["arguments"])
    assert push["arguments"] == ["push", image]
    assert bench.images("serving")[0]["imageId"]["imageDigest"] in run.stdout


def test_on_the_local_cloud_an_engine_builds_but_nothing_is_pushed(bench: Bench) -> None:
    bench.install("docker")

    run = bench.build("serving", **bench.local)

    assert run.returncode == 0, run.stderr
    assert [call["arguments"][0] for call in bench.engine_calls()] == ["version", "build"]
    annotations = json.loads(bench.images("serving")[0]["imageManifest"])["annotations"]
    assert (bench.store / annotations["fleetcast.process-image"]).is_dir()


def test_an_engine_that_does_not_answer_is_passed_over(bench: Bench) -> None:
    bench.install("docker")

    run = bench.build("serving", FAILING="version", **bench.local)

    assert run.returncode == 0, run.stderr
    assert "stored process image" in run.stdout


def test_the_builder_can_be_named(bench: Bench) -> None:
    bench.install("docker")

    run = bench.build("serving", FLEETCAST_BUILDER="process", **bench.local)

    assert run.returncode == 0, run.stderr
    assert bench.engine_calls() == []


@pytest.mark.parametrize("step", ["build", "login", "push"])
def test_a_failing_step_ends_the_build(bench: Bench, step: str) -> None:
    bench.install("docker")

    run = bench.build("serving", FAILING=step)

    assert run.returncode == 1
    assert f"build: `docker {step}` ended with 17" in run.stderr
    assert bench.images("serving") == []


@pytest.mark.parametrize(
    ("targets", "environment", "message"),
    [
        ([], {}, "usage: containers/build TARGET"),
        (["cooking"], {}, "TARGET is one of processing, training, serving"),
        (["serving"], {"IMAGE_TAG": ""}, "the environment variable IMAGE_TAG is missing"),
        (["serving"], {"IMAGE_TAG": "a b"}, "IMAGE_TAG must be an image tag"),
        (["serving"], {"SERVING_REPOSITORY_URI": "docker.io/x"}, "SERVING_REPOSITORY_URI must look like"),
        (
            ["serving"],
            {"FLEETCAST_BUILDER": "kaniko"},
            "FLEETCAST_BUILDER must be one of docker, buildah, process",
        ),
        (["serving"], {"FLEETCAST_BUILDER": "process"}, "process images need FLEETCAST_IMAGE_STORE"),
        (["serving"], {"FLEETCAST_BUILDER": "docker"}, "docker cannot be run"),
        (["serving"], {}, "no builder: no Docker engine answers"),
    ],
)
def test_what_is_missing_or_wrong_is_said_in_a_sentence(
    bench: Bench, targets: list[str], environment: dict[str, str], message: str
) -> None:
    run = bench.build(*targets, **environment)

    assert run.returncode == 1
    assert run.stderr.startswith("build: ")
    assert message in run.stderr
    assert "Traceback" not in run.stderr


def test_a_missing_repository_is_said_in_a_sentence(bench: Bench) -> None:
    run = bench.build("serving", SERVING_REPOSITORY_URI=f"{REGISTRY}/nowhere", **bench.local)

    assert run.returncode == 1
    assert run.stderr.startswith(f"build: cannot look up {REGISTRY}/nowhere:{TAG}: ")
    assert "Traceback" not in run.stderr


def test_the_script_starts_by_itself() -> None:
    script = PROJECT / "containers" / "build"

    assert os.access(script, os.X_OK)
    assert script.read_text().startswith("#!/usr/bin/env python3\n")
