"""Models live as long as their bucket: no release may stop reading what an older one wrote, or read it otherwise."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from tests.containers.artifact_support import document_of, text_of
from tests.containers.engine_models import fitted, of_each_kind, regressors_for
from tests.containers.engine_support import regular

from fleetcast_engine import LoadedModel, fit, forecast, pack, unpack
from fleetcast_engine.prophet.options import ProphetOptions

GOLDEN = Path(__file__).parent / "golden"
ARTIFACTS = sorted(GOLDEN.glob("format-*/*.tar.gz"))
KINDS = of_each_kind()


@pytest.mark.parametrize("path", ARTIFACTS, ids=lambda path: f"{path.parent.name}-{path.name[:-7]}")
def test_a_stored_model_answers_as_on_the_day_it_was_stored(path: Path) -> None:
    loaded = unpack(path.read_bytes())
    expected = json.loads(path.with_name(path.name.replace(".tar.gz", ".json")).read_text())

    answer = forecast(loaded, 40, regressors=regressors_for(loaded.model, 40))

    assert loaded.model.customer_id == "Ünï ¢ode/7"
    assert answer.timestamps.tolist() == expected["timestamps"]
    for name in ("yhat", "lower", "upper"):
        np.testing.assert_allclose(getattr(answer, name), expected[name], rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_format_2_is_still_what_is_written(kind: str) -> None:
    """Compared before compression, which is the business of a library that may find better codes."""
    golden = (GOLDEN / "format-2" / f"{kind.replace(' ', '-')}.tar.gz").read_bytes()

    assert gzip.decompress(pack(KINDS[kind])) == gzip.decompress(golden)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_survives_its_artifact(kind: str) -> None:
    model = KINDS[kind]
    artifact = pack(model)

    again = unpack(artifact)

    assert pack(again.model) == artifact
    regressors = regressors_for(model, 50)
    fresh = forecast(type(again)(model, 0), 50, regressors=regressors)
    read = forecast(again, 50, regressors=regressors)
    assert read.yhat.tolist() == fresh.yhat.tolist()
    assert read.upper.tolist() == fresh.upper.tolist()


@pytest.mark.parametrize("kind", ["prophet", "corrected", "multiplicative", "naive"])
def test_a_model_of_format_1_is_stored_in_format_2_as_the_same_model(kind: str) -> None:
    old = unpack((GOLDEN / "format-1" / f"{kind}.tar.gz").read_bytes())

    new = unpack(pack(old.model))

    assert forecast(new, 100).yhat.tolist() == forecast(old, 100).yhat.tolist()


@pytest.mark.parametrize(("share", "stored"), [(0.8, 0.8), (0.95, 0.95), (0.333, None)])
def test_changepoints_by_prophets_rule_are_named_and_others_are_stored(
    share: float, stored: float | None
) -> None:
    model = fitted("prophet", fit(regular(400), ProphetOptions(changepoint_range=share)).model)

    assert document_of(model)["params"]["changepoint_range"] == stored
    assert forecast(unpack(pack(model)), 9).yhat.tolist() == forecast(LoadedModel(model, 0), 9).yhat.tolist()


def test_a_person_can_read_the_header() -> None:
    document = json.loads(text_of(pack(KINDS["prophet"])))

    del document["checksum"], document["numbers"]
    assert document == {
        "format": 2,
        "customer_id": "Ünï ¢ode/7",
        "run_id": "r20260131020000-0a1b2c",
        "family": "prophet",
        "frequency": "daily",
        "frequency_seconds": 86400,
        "month_day": 0,
        "trained_at": "2026-01-31T02:00:00Z",
        "training_start": "2023-01-01T00:00:00Z",
        "training_end": "2024-12-30T00:00:00Z",
        "horizon": 28,
        "nonnegative": True,
        "mae": 7.5,
        "naive_mae": 9.25,
        "origins": 26,
        "params": {
            "start": 1672531200,
            "span": 62985600,
            "rows": 730,
            "changepoints": 25,
            "changepoint_range": 0.8,
            "seasonality_mode": "additive",
            "seasonalities": ["yearly", "weekly"],
        },
    }
