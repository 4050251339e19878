"""The registry and the contract on toy models whose timing a test can hold in its hand."""

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import pytest

from fleetcast_serving.contract import multi_model
from fleetcast_serving.errors import AlreadyLoaded, LoadFailed, NotLoaded, OutOfMemory
from fleetcast_serving.registry import Registry


@dataclass
class ToyModel:
    """A model that takes ten bytes and does what it is told."""

    url: str
    size: int = 10
    behave: Callable[[], None] = field(default=lambda: None)

    @property
    def loaded(self) -> None:
        self.behave()


def registry(budget: int = 100) -> Registry[ToyModel]:
    return Registry(ToyModel, budget)


def test_concurrent_loads_of_one_model_read_it_once() -> None:
    reads = []
    gate = threading.Event()

    def read(url: str) -> ToyModel:
        reads.append(url)
        assert gate.wait(10)
        return ToyModel(url)

    async def scenario() -> list[object]:
        models = Registry(read, 100)
        loads = [asyncio.create_task(models.load("m", "u")) for _ in range(5)]
        await asyncio.sleep(0.05)
        gate.set()
        return list(await asyncio.gather(*loads, return_exceptions=True))

    outcomes = asyncio.run(scenario())

    assert reads == ["u"]
    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, AlreadyLoaded) for outcome in outcomes) == 4


def test_everybody_who_waits_for_a_failing_load_hears_of_it() -> None:
    gate = threading.Event()

    def read(_url: str) -> ToyModel:
        assert gate.wait(10)
        raise LoadFailed("broken")

    async def scenario() -> list[object]:
        models = Registry(read, 100)
        loads = [asyncio.create_task(models.load("m", "u")) for _ in range(3)]
        await asyncio.sleep(0.05)
        gate.set()
        outcomes: list[object] = list(await asyncio.gather(*loads, return_exceptions=True))
        assert models.page("", 10) == []
        return outcomes

    assert all(isinstance(outcome, LoadFailed) for outcome in asyncio.run(scenario()))


def test_unloading_waits_for_those_who_use_the_model() -> None:
    async def scenario() -> None:
        models = registry(budget=10)
        await models.load("m", "u")
        with models.lease("m"):
            unloading = asyncio.create_task(models.unload("m"))
            await asyncio.sleep(0.05)
            assert not unloading.done()
            with pytest.raises(NotLoaded):
                models.url("m")
            with pytest.raises(OutOfMemory):
                await models.load("other", "u")
        await unloading
        await models.load("other", "u")

    asyncio.run(scenario())


def test_a_model_in_use_can_be_loaded_anew_while_the_old_one_goes() -> None:
    async def scenario() -> None:
        models = registry(budget=20)
        await models.load("m", "old")
        with models.lease("m") as old:
            unloading = asyncio.create_task(models.unload("m"))
            await asyncio.sleep(0)
            await models.load("m", "new")
            assert (old.url, models.url("m")) == ("old", "new")
        await unloading
        assert models.url("m") == "new"

    asyncio.run(scenario())


def test_the_least_recently_used_model_is_named_when_memory_is_short() -> None:
    async def scenario() -> None:
        models = registry(budget=20)
        await models.load("a", "u")
        await models.load("b", "u")
        with models.lease("a"):
            pass
        with pytest.raises(OutOfMemory, match="least recently used model is 'b'"):
            await models.load("c", "u")

    asyncio.run(scenario())


def test_a_machine_without_memory_is_out_of_memory() -> None:
    def read(_url: str) -> ToyModel:
        raise MemoryError

    async def scenario() -> None:
        await Registry(read, 100).load("m", "u")

    with pytest.raises(OutOfMemory):
        asyncio.run(scenario())


def test_an_unexpected_error_is_a_number_that_the_log_explains(caplog: pytest.LogCaptureFixture) -> None:
    def explode() -> None:
        raise ZeroDivisionError("customer 7's secret")

    async def scenario() -> httpx.Response:
        models = Registry(lambda url: ToyModel(url, behave=explode), 100)
        transport = httpx.ASGITransport(multi_model(models))
        async with httpx.AsyncClient(transport=transport, base_url="http://container") as client:
            await client.post("/models", json={"model_name": "m", "url": "u"})
            return await client.post("/models/m/invoke", json={"period": 1})

    with caplog.at_level(logging.ERROR):
        answer = asyncio.run(scenario())

    assert answer.status_code == 500
    problem = answer.json()
    assert (problem["code"], problem["field"]) == ("InternalError", None)
    assert "secret" not in answer.text
    number = problem["message"].rpartition(" ")[2]
    assert number in caplog.text
    assert "ZeroDivisionError" in caplog.text
