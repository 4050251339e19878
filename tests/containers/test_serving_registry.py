"""The keeper and its workers on toy models whose timing a test can hold in its hand."""

import asyncio
import random
import socket
import threading
from collections import Counter

import pytest
from tests.containers.serving_registry_toys import EACH, ToyModel, Toys, play, text_of, turns

from fleetcast_serving.errors import KeeperGone, LoadFailed, NotLoaded, OutOfMemory
from fleetcast_serving.registry.catalog import Catalog
from fleetcast_serving.registry.leases import Leases


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine keeps a ping waiting for longer than a platform would."""
    monkeypatch.setattr("fleetcast_serving.registry.leases._PING_SECONDS", 30.0)


def test_a_model_that_one_worker_loads_is_there_for_the_others() -> None:
    async def scenario(toys: Toys) -> None:
        one, two = await toys.worker(), await toys.worker()
        await one.load("m", "u")
        assert await text_of(two, "m") == "u"
        assert await two.url("m") == "u"
        assert await two.page("", 10) == [("m", "u")]
        await two.unload("m")
        for worker in (one, two):
            assert worker.ready("m") is None
            with pytest.raises(NotLoaded, match="model 'm' is not loaded"):
                await worker.lease("m")

    assert play(scenario).counted == {"loads": 1, "unloads": 1}


def test_a_user_that_gives_up_as_its_lease_arrives_keeps_nothing() -> None:
    async def scenario(toys: Toys) -> None:
        worker = await toys.worker()
        await worker.load("m", "u")
        user = asyncio.create_task(worker.lease("m"))
        for _ in range(1000):
            if worker.ready("m"):
                break
            await asyncio.sleep(0)
        assert not user.done()
        user.cancel()
        with pytest.raises(asyncio.CancelledError):
            await user
        await asyncio.wait_for(worker.unload("m"), 10)

    play(scenario)


def test_a_slow_disk_keeps_nobody_else_waiting() -> None:
    gate = threading.Event()

    def read(url: str) -> bytes:
        assert url == "fast" or gate.wait(10)
        return b"x"

    async def scenario(toys: Toys) -> None:
        worker = await toys.worker()
        slow = asyncio.create_task(worker.load("slow", "slow"))
        await turns()
        await worker.load("fast", "fast")
        await worker.ping()
        assert not slow.done()
        gate.set()
        await slow

    play(scenario, read=read)


def test_unloading_waits_for_those_who_use_the_model() -> None:
    async def scenario(toys: Toys) -> None:
        one, two = await toys.worker(), await toys.worker()
        await one.load("m", "u")
        lease = await two.lease("m")
        unloading = asyncio.create_task(one.unload("m"))
        await turns()
        assert not unloading.done()
        with pytest.raises(NotLoaded):
            await one.url("m")
        with pytest.raises(NotLoaded):
            await two.lease("m")
        with pytest.raises(OutOfMemory):
            await one.load("n", "u")
        two.release(lease)
        await unloading
        await one.load("n", "u")

    play(scenario, room=1)


def test_a_model_in_use_can_be_loaded_anew_while_the_old_one_goes() -> None:
    async def scenario(toys: Toys) -> None:
        worker = await toys.worker()
        await worker.load("m", "1")
        old = await worker.lease("m")
        unloading = asyncio.create_task(worker.unload("m"))
        await turns()
        await worker.load("m", "2")
        assert (old.model.text, await text_of(worker, "m")) == ("1", "2")
        worker.release(old)
        await unloading
        assert await text_of(worker, "m") == "2"
        await worker.unload("m")
        assert toys.catalog.used == 0

    play(scenario)


def test_a_worker_that_dies_gives_back_what_it_held() -> None:
    async def scenario(toys: Toys) -> None:
        one, two = await toys.worker(), await toys.worker()
        await one.load("m", "u")
        await two.lease("m")
        unloading = asyncio.create_task(one.unload("m"))
        await turns()
        assert not unloading.done()
        toys.kill(1)
        await unloading
        assert toys.keeper.workers == 1
        assert await one.page("", 10) == []

    assert play(scenario).orphaned == 1


def test_the_least_recently_used_model_makes_room_for_another_one_in_a_worker() -> None:
    decoded: Counter[str] = Counter()

    def decode(document: bytes) -> ToyModel:
        decoded[document.decode()] += 1
        return ToyModel(document.decode())

    async def scenario(toys: Toys) -> None:
        worker = await toys.worker(decode)
        for name in "abc":
            await worker.load(name, name)
        for name in "abaca":
            assert await text_of(worker, name) == name
        assert decoded == {"a": 1, "b": 1, "c": 1}
        assert worker.ready("b") is None
        assert await text_of(worker, "b") == "b"
        assert decoded["b"] == 2

    # Each takes its own 100 bytes and what is around it.
    play(scenario, cache=1100)


def test_a_model_in_use_is_never_the_one_that_goes() -> None:
    """Its name could be asked for again while the keeper believes that nobody has it."""

    async def scenario(toys: Toys) -> None:
        worker = await toys.worker()
        await worker.load("a", "a")
        await worker.load("b", "b")
        used = await worker.lease("a")
        assert await text_of(worker, "b") == "b"
        assert worker.ready("a") is used
        worker.release(used)

    play(scenario, cache=1)


def test_a_document_that_cannot_be_decoded_is_not_held() -> None:
    def decode(_document: bytes) -> ToyModel:
        raise LoadFailed("broken")

    async def scenario(toys: Toys) -> None:
        worker = await toys.worker(decode)
        await worker.load("m", "u")
        with pytest.raises(LoadFailed):
            await worker.lease("m")
        await worker.unload("m")

    play(scenario)


def test_a_model_beyond_the_budget_is_refused_until_another_goes() -> None:
    async def scenario(toys: Toys) -> None:
        worker = await toys.worker()
        await worker.load("a", "u")
        await worker.load("b", "u")
        with pytest.raises(OutOfMemory, match="2 models are loaded"):
            await worker.load("c", "u")
        await worker.unload("a")
        await worker.load("c", "u")
        assert toys.catalog.used == 2 * EACH

    play(scenario, room=2)


def test_a_machine_without_memory_is_out_of_memory() -> None:
    def read(_url: str) -> bytes:
        raise MemoryError

    async def scenario(toys: Toys) -> None:
        worker = await toys.worker()
        with pytest.raises(OutOfMemory, match="the machine has no memory left"):
            await worker.load("m", "u")

    play(scenario, read=read)


def test_a_bug_in_the_keeper_is_an_error_of_the_call_and_no_end_of_the_keeper(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def read(_url: str) -> bytes:
        raise ZeroDivisionError

    async def scenario(toys: Toys) -> None:
        worker = await toys.worker()
        with pytest.raises(RuntimeError, match="the keeper failed: ZeroDivisionError"):
            await worker.load("m", "u")
        await worker.ping()

    play(scenario, read=read)
    assert "ZeroDivisionError" in caplog.text


def test_a_keeper_that_does_not_answer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(_toys: Toys) -> None:
        silent, mine = socket.socketpair()
        worker = await Leases(lambda _: ToyModel(""), 100, lambda: None).connect(mine)
        with pytest.raises(KeeperGone, match="has not answered"):
            await worker.ping()
        await worker.close()
        silent.close()

    monkeypatch.setattr("fleetcast_serving.registry.leases._PING_SECONDS", 0.05)
    play(scenario)


def test_what_a_worker_counts_arrives() -> None:
    async def scenario(toys: Toys) -> None:
        worker = await toys.worker()
        worker.report(b"{}")
        await worker.ping()

    assert play(scenario).reported == [b"{}"]


@pytest.mark.parametrize("seed", range(20))
def test_no_order_of_events_answers_from_a_model_that_was_unloaded(seed: int) -> None:
    """Loads, uses of any length and unloads at once, from all workers, with caches that hold next to nothing."""
    chance = random.Random(seed)

    async def scenario(toys: Toys) -> None:
        workers = [await toys.worker() for _ in range(3)]
        versions: Counter[str] = Counter()
        gone: Counter[str] = Counter()

        async def replace(name: str) -> None:
            for _ in range(10):
                versions[name] += 1
                await chance.choice(workers).load(name, str(versions[name]))
                await asyncio.sleep(chance.choice((0, 0, 0.001)))
                await chance.choice(workers).unload(name)
                gone[name] = versions[name]

        async def use() -> None:
            for _ in range(60):
                name, worker = chance.choice("abc"), chance.choice(workers)
                oldest = gone[name] + 1
                try:
                    lease = await worker.lease(name)
                except NotLoaded:
                    continue
                for _ in range(chance.randrange(3)):
                    await asyncio.sleep(0)
                assert int(lease.model.text) >= oldest
                worker.release(lease)

        await asyncio.gather(*(replace(name) for name in "abc"), *(use() for _ in range(9)))
        assert toys.catalog.used == 0
        assert len(toys.catalog) == 0

    play(scenario, cache=600)


def test_names_stay_sorted_whatever_comes_and_goes() -> None:
    chance = random.Random(7)
    catalog, names = Catalog(10**9), set[str]()
    for _ in range(500):
        name = str(chance.randrange(100))
        if name in names:
            catalog.free(catalog.take_out(name))
            names.remove(name)
        else:
            catalog.add(name, "u", b"x")
            names.add(name)
    listed: list[str] = []
    while page := catalog.page(listed[-1] if listed else "", 7):
        listed += [name for name, _ in page]
    assert listed == sorted(names)
