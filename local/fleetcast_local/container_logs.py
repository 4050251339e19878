"""The log files of containers and builds, followed line by line and copied to CloudWatch Logs."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

logger = logging.getLogger(__name__)

_MAX_BATCH = 1000
_MAX_LINE = 16_384


class LogTail:
    """Reads what was appended to a file since the last look."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._path = path
        self._offset = offset

    def lines(self, *, last: bool = False) -> list[str]:
        """Return the new complete lines; at the end also an unfinished one."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        end = len(data) if last else data.rfind(b"\n") + 1
        self._offset += end
        return data[:end].decode("utf-8", "replace").splitlines()


class LogStream:
    """One stream in CloudWatch Logs. Losing lines there must never fail a job: the file has them all."""

    def __init__(self, clients: Callable[[str], Any], group: str, stream: str) -> None:
        self._clients = clients
        self._names = {"logGroupName": group, "logStreamName": stream}
        self._exists = False
        self._broken = False

    def put(self, lines: list[str]) -> None:
        for start in range(0, len(lines), _MAX_BATCH):
            self._put_batch([line[:_MAX_LINE] for line in lines[start : start + _MAX_BATCH] if line.strip()])

    def _put_batch(self, lines: list[str]) -> None:
        if self._broken or not lines:
            return
        now = int(time.time() * 1000)
        try:
            client = self._clients("logs")
            if not self._exists:
                self._create(client)
            client.put_log_events(**self._names, logEvents=[{"timestamp": now, "message": m} for m in lines])
        except (ClientError, BotoCoreError) as error:
            self._broken = True
            logger.warning("Log lines are no longer copied to %s: %s", self._names["logGroupName"], error)

    def _create(self, client: Any) -> None:
        group = self._names["logGroupName"]
        for create, arguments in (
            (client.create_log_group, {"logGroupName": group}),
            (client.create_log_stream, self._names),
        ):
            try:
                create(**arguments)
            except client.exceptions.ResourceAlreadyExistsException:
                continue
        self._exists = True
