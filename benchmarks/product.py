"""A deployed product to measure: a copy of the project with a local cloud of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from benchmarks.record import ROOT

from fleetcast_local import lifecycle


class Product:
    """What `fleetcast` did, and how long each command took, in seconds."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.seconds: dict[str, float] = {}

    def run(self, *arguments: str) -> str:
        started = time.perf_counter()
        done = subprocess.run(
            [Path(sys.executable).with_name("fleetcast"), *arguments],
            cwd=self.project,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.project.parent),
                "LANG": "C.UTF-8",
                "FLEETCAST_BUILDER": "process",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"fleetcast {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")
        self.seconds[arguments[0]] = round(time.perf_counter() - started, 2)
        return done.stdout

    def read(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json"))

    def client(self, service: str) -> Any:
        address = lifecycle.status(self.project).address
        if address is None:
            sys.exit("the local cloud is gone")
        return boto3.client(
            service,
            endpoint_url=address.endpoint_url,
            region_name=address.region,
            aws_access_key_id=address.account,
            aws_secret_access_key="local",
        )

    def stack_outputs(self) -> dict[str, str]:
        stack = self.client("cloudformation").describe_stacks(StackName="fleetcast")["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


@contextmanager
def copied_product() -> Iterator[Product]:
    """Copy what a clone would have, share what is installed, and take the cloud down at the end."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        for name in listed.stdout.splitlines():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, project / name)
        for shared in (".venv", ".sam"):
            (project / shared).symlink_to((ROOT / shared).resolve())
        try:
            yield Product(project)
        finally:
            lifecycle.down(project)
