"""The course of a load test: users come one by one, stay together for a while, and leave with their last answer."""

import asyncio
import resource
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import uvloop

from fleetcast_cli.errors import UsageMistake
from fleetcast_cli.load_figures import Figures, Moment
from fleetcast_cli.load_targets import Target
from fleetcast_cli.load_users import User

_MOMENT_SECONDS = 1.0
# What is not answered by then is neither an answer nor an error.
_FAREWELL_SECONDS = 5.0
_OTHER_FILES = 64


@dataclass(frozen=True)
class Scenario:
    """How many users, and how long, in seconds.

    Attributes:
        ramp: from the first user to the last one.
        hold: how long all of them stay.
        patience: how long a user waits for an answer.
    """

    users: int
    ramp: float
    hold: float
    patience: float


@dataclass(frozen=True)
class Course:
    """How a test went, besides its figures.

    Attributes:
        seconds: from its begin to its end, and of the hold alone.
        busy: share of one core that this client took during the hold.
        interrupted: whether somebody ended it early.
    """

    ramp_seconds: float
    hold_seconds: float
    busy: float
    interrupted: bool


class LoadTest:
    """One scenario against one target.

    Args:
        instances: returns how many instances the endpoint has now, None where nobody knows.
        show: is told of every moment.
    """

    def __init__(
        self,
        scenario: Scenario,
        target: Target,
        instances: Callable[[], int | None],
        show: Callable[[Moment, Figures], None],
    ) -> None:
        self.figures = Figures()
        self._scenario, self._instances, self._show = scenario, instances, show
        self._target = target
        self._began = self._moment_began = 0.0

    def run(self) -> Course:
        """Run it to its end, or until Ctrl-C."""
        _allow_connections(self._scenario.users)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(self._run())

    async def _run(self) -> Course:
        interrupted = asyncio.Event()
        with suppress(ValueError, RuntimeError):  # only the main thread may listen to signals
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, _once(interrupted))
        self._began = self._moment_began = time.perf_counter()
        users = [User(self._target, self.figures) for _ in range(self._scenario.users)]
        living: list[asyncio.Task[None]] = []
        watch = asyncio.create_task(self._watch(users))
        try:
            course = await self._course(self._let_in(users, living), interrupted)
        finally:
            watch.cancel()
        self.figures.begin_farewell()
        await _say_farewell(users, living)
        return course

    async def _course(self, arrival: Coroutine[Any, Any, None], interrupted: asyncio.Event) -> Course:
        came = asyncio.create_task(arrival)
        ended = await _wait(interrupted, came, self._scenario.ramp)
        ramped, processor = time.perf_counter(), time.process_time()
        self.figures.begin_hold()
        if not ended:
            ended = await _wait(interrupted, None, self._scenario.hold)
        held = time.perf_counter() - ramped
        busy = (time.process_time() - processor) / held if held > 0 else 0.0
        came.cancel()
        self._end_last_moment()
        return Course(ramped - self._began, held, busy, ended)

    async def _let_in(self, users: list[User], living: list[asyncio.Task[None]]) -> None:
        for number, user in enumerate(users):
            due = self._began + number * self._scenario.ramp / len(users)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            living.append(asyncio.create_task(user.live()))

    async def _watch(self, users: list[User]) -> None:
        while True:
            await asyncio.sleep(_MOMENT_SECONDS)
            for user in users:
                user.give_up_after(self._scenario.patience)
            self._end_moment()

    def _end_moment(self) -> None:
        now = time.perf_counter()
        begun, self._moment_began = self._moment_began, now
        moment = self.figures.end_moment(now - self._began, now - begun, self._instances())
        self._show(moment, self.figures)

    def _end_last_moment(self) -> None:
        # A stretch of a few milliseconds has no rate that means anything, unless there is no other one.
        if (
            not self.figures.timeline.moments
            or time.perf_counter() - self._moment_began > _MOMENT_SECONDS / 2
        ):
            self._end_moment()


async def _wait(interrupted: asyncio.Event, ramp: "asyncio.Task[None] | None", seconds: float) -> bool:
    """Wait so many seconds, and for the last user of the ramp; return whether somebody interrupted."""
    interruption = asyncio.create_task(interrupted.wait())
    begun = time.perf_counter()
    if ramp is not None:
        await asyncio.wait((interruption, ramp), return_when=asyncio.FIRST_COMPLETED)
        if ramp.done():
            ramp.result()
    left = max(0.0, begun + seconds - time.perf_counter())
    await asyncio.wait((interruption,), timeout=left)
    interruption.cancel()
    return interrupted.is_set()


async def _say_farewell(users: list[User], living: list["asyncio.Task[None]"]) -> None:
    for user in users:
        user.stop()
    if living:
        await asyncio.wait(living, timeout=_FAREWELL_SECONDS)
    for user in users:
        user.abandon()
    for task in living:
        task.cancel()
    await asyncio.gather(*living, return_exceptions=True)


def _once(interrupted: asyncio.Event) -> Callable[[], None]:
    """Return what ends the test at the first Ctrl-C, and lets the second one end everything."""

    def end() -> None:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
        interrupted.set()

    return end


def _allow_connections(users: int) -> None:
    """Raise the number of open files that this process may have, as far as the system lets it.

    Raises:
        UsageMistake: that is not far enough.
    """
    wanted = users + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise UsageMistake(
            f"--users {users} needs {wanted} open files, and this system allows {hard}: see ulimit -Hn"
        )
    if wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
