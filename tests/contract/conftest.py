"""S3, ECR and CloudWatch for the tests of our own services: MiniStack with its one repair, and toy containers."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.lab import Lab
from tests.contract.scalable import AutoScaling

SERVICES = "s3,ecr,monitoring,logs,ssm,secretsmanager"
MINISTACK = """
import runpy
from fleetcast_local import scaling_alarms
scaling_alarms.install()
runpy.run_module("ministack", run_name="__main__")
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def aws_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A MiniStack of our own, for as long as the session lasts."""
    folder = tmp_path_factory.mktemp("ministack")
    port = free_port()
    settings = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "IOT_MTLS_PORT": "0",
        "SERVICES": SERVICES,
        "MINISTACK_ACCOUNT_ID": "000000000000",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", MINISTACK], env=settings, cwd=folder, stdout=log, stderr=log
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_it_answers(url, process)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        assert process.poll() is None, "MiniStack did not start"
        try:
            with urllib.request.urlopen(f"{url}/_ministack/health", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail("MiniStack did not answer within 30 seconds")


@pytest.fixture
def lab(aws_endpoint: str, tmp_path: Path) -> Iterator[Lab]:
    """A bench for one test: its own store, bucket and services; nothing of it is left running."""
    bench = Lab(aws_endpoint, tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def scaling(lab: Lab) -> AutoScaling:
    return AutoScaling(lab)
