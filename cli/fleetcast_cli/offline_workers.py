"""Many items, asked on all cores: what one item does to its process costs no other its answer."""

import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing import active_children, get_context
from typing import Generic, TypeVar

from fleetcast_cli.errors import CommandFailed
from fleetcast_training.orphans import leave_with_parent

Item = TypeVar("Item")
Answer = TypeVar("Answer")
# Items for each process at a time: enough to keep it busy, few enough to move the progress bar.
_CHUNK = 8
# Chunks in hand for each process; what waits takes memory.
_AHEAD = 2


class Workers(Generic[Item, Answer]):
    """Asks one question of items in processes of its own.

    Args:
        ask: answers a chunk of items, in their order; must be picklable.
        size: how many processes.
    """

    def __init__(self, ask: Callable[[Sequence[Item]], list[Answer]], size: int) -> None:
        self._ask = ask
        self._size = size

    def answers(self, items: Iterable[Item]) -> Generator[tuple[Item, Answer | None], None, None]:
        """Yield every item with its answer, whoever is done first; None where its process died of it.

        Raises:
            CommandFailed: processes die whatever they are asked.
        """
        chunks = _chunks(iter(items))
        while True:
            in_hand: dict[int, list[Item]] = {}
            try:
                yield from self._answers_until_broken(chunks, in_hand)
            except BrokenProcessPool:
                suspects = [item for chunk in in_hand.values() for item in chunk]
                yield from self._one_by_one(suspects)
            else:
                return

    def _answers_until_broken(
        self, chunks: Iterator[list[Item]], in_hand: dict[int, list[Item]]
    ) -> Iterator[tuple[Item, Answer | None]]:
        numbers: dict[Future[list[Answer]], int] = {}
        with _pool(self._size) as pool:
            while True:
                for chunk in islice(chunks, _AHEAD * self._size - len(numbers)):
                    number = max(in_hand, default=0) + 1
                    in_hand[number] = chunk
                    numbers[self._submit(pool, chunk)] = number
                if not numbers:
                    return
                for task in wait(numbers, return_when=FIRST_COMPLETED).done:
                    answers = task.result()
                    yield from zip(in_hand.pop(numbers.pop(task)), answers, strict=True)

    def _one_by_one(self, suspects: Sequence[Item]) -> Iterator[tuple[Item, Answer | None]]:
        left, answered = deque(suspects), 0
        while left:
            with suppress(BrokenProcessPool), _pool(1) as pool:
                while left:
                    (answer,) = self._submit(pool, [left[0]]).result()
                    yield left.popleft(), answer
                    answered += 1
            if left:
                if not answered and len(suspects) > 1 and len(left) == 1:
                    raise CommandFailed("the processes die whatever they are asked: is there enough memory?")
                yield left.popleft(), None

    def _submit(self, pool: ProcessPoolExecutor, chunk: Sequence[Item]) -> "Future[list[Answer]]":
        # This may start a process, which an interrupt of the whole group must not reach before it is set up.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return pool.submit(self._ask, chunk)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _pool(size: int) -> Iterator[ProcessPoolExecutor]:
    others = set(active_children())
    # Spawned, not forked: numpy, Arrow and their threads do not survive a fork.
    pool = ProcessPoolExecutor(size, get_context("spawn"), initializer=leave_with_parent)
    try:
        yield pool
    except BaseException:
        for child in set(active_children()) - others:
            if child.pid:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(child.pid, signal.SIGKILL)
            child.kill()  # one that has just begun has not made its group yet
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _chunks(items: Iterator[Item]) -> Iterator[list[Item]]:
    while chunk := list(islice(items, _CHUNK)):
        yield chunk
