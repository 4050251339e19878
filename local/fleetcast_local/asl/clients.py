"""The AWS clients that tasks call: one per service, kept, and only ever of the local endpoint."""

import os
import threading
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from fleetcast_local.guard import require_local

# A task may hold a call open as long as a Lambda function may run.
_READ_SECONDS = 960
_creating = threading.Lock()


def client(region: str, service: str, state_credentials: Any = None) -> Any:
    """Return the client of a service; the name and arguments are those by which moto's interpreter asks."""
    del state_credentials  # the local cloud evaluates no IAM policies
    with _creating:  # sessions are not safe to create clients from several threads at once
        return _client(region, service)


@cache
def _client(region: str, service: str) -> Any:
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=require_local(os.environ.get("AWS_ENDPOINT_URL")),
        config=Config(
            parameter_validation=False,
            retries={"total_max_attempts": 1},
            read_timeout=_READ_SECONDS,
            max_pool_connections=100,
        ),
    )
