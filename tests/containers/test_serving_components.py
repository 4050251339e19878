"""What a forecast is made of: it adds up, and it is never more than can be passed on."""

import json
import re
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from tests.containers.engine_models import remixed
from tests.containers.serving_questions import KINDS, ask, served, with_holidays
from tests.static.stack import ROOT

from fleetcast.domain.forecasts import MAX_PERIOD
from fleetcast.errors import DataError, RequestError
from fleetcast_engine import LoadedModel, components
from fleetcast_serving.forecasts import inquiry
from fleetcast_serving.repository import ServedModel

DOCUMENTED = ("trend", "multiplicative_terms", "additive_terms", "correction", "local", "season")


def test_the_documented_sum_is_the_one_below() -> None:
    formula = re.findall(r"`(trend \* .*?)`", (ROOT / "docs" / "forecasts.md").read_text())

    assert [set(re.findall("[a-z_]+", found)) for found in formula] == [set(DOCUMENTED)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("period", [3, 400])
def test_components_are_what_the_documented_sum_is_made_of(kind: str, period: int) -> None:
    model = served(replace(KINDS[kind], nonnegative=False))
    start = model.loaded.model.timeline.end + 20 * model.loaded.model.timeline.seconds
    moment = str(np.datetime64(start, "s"))

    for asked in ({}, {"start": moment}):
        for row in ask({"period": period, "components": True, **asked}, model)["forecast"]:
            parts = {name: row["components"].get(name, 0.0) for name in DOCUMENTED}
            trend = parts.pop("trend") * (1 + parts.pop("multiplicative_terms"))
            assert trend + sum(parts.values()) == pytest.approx(row["yhat"], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("count", "name"),
    [(15, "Some Public Holiday"), (200, "h" * 990), (15, '\u00e9"\\\n')],
    ids=["a country's", "hostile", "escaped"],
)
def test_an_answer_with_components_is_one_that_every_part_of_aws_passes_on(count: int, name: str) -> None:
    """Beyond 6 MB the caller would get SageMaker's or API Gateway's error, and not learn why."""
    model = with_holidays(count, name)

    with pytest.raises(RequestError, match="steps can have them in one answer, not 8784") as raised:
        ask({"period": MAX_PERIOD, "components": True}, model)
    most = int(re.findall(r"at most (\d+) steps", str(raised.value))[0])
    document = ask({"period": most, "components": True}, model)

    assert raised.value.field == "components"
    assert len(json.dumps({"body": json.dumps(document)})) < 6 * 10**6
    with pytest.raises(RequestError, match=f"not {most + 1}"):
        ask({"period": most + 1, "components": True}, model)


def test_what_is_too_large_is_refused_before_it_is_made() -> None:
    model = with_holidays(200, "h" * 990)
    request = b'{"period": %d, "components": true}' % MAX_PERIOD

    tracemalloc.start()
    with pytest.raises(RequestError):
        inquiry(request, "", "").answer(model)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < 12 * 2**20


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_year_of_hours_can_be_explained(kind: str) -> None:
    assert len(ask({"period": MAX_PERIOD, "components": True}, served(KINDS[kind]))["forecast"]) == MAX_PERIOD


@pytest.mark.parametrize("kind", KINDS)
def test_components_explain_each_step(kind: str) -> None:
    model = served(KINDS[kind])
    expected = components(model.loaded, 3)

    rows = ask({"period": 3, "components": True}, model)["forecast"]

    for name, values in expected.items():
        assert [row["components"][name] for row in rows] == values.tolist()
    assert rows[0]["components"].keys() == expected.keys()
    assert "components" not in ask({"period": 3}, model)["forecast"][0]


def test_a_model_whose_components_are_not_numbers_is_ours_to_mend() -> None:
    """JSON would say null for them. Of a mix, the forecast itself may be sound."""
    model = KINDS["mix"]
    tail = replace(model.parameters.tail, k=float("inf"))
    broken = replace(model, parameters=remixed(model.parameters, long_run=tail))
    asked = ServedModel(LoadedModel(broken, 0))

    assert len(ask({"period": 1}, asked)["forecast"]) == 1
    with pytest.raises(DataError, match="components that are not numbers"):
        ask({"period": 1, "components": True}, asked)
