"""Connections are let in many at a time, whatever else goes on, and until the last moment."""

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import uvloop
from tests.containers.serving_support import PATIENCE, lay_out, received, serving

from fleetcast_serving.processes.reception import Reception

CROWD = 1000
LAST = (
    b"POST /models/m/invoke HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 13\r\n\r\n"
    b'{"period": 3}'
)


class Door(socket.socket):
    """A listening socket that has no files left, so many times."""

    refusals = 0

    def accept(self) -> Any:
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


@pytest.fixture
def door() -> Iterator[Door]:
    with Door() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(CROWD)
        yield listener


def arrive(door: Door, number: int, stack: ExitStack) -> list[socket.socket]:
    return [stack.enter_context(socket.create_connection(door.getsockname())) for _ in range(number)]


class Host(asyncio.Protocol):
    """Counts its guests."""

    guests = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Host.guests += 1
        transport.close()


def run(scenario: Callable[[], Any]) -> Any:
    Host.guests = 0
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(scenario(), PATIENCE))


async def turns_until(condition: Callable[[], bool]) -> int:
    turns = 0
    while not condition():
        turns += 1
        await asyncio.sleep(0)
    return turns


def test_a_crowd_is_let_in_within_a_few_turns_of_the_event_loop(door: Door) -> None:
    """One in each turn, as uvloop has it, keeps the last of a thousand waiting for seconds where turns are long."""

    async def scenario() -> int:
        reception = Reception(door, Host)
        turns = await turns_until(lambda: Host.guests == CROWD)
        await reception.close()
        return turns

    with ExitStack() as stack:
        arrive(door, CROWD, stack)
        turns = run(scenario)

    assert 10 < turns < 100, "many in a turn, and yet so few that others are answered between"


def test_without_files_it_waits_for_some_and_goes_on(door: Door) -> None:
    async def scenario() -> int:
        reception = Reception(door, Host)
        await turns_until(lambda: Host.guests == 3)
        await reception.close()
        return door.refusals

    door.refusals = 2
    with ExitStack() as stack:
        arrive(door, 3, stack)
        assert run(scenario) == 0


@pytest.mark.parametrize("refusals", [0, 1], ids=["open", "out of files a moment ago"])
def test_whoever_waits_when_it_closes_is_let_in_and_nobody_after(door: Door, refusals: int) -> None:
    async def scenario() -> int:
        reception = Reception(door, Host)
        await turns_until(lambda: not door.refusals)
        arrive(door, 50, stack)
        await reception.close()
        return Host.guests

    door.refusals = refusals
    with ExitStack() as stack:
        arrive(door, 1, stack)
        assert run(scenario) == 51
        with pytest.raises(ConnectionRefusedError):
            arrive(door, 1, stack)


def test_of_a_thousand_connections_at_once_each_is_answered(tmp_path: Path) -> None:
    with serving(tmp_path, SAGEMAKER_MULTI_MODEL="true", FLEETCAST_SERVING_WORKERS="2") as server:
        server.load("m", lay_out(tmp_path, "m"))
        opened = [server.connect() for _ in range(CROWD)]
        for connection in opened:
            connection.sendall(LAST)
        answers: Counter[bytes] = Counter()
        for connection in opened:
            with closing(connection):
                answers[received(connection)[:12]] += 1

    assert answers == {b"HTTP/1.1 200": CROWD}
