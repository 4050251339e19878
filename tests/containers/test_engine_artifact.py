"""The artifact: small, the same bytes for the same model, and harmless whoever wrote it."""

import gzip
import io
import json
import os
import subprocess
import tarfile
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.containers.artifact_support import (
    archive_of,
    artifact_of_text,
    ask,
    documents_of_each_kind,
    put,
    signed,
    signed_text,
    text_of,
)
from tests.containers.engine_models import END, fitted, mix, of_each_kind, prophet, remixed
from tests.containers.engine_support import regular

from fleetcast_engine import FittedModel, TrainSettings, load, pack, train, unpack
from fleetcast_engine.choice.mix import MixModel
from fleetcast_engine.choice.naive import NaiveModel
from fleetcast_engine.errors import ArtifactError, BadParameters, NewerFormat, NotAModel, WrongChecksum
from fleetcast_engine.history.timeline import DAY, Timeline
from fleetcast_engine.model import Parameters
from fleetcast_engine.prophet.model import ProphetModel

KINDS = of_each_kind()
DOCUMENTS = documents_of_each_kind()
OLD = DOCUMENTS["format 1"]
_COVERED = len(b'{"checksum":"crc32:00000000",')


def test_the_artifact_carries_no_time_and_no_name_of_its_writer() -> None:
    artifact = pack(KINDS["prophet"])

    assert artifact[4:8] == bytes(4)
    with tarfile.open(fileobj=io.BytesIO(artifact), mode="r:gz") as archive:
        (member,) = archive.getmembers()
    assert (member.name, member.mtime, member.uid, member.uname) == ("model.json", 0, 0, "")


def _noisy(model: FittedModel, seed: int) -> FittedModel:
    """Return the model with numbers that cannot be compressed, as real ones cannot."""
    rng = np.random.default_rng(seed)
    parameters = model.parameters
    if isinstance(parameters, MixModel):
        path = rng.normal(100, 9, len(parameters.path))
        quantiles = np.sort(rng.normal(0, 9, parameters.quantile_singles.shape))
        tail = _shaken(parameters.tail, rng)
        parameters = remixed(parameters, long_run=tail, path=path, quantiles=quantiles)
    return replace(model, parameters=_shaken(parameters, rng), customer_id=f"meter-{seed:05}")


def _shaken(parameters: Parameters, rng: np.random.Generator) -> Any:
    if not isinstance(parameters, ProphetModel):
        return parameters
    delta, beta = (rng.normal(0, 0.1, len(values)) for values in (parameters.delta, parameters.beta))
    return replace(parameters, delta=delta, beta=beta)


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        (KINDS["prophet"], 2000),
        (fitted("mix", mix(28)), 4000),
        (fitted("mix", mix(168)), 4000),
        (fitted("mix", mix(336)), 4000),
        (KINDS["naive of a week of half hours"], 4000),
        (fitted("seasonal_naive", NaiveModel(np.arange(672) / 7, 1.0), Timeline("15min", 900, END)), 4000),
    ],
    ids=["prophet", "days", "hours", "half hours", "naive half hours", "naive quarters"],
)
def test_an_artifact_is_small(model: FittedModel, limit: int) -> None:
    assert len(pack(_noisy(model, 1))) < limit


def test_two_years_of_days_take_about_a_kilobyte() -> None:
    model = train(regular(731), TrainSettings(trained_at=0))

    assert model.family != "seasonal_naive"
    assert len(pack(model)) < 2000


@pytest.mark.parametrize("kind", ["prophet", "multiplicative", "naive", "mix"])
@pytest.mark.parametrize("days", [0, 1], ids=["of one history", "each of its own history"])
def test_a_loaded_model_says_what_memory_it_takes(kind: str, days: int) -> None:
    """Never less, or the machine's would end before the budget; not much more, or the budget were wasted."""
    model = KINDS[kind]
    many = [pack(_noisy(_moved(model, days * seed), seed)) for seed in range(1400)]

    tracemalloc.start()
    # Caches, which models share, are full after these.
    assert all(ask(unpack(artifact)) for artifact in many[:1100])
    before, _ = tracemalloc.get_traced_memory()
    loaded = [unpack(artifact) for artifact in many[1100:]]
    assert all(ask(each) for each in loaded)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 0.6 <= (after - before) / len(loaded) / loaded[0].size <= 1


