"""Loads of one model that meet: at the keeper, from several workers, of several urls."""

import asyncio
import threading

from tests.containers.serving_registry_toys import Toys, play, turns

from fleetcast_serving.errors import AlreadyLoaded, LoadFailed


def test_concurrent_loads_of_one_model_read_it_once() -> None:
    reads = []
    gate = threading.Event()

    def read(url: str) -> bytes:
        reads.append(url)
        assert gate.wait(10)
        return b"x"

    async def scenario(toys: Toys) -> None:
        workers = [await toys.worker() for _ in range(3)]
        loads = [asyncio.create_task(worker.load("m", "u")) for worker in workers for _ in range(3)]
        await turns()
        gate.set()
        outcomes = list(await asyncio.gather(*loads, return_exceptions=True))
        assert outcomes.count(None) == 1
        assert sum(isinstance(outcome, AlreadyLoaded) for outcome in outcomes) == 8

    play(scenario, read=read)
    assert reads == ["u"]


def test_everybody_who_waits_for_a_failing_load_hears_of_it() -> None:
    gate = threading.Event()

    def read(_url: str) -> bytes:
        assert gate.wait(10)
        raise LoadFailed("broken")

    async def scenario(toys: Toys) -> None:
        worker = await toys.worker()
        loads = [asyncio.create_task(worker.load("m", "u")) for _ in range(3)]
        await turns()
        gate.set()
        outcomes = await asyncio.gather(*loads, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes if isinstance(outcome, LoadFailed)] == ["broken"] * 3
        assert await worker.page("", 10) == []

    assert play(scenario, read=read).counted["load_failures"] == 1


def test_a_load_from_another_url_does_not_fail_with_the_first_one() -> None:
    gate = threading.Event()

    def read(url: str) -> bytes:
        assert gate.wait(10)
        if url == "bad":
            raise LoadFailed("broken")
        return b"x"

    async def scenario(toys: Toys) -> None:
        worker = await toys.worker()
        bad = asyncio.create_task(worker.load("m", "bad"))
        await turns()
        others = [asyncio.create_task(worker.load("m", url)) for url in ("bad", "good", "good")]
        await turns()
        gate.set()
        outcomes = await asyncio.gather(bad, *others, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [LoadFailed, LoadFailed, type(None), AlreadyLoaded]
        assert await worker.url("m") == "good"

    play(scenario, read=read)


def test_a_load_whose_worker_has_died_is_finished_without_it() -> None:
    gate = threading.Event()

    def read(_url: str) -> bytes:
        assert gate.wait(10)
        return b"x"

    async def scenario(toys: Toys) -> None:
        one, two = await toys.worker(), await toys.worker()
        call = asyncio.create_task(one.load("m", "u"))
        await turns()
        toys.kill(0)
        while toys.keeper.workers == 2:
            await turns()
        gate.set()
        while await two.page("", 10) != [("m", "u")]:
            await turns()
        call.cancel()

    play(scenario, read=read)
