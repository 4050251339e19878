"""Any sequence of loads, invocations, lists and unloads agrees with a model of the contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.containers.serving_support import Server, lay_out, serving

NAMES = ["a", "b", "c", "d", "e"]
ROOM = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    # A model of seven numbers takes 1,060 bytes.
    budget = {"FLEETCAST_MODEL_BUDGET_BYTES": str(ROOM * 1060), "SAGEMAKER_MULTI_MODEL": "true"}
    with serving(folder, **budget) as process:
        yield process


def test_any_sequence_of_calls_keeps_the_contract(server: Server, folder: Path) -> None:
    urls = {name: lay_out(folder, name) for name in NAMES}

    class Contract(RuleBasedStateMachine):
        @initialize()
        def empty(self) -> None:
            server.unload_everything()
            self.loaded: set[str] = set()

        @rule(name=st.sampled_from(NAMES))
        def load(self, name: str) -> None:
            expected = 409 if name in self.loaded else 507 if len(self.loaded) == ROOM else 200
            assert server.load(name, urls[name]).status_code == expected
            if expected == 200:
                self.loaded.add(name)

        @rule(name=st.sampled_from(NAMES))
        def unload(self, name: str) -> None:
            expected = 200 if name in self.loaded else 404
            assert server.client.delete(f"/models/{name}").status_code == expected
            self.loaded.discard(name)

        @rule(name=st.sampled_from(NAMES), period=st.integers(-2, 300))
        def invoke(self, name: str, period: int) -> None:
            answer = server.invoke(name, {"period": period})
            expected = 404 if name not in self.loaded else 200 if period > 0 else 400
            assert answer.status_code == expected
            if expected == 200:
                assert answer.json()["customer_id"] == name
                assert len(answer.json()["forecast"]) == period

        @rule(name=st.sampled_from(NAMES))
        def describe(self, name: str) -> None:
            expected = 200 if name in self.loaded else 404
            assert server.client.get(f"/models/{name}").status_code == expected

        @invariant()
        def the_list_is_what_was_loaded(self) -> None:
            if hasattr(self, "loaded"):
                listed = server.client.get("/models").json()["models"]
                assert [model["modelName"] for model in listed] == sorted(self.loaded)

    bounded = settings(
        max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Contract, settings=bounded)