def _moved(model: FittedModel, days: int) -> FittedModel:
    """Return the model of a history that began and ended later, and had more rows."""
    parameters, seconds = model.parameters, days * DAY
    if isinstance(parameters, MixModel):
        parameters = replace(parameters, long_run=_longer(parameters.tail, days))
    return replace(
        model,
        parameters=_longer(parameters, days),
        timeline=replace(model.timeline, end=model.timeline.end + seconds),
        training_start=model.training_start + seconds // 2,
        trained_at=model.trained_at + days,
    )


def _longer(parameters: Parameters, days: int) -> Any:
    if not isinstance(parameters, ProphetModel):
        return parameters
    return replace(
        parameters,
        start=parameters.start + days * DAY // 2,
        rows=parameters.rows + days,
        span=parameters.span + days,
    )


def test_an_extracted_artifact_is_loaded_from_its_folder(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(pack(KINDS["prophet"])), mode="r:gz") as archive:
        archive.extractall(tmp_path, filter="data")

    assert load(tmp_path).model.customer_id == "Ünï ¢ode/7"


def test_an_archive_made_by_another_program_is_read_too() -> None:
    """Teams repack artifacts; only what is in them counts."""
    text = text_of(pack(KINDS["mix"]))
    info = tarfile.TarInfo("model.json")
    info.mtime, info.uname, info.mode = 1_700_000_000, "root", 0o600

    again = unpack(archive_of((info, text)))

    assert ask(again) == ask(unpack(pack(KINDS["mix"])))


