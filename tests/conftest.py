"""A whole local cloud for the tests that ask for one: started once, taken down with everything it started."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from fleetcast_local import lifecycle
from fleetcast_local.layout import CloudAddress


@dataclass
class RunningCloud:
    """A local cloud that answers, and AWS clients that talk to nothing else."""

    project: Path
    address: CloudAddress
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.address.endpoint_url,
                region_name=self.address.region,
                aws_access_key_id=self.address.account,
                aws_secret_access_key="local",
                # One attempt: an error of the local cloud should be seen, not retried away.
                config=Config(retries={"total_max_attempts": 1}, inject_host_prefix=False, read_timeout=120),
            )
        return self._clients[service]

    def restart(self) -> None:
        """Take the cloud down and up again, as a person does overnight."""
        lifecycle.down(self.project)
        self.come_up()

    def come_up(self) -> None:
        self.address = lifecycle.up(self.project)
        self.close()

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()


def running_cloud(project: Path) -> Iterator[RunningCloud]:
    cloud = RunningCloud(project, lifecycle.up(project))
    try:
        yield cloud
    finally:
        cloud.close()
        lifecycle.down(project)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """One local cloud for the whole session: give resources names of your own."""
    yield from running_cloud(tmp_path_factory.mktemp("cloud"))


@pytest.fixture
def own_cloud(tmp_path: Path) -> Iterator[RunningCloud]:
    """A local cloud for one test that stops, kills or restarts it."""
    yield from running_cloud(tmp_path)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real consumption data; tests that ask for it carry the mark `realdata`."""
    return Path(os.environ["FLEETCAST_REALDATA"])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if {"cloud", "own_cloud"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.cloud)
    if not os.environ.get("FLEETCAST_REALDATA"):
        absent = [item for item in items if item.get_closest_marker("realdata")]
        config.hook.pytest_deselected(items=absent)
        items[:] = [item for item in items if item not in absent]
