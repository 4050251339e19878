"""The artifact: small, the same bytes for the same model, and harmless whoever wrote it."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.containers.engine_support import START, regular
from tests.containers.serving_support import naive_model

from fleetcast_engine import FittedModel, TrainSettings, forecast, load, pack, train, unpack
from fleetcast_engine.artifact.archive import _canonical, _checksum
from fleetcast_engine.errors import (
    ArtifactError,
    BadParameters,
    ForecastError,
    NewerFormat,
    NotAModel,
    WrongChecksum,
)
from fleetcast_engine.history.timeline import Timeline
from fleetcast_engine.model import Metrics
from fleetcast_engine.prophet.model import ProphetModel, Seasonality

GOLDEN = Path(__file__).parent / "golden"
DAY = 86_400


def prophet_model() -> FittedModel:
    """Return the model that the golden artifact holds; its numbers are made up."""
    span = 729 * DAY
    return FittedModel(
        customer_id="Ünï ¢ode/7",
        run_id="r20260131020000-0a1b2c",
        family="prophet_corrected",
        parameters=ProphetModel(
            start=START,
            span=span,
            rows=730,
            scale=214.5,
            k=0.25,
            m=0.5,
            changepoints=START + np.arange(1, 4) * 100 * DAY,
            delta=np.array([0.125, -0.3, 1e-9]),
            seasonalities=(Seasonality("weekly", 7.0, 3, multiplicative=False),),
            beta=np.array([0.01, -0.02, 0.03, 0.1, -0.1, 1 / 3]),
            sigma=0.05,
            correction=-1.75,
        ),
        timeline=Timeline("daily", DAY, START + span),
        training_start=START,
        trained_at=1_769_824_800,
        horizon=28,
        metrics=Metrics(7.5, 9.25, 1),
        nonnegative=True,
    )


def document_of(model: FittedModel) -> dict[str, Any]:
    with tarfile.open(fileobj=io.BytesIO(pack(model)), mode="r:gz") as archive:
        member = archive.extractfile("model.json")
        assert member is not None
        document: dict[str, Any] = json.loads(member.read())
    return document


def archive_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for info, content in members:
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def artifact_of(document: dict[str, Any], *, sign: bool = True) -> bytes:
    document = {name: value for name, value in document.items() if name != "checksum"}
    checksum = _checksum(document) if sign else "sha256:" + "0" * 64
    return archive_of((tarfile.TarInfo("model.json"), _canonical({**document, "checksum": checksum})))


def test_the_golden_artifact_of_format_1_is_still_read() -> None:
    """Models live as long as their bucket: no release may stop reading what an older one wrote."""
    loaded = unpack((GOLDEN / "model-format-1.tar.gz").read_bytes())

    assert loaded.model.customer_id == "Ünï ¢ode/7"
    answer = forecast(loaded, 3)
    expected = json.loads((GOLDEN / "forecast-format-1.json").read_text())
    assert answer.timestamps.tolist() == expected["timestamps"]
    for name in ("yhat", "lower", "upper"):
        np.testing.assert_allclose(getattr(answer, name), expected[name], rtol=1e-12)


def test_format_1_is_still_what_is_written() -> None:
    assert document_of(prophet_model()) == json.loads((GOLDEN / "model-format-1.json").read_text())


@pytest.mark.parametrize("model", [prophet_model(), naive_model("meter-7")], ids=["prophet", "naive"])
def test_a_model_survives_its_artifact(model: FittedModel) -> None:
    artifact = pack(model)

    again = unpack(artifact)

    assert pack(again.model) == artifact
    assert forecast(again, 50).yhat.tolist() == forecast(replace(again, model=model), 50).yhat.tolist()


def test_the_artifact_carries_no_time_and_no_name_of_its_writer() -> None:
    artifact = pack(prophet_model())

    assert artifact[4:8] == bytes(4)
    with tarfile.open(fileobj=io.BytesIO(artifact), mode="r:gz") as archive:
        (member,) = archive.getmembers()
    assert (member.name, member.mtime, member.uid, member.uname) == ("model.json", 0, 0, "")


def test_two_years_of_days_take_about_a_kilobyte() -> None:
    model = train(regular(731), TrainSettings(trained_at=0))

    assert model.family != "seasonal_naive"
    assert len(pack(model)) < 2000


def test_an_extracted_artifact_is_loaded_from_its_folder(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(pack(prophet_model())), mode="r:gz") as archive:
        archive.extractall(tmp_path, filter="data")

    assert load(tmp_path).model.customer_id == "Ünï ¢ode/7"


def _of_kind(kind: bytes, name: str = "model.json", target: str = "/etc/passwd") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return archive_of((info, b""))


def hostile_archives() -> dict[str, tuple[bytes, type[ArtifactError]]]:
    whole, text = pack(prophet_model()), json.dumps(document_of(prophet_model())).encode()
    model, outside = tarfile.TarInfo("model.json"), tarfile.TarInfo("../../model.json")
    return {
        "empty": (b"", NotAModel),
        "not gzip": (b"PK\x03\x04", NotAModel),
        "not tar": (gzip.compress(b"hello"), NotAModel),
        "cut off": (whole[:-20], NotAModel),
        "damaged": (whole[:100] + b"\0" * 8 + whole[108:], NotAModel),
        "outside": (archive_of((outside, text)), NotAModel),
        "absolute": (archive_of((tarfile.TarInfo("/etc/model.json"), text)), NotAModel),
        "symbolic link": (_of_kind(tarfile.SYMTYPE), NotAModel),
        "hard link": (_of_kind(tarfile.LNKTYPE), NotAModel),
        "device": (_of_kind(tarfile.CHRTYPE), NotAModel),
        "folder": (_of_kind(tarfile.DIRTYPE), NotAModel),
        "further file": (archive_of((model, text), (tarfile.TarInfo("evil.py"), b"1/0")), NotAModel),
        "two models": (archive_of((model, text), (tarfile.TarInfo("model.json"), text)), NotAModel),
        "bomb": (gzip.compress(bytes(200_000_000), 1), NotAModel),
        "large document": (archive_of((tarfile.TarInfo("model.json"), b" " * 300_000)), NotAModel),
        "pickle": (archive_of((tarfile.TarInfo("model.json"), b"\x80\x04N.")), NotAModel),
        "deep": (archive_of((tarfile.TarInfo("model.json"), b"[" * 100_000)), NotAModel),
        "list": (archive_of((tarfile.TarInfo("model.json"), b"[]")), NotAModel),
        "no format": (archive_of((tarfile.TarInfo("model.json"), b"{}")), NotAModel),
        "newer": (artifact_of({**document_of(prophet_model()), "format": 2}), NewerFormat),
        "unsigned": (artifact_of(document_of(prophet_model()), sign=False), WrongChecksum),
        "changed": (
            archive_of((tarfile.TarInfo("model.json"), text.replace(b'"k": 0.25', b'"k": 0.26'))),
            WrongChecksum,
        ),
        "NaN": (
            archive_of((tarfile.TarInfo("model.json"), text.replace(b'"k": 0.25', b'"k": NaN'))),
            BadParameters,
        ),
        "infinity": (
            archive_of((tarfile.TarInfo("model.json"), text.replace(b'"k": 0.25', b'"k": 1e999'))),
            BadParameters,
        ),
    }


@pytest.mark.parametrize(("artifact", "error"), hostile_archives().values(), ids=hostile_archives().keys())
def test_a_hostile_artifact_is_a_named_error(artifact: bytes, error: type[ArtifactError]) -> None:
    with pytest.raises(error) as raised:
        unpack(artifact)
    assert type(raised.value) is error


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            document = document[parent]
        document[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("params.k", None, "params.k is not a finite number"),
        ("params.k", True, "params.k is not a finite number"),
        ("params.k", 10**400, "params.k is not a finite number"),
        ("params.sigma", -1, "params.sigma is not a finite number from 0"),
        ("params.delta", [0.0] * 1001, "params.delta is not a list of at most 1000 finite numbers"),
        ("params.delta", [0.0, "x", 0.0], "params.delta is not a list of at most 1000 finite numbers"),
        ("params.delta", [0.0], "params.delta and params.changepoints do not belong together"),
        ("params.beta", [0.0], "params.beta and params.seasonalities do not belong together"),
        ("params.span", 0, "params.span is not a whole number from 1"),
        ("params.seasonalities", [1], "params.seasonalities is not a list of objects"),
        ("params.seasonalities", [{}] * 11, "params.seasonalities is not a list of at most 10 objects"),
        ("params", [], "params is not an object"),
        ("family", "gru", "family is not one of prophet, prophet_corrected, seasonal_naive"),
        ("family", "seasonal_naive", "params.season is not a list"),
        ("frequency", "fortnightly", "frequency is not one of"),
        ("frequency_seconds", 0, "frequency_seconds is not a whole number from 1"),
        ("frequency", "monthly", "month_day is not a whole number from 1 to 31"),
        ("trained_at", "yesterday", "trained_at is not a time"),
        ("training_end", "9999-01-01T00:00:00Z", "training_end is not a time of this age"),
        ("customer_id", "x" * 2000, "customer_id is not a short text"),
        ("nonnegative", 1, "nonnegative is not true or false"),
        ("metrics.origins", 0, "metrics.origins is not a whole number from 1"),
    ],
)
def test_an_impossible_model_is_refused_by_field(path: str, value: Any, message: str) -> None:
    document = document_of(prophet_model())
    _set(path, value)(document)

    with pytest.raises(BadParameters, match=message):
        unpack(artifact_of(document))


def test_a_forecast_that_overflows_is_a_broken_model() -> None:
    document = document_of(prophet_model())
    document["params"].update(k=1e100, scale=1e100, m=1e100, span=1)
    document["params"]["delta"] = [1e100] * 3
    document["params"]["beta"] = [1e100] * 6
    document["params"]["seasonalities"][0]["multiplicative"] = True
    loaded = unpack(artifact_of(document))

    with pytest.raises(BadParameters, match="lead to a forecast that is not a number"):
        forecast(loaded, 8784)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_model_or_a_named_error(content: bytes) -> None:
    for artifact in (content, gzip.compress(content), archive_of((tarfile.TarInfo("model.json"), content))):
        with pytest.raises(ArtifactError):
            unpack(artifact)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
FIELDS = sorted(document_of(prophet_model())["params"])


@given(st.sampled_from(FIELDS), JSON)
def test_any_value_in_any_parameter_is_a_model_or_a_named_error(field: str, value: Any) -> None:
    document = document_of(prophet_model())
    document["params"][field] = value

    with suppress(BadParameters):
        forecast(unpack(artifact_of(document)), 5)


def test_a_folder_is_read_with_the_same_distrust(tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match=r"there is no model\.json"):
        load(tmp_path)
    (tmp_path / "model.json").mkdir()
    with pytest.raises(NotAModel, match="is not an ordinary file"):
        load(tmp_path)
    (tmp_path / "model.json").rmdir()
    (tmp_path / "model.json").write_bytes(b" " * 300_000)
    with pytest.raises(NotAModel, match="has 300000 bytes; a model has at most 262144"):
        load(tmp_path)


def test_a_forecast_may_begin_later() -> None:
    loaded = unpack(pack(prophet_model()))
    whole = forecast(loaded, 40)

    later = forecast(loaded, 10, start=int(whole.timestamps[30]) - 5)

    assert later.timestamps.tolist() == whole.timestamps[30:].tolist()
    assert later.yhat.tolist() == whole.yhat[30:].tolist()
    assert later.upper.tolist() == whole.upper[30:].tolist()


@pytest.mark.parametrize("kwargs", [{"period": 0}, {"period": 100_001}, {"period": 1, "interval": 1.0}])
def test_an_impossible_forecast_is_a_named_error(kwargs: dict[str, Any]) -> None:
    with pytest.raises(ForecastError):
        forecast(unpack(pack(prophet_model())), **kwargs)


@pytest.mark.parametrize("start", [START, 2**60])
def test_a_start_in_the_past_or_beyond_reach_is_a_named_error(start: int) -> None:
    with pytest.raises(ForecastError):
        forecast(unpack(pack(prophet_model())), 1, start=start)


def test_a_wider_interval_holds_the_narrower_one() -> None:
    loaded = unpack(pack(prophet_model()))

    narrow, wide = forecast(loaded, 20, interval=0.5), forecast(loaded, 20, interval=0.95)

    assert (wide.upper > narrow.upper).all()
    assert (wide.lower < narrow.lower).all()
