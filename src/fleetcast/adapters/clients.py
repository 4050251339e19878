"""boto3 clients, made once a process and on first use: importing a module needs neither AWS nor its settings."""

from functools import cache
from typing import Any

import boto3
from botocore.config import Config


@cache
def client(service: str, *, read_timeout: float = 60, attempts: int = 4, connect_timeout: float = 3) -> Any:
    """Return the client of `service`; the endpoint URL in the environment decides which cloud it talks to.

    Args:
        service: boto3's name of the service.
        read_timeout: seconds to wait for an answer.
        attempts: how often a call is made before its error comes back.
        connect_timeout: seconds to wait for a connection.
    """
    config = Config(
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        max_pool_connections=32,
    )
    return boto3.client(service, config=config)