@pytest.mark.parametrize("layout", ["gnu", "ustar", "v7", "posix"])
def test_an_archive_of_gnu_tar_is_read_too(layout: str, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes(text_of(pack(KINDS["mix"])))
    command = ["tar", f"--format={layout}", "-C", str(tmp_path), "-czf", "-", "model.json"]

    archive = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout

    assert ask(unpack(archive)) == ask(unpack(pack(KINDS["mix"])))


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_file_that_tarfile_has_added_is_read_too(layout: int, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes(text_of(pack(KINDS["mix"])))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=layout) as archive:
        archive.add(tmp_path / "model.json", "model.json")

    assert ask(unpack(buffer.getvalue())) == ask(unpack(pack(KINDS["mix"])))


def _of_kind(kind: bytes, name: str = "model.json", target: str = "/etc/passwd") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return archive_of((info, b""))


def hostile_archives() -> dict[str, tuple[bytes, type[ArtifactError]]]:
    whole, text = pack(KINDS["prophet"]), text_of(pack(KINDS["prophet"]))
    old = json.dumps(OLD).encode()
    model, outside = tarfile.TarInfo("model.json"), tarfile.TarInfo("../../model.json")
    return {
        "empty": (b"", NotAModel),
        "not gzip": (b"PK\x03\x04", NotAModel),
        "not tar": (gzip.compress(b"hello"), NotAModel),
        "cut off": (whole[:-20], NotAModel),
        "longer": (whole + b"\0", NotAModel),
        "twice": (whole + whole, NotAModel),
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
        "large document": (artifact_of_text(b" " * 300_000), NotAModel),
        "pickle": (artifact_of_text(b"\x80\x04N."), NotAModel),
        "deep": (artifact_of_text(b"[" * 100_000), NotAModel),
        "list": (artifact_of_text(b"[]"), NotAModel),
        "no format": (artifact_of_text(b"{}"), NotAModel),
        "newer": (signed({**DOCUMENTS["prophet"], "format": 3}), NewerFormat),
        "unsigned": (
            artifact_of_text(text.replace(text[:_COVERED], b'{"checksum":"crc32:00000000",')),
            WrongChecksum,
        ),
        "laid out anew": (artifact_of_text(json.dumps(json.loads(text)).encode()), WrongChecksum),
        "changed": (artifact_of_text(text.replace(b'"rows":730', b'"rows":731')), WrongChecksum),
        "NaN": (artifact_of_text(text.replace(b'"mae":7.5', b'"mae":NaN')), BadParameters),
        "infinity": (
            artifact_of_text(signed_text(text[_COVERED:].replace(b'"mae":7.5', b'"mae":1e999'))),
            BadParameters,
        ),
        "changed format 1": (artifact_of_text(old.replace(b'"k": 0.25', b'"k": 0.26')), WrongChecksum),
        "NaN in format 1": (artifact_of_text(old.replace(b'"k": 0.25', b'"k": NaN')), BadParameters),
        "infinity in format 1": (artifact_of_text(old.replace(b'"k": 0.25', b'"k": 1e999')), BadParameters),
    }


@pytest.mark.parametrize(("artifact", "error"), hostile_archives().values(), ids=hostile_archives().keys())
def test_a_hostile_artifact_is_a_named_error(artifact: bytes, error: type[ArtifactError]) -> None:
    with pytest.raises(error) as raised:
        unpack(artifact)
    assert type(raised.value) is error


NUMBERS = DOCUMENTS["prophet"]["numbers"]


@pytest.mark.parametrize(
    ("kind", "path", "value", "message"),
    [
        ("prophet", "params.span", 0, "params.span is not a whole number from 1"),
        ("prophet", "params.rows", True, "params.rows is not a whole number from 2"),
        ("prophet", "params.start", 10**20, "params.start is not a whole number"),
        ("prophet", "params.changepoints", 0, "params.changepoints is not a whole number from 1 to 2000"),
        ("prophet", "params.changepoints", [1], "params.changepoints is not a whole number"),
        (
            "prophet",
            "params.changepoint_range",
            1.5,
            "params.changepoint_range is not null or a share up to 1",
        ),
        ("prophet", "params.changepoint_range", "all", "params.changepoint_range is not a finite number"),
        ("prophet", "params.changepoint_range", None, "do not belong together: params.changepoints are not"),
        ("prophet", "params.changepoints", 26, "do not belong together: params.scale, .* are not there"),
        ("prophet", "params.changepoints", 24, "do not belong together: there are more numbers"),
        ("prophet", "params.seasonalities", [1], "params.seasonalities is not a list of objects"),
        (
            "prophet",
            "params.seasonalities",
            ["weekly"] * 11,
            "params.seasonalities is not a list of at most 10",
        ),
        ("prophet", "params.seasonalities", ["hourly"], "'hourly', which is not one of Prophet's"),
        (
            "prophet",
            "params.seasonality_mode",
            "both",
            "params.seasonality_mode is not one of additive, mult",
        ),
        ("prophet", "params.evil", 1, "params.evil, which it should not have"),
        ("prophet", "params", [], "params is not an object"),
        ("prophet", "numbers", "!", "numbers are not base64"),
        ("prophet", "numbers", NUMBERS[:-4], "do not belong together"),
        ("prophet", "numbers", f"{'/' * (len(NUMBERS) - 3)}w==", r"params\.scale, k, m, .* finite"),
        ("prophet", "family", "gru", "family is not one of prophet, prophet_corrected, mix, seasonal_naive"),
        ("prophet", "family", "seasonal_naive", "params.* which it should not have"),
        ("prophet", "family", "mix", "params.* which it should not have"),
        ("prophet", "frequency", "fortnightly", "frequency is not one of"),
        ("prophet", "frequency_seconds", 0, "frequency_seconds is not a whole number from 1"),
        ("prophet", "frequency", "monthly", "month_day is not a whole number from 1 to 31"),
        ("prophet", "trained_at", "yesterday", "trained_at is not a time"),
        ("prophet", "training_end", "9999-01-01T00:00:00Z", "training_end is not a time of this age"),
        ("prophet", "customer_id", "x" * 2000, "customer_id is not a short text"),
        ("prophet", "nonnegative", 1, "nonnegative is not true or false"),
        ("prophet", "origins", -1, "origins is not a whole number from 0"),
        ("prophet", "mae", -1.0, "mae is not a finite number from 0"),
        ("prophet", "mae", 7, "not written as numbers with a fraction"),
        ("prophet", "evil", 1, "evil, which it should not have"),
        ("holidays", "params.holidays", [{"name": "x"}], "params.holidays.offset is not a whole number"),
        ("holidays", "params.holidays", [], "there are more numbers"),
        ("regressors", "params.regressors", 7, "params.regressors is not a list of at most 100 objects"),
        ("logistic", "params.cap", 5.0, "params.cap is not above its params.floor"),
        ("logistic", "params.growth", "wild", "params.growth is not one of linear, flat, logistic"),
        ("naive", "params.steps", 0, "params.steps is not a whole number from 1"),
        ("naive", "params.precision", "half", "params.precision is not one of double, single"),
        ("mix", "params.offset", "low", "params.offset is not a finite number"),
        ("mix", "params.unit", 0, "params.unit is not a finite number above 0"),
        ("naive of a week of half hours", "params.unit", -1.0, "params.unit is not a finite number above 0"),
        ("naive", "params.unit", 1.0, "params.unit, which it should not have"),
        ("mix", "params.season", 0, "params.season is not a whole number from 1"),
        ("mix", "params.blocks", [], "params.blocks does not increase"),
        ("mix", "params.blocks", [7, 7, 28], "params.blocks does not increase"),
        ("mix", "params.blocks", [7, 14.5, 28], "params.blocks is not a list of at most 100 whole numbers"),
        ("mix", "params.blocks", [7, 28], "there are more numbers"),
        ("mix", "params.members", [[1]], "params.members is not a list of lists of short texts"),
        ("mix", "params.members", ["ridge"], "params.members is not a list of lists of short texts"),
        ("mix", "params.tail", 1, "params.tail is not an object"),
        ("mix", "params.tail.family", "mix", "params.tail.family is not one of prophet, seasonal_naive"),
        ("format 1", "params.k", True, "params.k is not a finite number"),
        ("format 1", "params.k", 10**400, "params.k is not a finite number"),
        ("format 1", "params.sigma", -1, "params.sigma is not a finite number from 0"),
        ("format 1", "params.delta", [0.0, "x", 0.0], "params.delta is not a list of at most 2000 finite"),
        ("format 1", "params.delta", [0.0], "params.delta and params.changepoints do not belong together"),
        ("format 1", "params.beta", [0.0], "params.beta and params.seasonalities do not belong together"),
        ("format 1", "params.changepoints", [1e25] * 3, "params.changepoints are not times"),
        ("format 1", "params.seasonalities", [{}] * 11, "params.seasonalities is not a list of at most 10"),
        ("format 1", "family", "mix", "family is not one of prophet, prophet_corrected, seasonal_naive"),
        ("format 1", "family", "seasonal_naive", "params.season is not a list"),
        ("format 1", "metrics.origins", 0, "metrics.origins is not a whole number from 1"),
    ],
)
def test_an_impossible_model_is_refused_by_field(kind: str, path: str, value: Any, message: str) -> None:
    document = json.loads(json.dumps(DOCUMENTS[kind]))
    put(document, path, value)

    with pytest.raises(BadParameters, match=message):
        unpack(signed(document))


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_field_is_refused(kind: str) -> None:
    for name in DOCUMENTS[kind].keys() - {"checksum", "format"}:
        document = {field: value for field, value in DOCUMENTS[kind].items() if field != name}
        with pytest.raises(BadParameters):
            unpack(signed(document))
    for name in DOCUMENTS[kind]["params"]:
        params = {field: value for field, value in DOCUMENTS[kind]["params"].items() if field != name}
        with pytest.raises(BadParameters):
            unpack(signed({**DOCUMENTS[kind], "params": params}))


def test_numbers_of_any_allowed_size_lead_to_a_forecast_or_a_named_error() -> None:
    wild = prophet(
        delta=np.full(3, 1e30), beta=np.full(6, -1e30), scale=1e30, k=1e30, m=-1e30, span=1, sigma=1e30
    )

    with suppress(BadParameters):
        ask(unpack(pack(fitted("prophet", wild))), 8784)


def test_a_folder_is_read_with_the_same_distrust(tmp_path: Path) -> None:
    model = tmp_path / "model.json"
    with pytest.raises(NotAModel, match=r"there is no model\.json"):
        load(tmp_path)
    with pytest.raises(NotAModel, match=r"there is no model\.json"):
        load(Path("a\0b"))
    model.mkdir()
    with pytest.raises(NotAModel, match="is not an ordinary file"):
        load(tmp_path)
    model.rmdir()
    model.symlink_to("/etc/passwd")
    with pytest.raises(NotAModel, match="is not an ordinary file"):
        load(tmp_path)
    model.unlink()
    os.mkfifo(model)
    with pytest.raises(NotAModel, match="is not an ordinary file"):
        load(tmp_path)
    model.unlink()
    model.write_bytes(b" " * 300_000)
    with pytest.raises(NotAModel, match="has 300000 bytes; a model has at most 262144"):
        load(tmp_path)
