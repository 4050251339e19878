"""The commands of a data scientist, without a cloud: train, predict, explain, backtest on files that were made up."""

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.containers.offline_support import answer, fleetcast

from fleetcast.domain.names import artifact_name
from fleetcast_cli.offline_explain import why_naive
from fleetcast_engine import (
    Candidate,
    Choice,
    FittedModel,
    ProphetOptions,
    Repairs,
    Series,
    fit,
    pack,
    unpack,
)
from fleetcast_engine.forecasting import MAX_STEPS
from fleetcast_engine.model import Metrics

RUN_ID = "r20260131020000-0a1b2c"
CUSTOMERS = 20


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    answer("synth", folder, "--customers", CUSTOMERS, "--days", 240, "--defects")
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    folder = tmp_path_factory.mktemp("models")
    report = answer("train", data, "--models", folder, "--run-id", RUN_ID, "--origins", 8)
    assert report["customers"] == CUSTOMERS
    return folder


def test_training_leaves_one_model_per_customer_and_a_ledger(models: Path) -> None:
    rows = {row["customer_id"]: row for row in pq.read_table(models / RUN_ID / "ledger.parquet").to_pylist()}

    assert len(rows) == CUSTOMERS
    for customer, row in rows.items():
        artifact = models / RUN_ID / artifact_name(customer)
        assert artifact.exists() == (row["status"] == "trained")
    assert unpack((models / RUN_ID / "0.tar.gz").read_bytes()).model.customer_id == "0"
    assert {path.suffix for path in (models / RUN_ID).iterdir()} == {".gz", ".parquet"}


def test_a_finished_run_is_never_overwritten(models: Path, data: Path) -> None:
    before = (models / RUN_ID / "0.tar.gz").stat()

    done = fleetcast("train", data, "--models", models, "--run-id", RUN_ID)

    assert done.exit_code == 3
    assert "holds a finished run: a model is never overwritten" in done.stderr
    assert (models / RUN_ID / "0.tar.gz").stat() == before


def test_forecasts_are_one_block_of_rows_per_customer(models: Path, tmp_path: Path) -> None:
    report = answer("predict", "--models", models, "--period", 3, "--output", tmp_path / "f.csv")

    with (tmp_path / "f.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["customer_id", "timestamp", "yhat", "yhat_lower", "yhat_upper"]
    assert len(rows) == report["rows"] == 3 * report["customers"]
    ids = [row["customer_id"] for row in rows]
    assert ids == [one for one in dict.fromkeys(ids) for _ in range(3)]
    for row in rows:
        assert float(row["yhat_lower"]) <= float(row["yhat"]) <= float(row["yhat_upper"])
    assert rows[0]["timestamp"].endswith("T00:00:00Z")


def test_a_broken_model_is_named_and_the_others_are_written(models: Path, tmp_path: Path) -> None:
    run = tmp_path / RUN_ID
    run.mkdir()
    for name in ("0", "1"):
        (run / f"{name}.tar.gz").write_bytes((models / RUN_ID / f"{name}.tar.gz").read_bytes())
    (run / "2.tar.gz").write_bytes(b"\x1f\x8b\x08 and then nothing")

    done = fleetcast("predict", "--models", run, "--period", 2, "--output", tmp_path / "f.csv")

    assert done.exit_code == 1
    assert "2.tar.gz is left out: the artifact is not a gzip file" in done.stderr
    assert "1 of 3 models could not forecast" in done.stderr
    assert len((tmp_path / "f.csv").read_text().splitlines()) == 1 + 2 * 2


def test_an_explanation_tells_repairs_candidates_choice_and_components(data: Path) -> None:
    told = answer("explain", data, "--customer", "3")

    assert told["data"]["rows_read"] == 240
    assert set(told["repairs"]) >= {"missing", "outage", "stuck", "outliers"}
    chosen = {one["name"] for one in told["candidates"] if any(one["chosen"])}
    assert chosen == {name for names in told["members"] for name in names}
    assert "of the seasonal naive's error" in told["why"]
    assert len(told["components"]["trend"]) == len(told["forecast"]) == 28


def test_an_explanation_for_people_ends_with_a_picture(data: Path, models: Path) -> None:
    from_data = fleetcast("explain", data, "--customer", "3").stdout
    from_model = fleetcast("explain", "--models", models, "--customer", "3", "--horizon", 7).stdout

    for text in (from_data, from_model):
        assert "Customer 3: forecast and its 80% interval" in text
        assert "What the next" in text
    assert "Candidates: error in the backtest" in from_data
    assert "data ends" in from_data


def test_a_backtest_compares_the_fleet_with_naives_and_prophet(data: Path) -> None:
    report = answer("backtest", data, "--customer", 0, "--customer", 1, "--customer", 2)

    rows = {(row["method"], row["steps"]): row for row in report["tables"]["daily"]}
    assert {method for method, _ in rows} == {
        *("fleetcast", "fleetcast, Prophet only", "Prophet, defaults"),
        *("last week", "mean of four weeks"),
    }
    assert rows["last week", 28]["relMAE"] == pytest.approx(1)
    assert rows["fleetcast", 7]["customers"] == 3
    asked = {row["method"]: row for row in report["sample"]["daily"] if row["steps"] == 7}
    assert asked["stock Prophet"]["customers"] == 3
    assert asked["fleetcast"]["relMAE"] == pytest.approx(rows["fleetcast", 7]["relMAE"])


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["train", "nowhere.csv", "--models", "m"], 2, "nowhere.csv does not exist"),
        (["train", "{empty}", "--models", "m"], 2, "holds no .csv, .csv.gz or .parquet file"),
        (["train", "{data}", "--models", "{file}"], 2, "is a file: name a folder for the models"),
        (["train", "{data}", "--models", "{empty}", "--run-id", "today"], 2, "--run-id must look like r20"),
        (["train", "{file}", "--models", "{empty}"], 1, "it needs the columns 'customer_id'"),
        (["train", "{data}", "--models", "{file}/x"], 2, "is a file: name a folder for the models"),
        (["predict", "--models", "{empty}", "--period", "3", "--output", "f.csv"], 2, "holds no model"),
        (
            ["predict", "--models", "nowhere", "--period", "3", "--output", "f.csv"],
            2,
            "nowhere does not exist",
        ),
        (
            ["predict", "--models", "{models}", "--period", "0", "--output", "f.csv"],
            2,
            "greater than or equal to 1",
        ),
        (
            ["predict", "--models", "{models}", "--period", "3", "--output", "f.csv", "--customer", "33"],
            2,
            "knows no customer '33': is it '3' or '13'",
        ),
        (["predict", "--models", "{models}", "--period", "3", "--output", "no/f.csv"], 2, "no is no folder"),
        (["explain", "{data}", "--customer", "33"], 2, "the data knows no customer '33': is it '3' or '13'"),
        (["explain", "--customer", "3"], 2, "name either DATA or --models"),
        (
            ["explain", "{data}", "--customer", "zzz"],
            2,
            "no customer 'zzz': there are, for example, '0', '1'",
        ),
        (["explain", "{data}", "--customer", "\udcff"], 2, "must be text without control characters"),
        (["backtest", "{data}", "--horizon", "8000"], 1, "long enough to hold 8,000 steps back"),
        (["backtest", "{data}", "--customer", "33"], 2, "the data knows no customer '33'"),
        (
            ["backtest", "{data}", "--families", "profit"],
            2,
            "there is no family profit; there are all, naive",
        ),
    ],
)
def test_what_cannot_be_done_is_one_sentence(  # noqa: PLR0917 - a table and the places that it names
    arguments: list[str], code: int, sentence: str, data: Path, models: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.csv").write_text("a,b\n1,2\n")
    places = {"data": data, "models": models, "empty": tmp_path / "empty", "file": tmp_path / "file.csv"}

    done = fleetcast(*(argument.format(**places) for argument in arguments))

    assert done.exit_code == code
    assert sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.output
    assert not list((tmp_path / "empty").rglob("*.tar.gz"))


@pytest.mark.parametrize(
    "command", [["train", "--models", "m"], ["backtest"], ["explain", "--customer", "3"]]
)
@pytest.mark.parametrize(
    ("families", "sentence"),
    [
        ("nope", "there is no family nope; there are all, naive"),
        ("a b", "there is no family a b"),
        ("all,no_such_module:family", "the family no_such_module:family cannot be loaded"),
    ],
)
def test_families_are_checked_before_any_work(command: list[str], families: str, sentence: str) -> None:
    done = fleetcast(*command, "nowhere.csv", "--families", families)

    assert done.exit_code == 2
    assert sentence in " ".join(done.stderr.split())


def test_a_wrong_time_zone_is_told_before_any_work(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETCAST_TIME_ZONE", "Europe/Berlyn")

    done = fleetcast("backtest", data)

    assert done.exit_code == 2
    assert "FLEETCAST_TIME_ZONE must be a zone" in done.stderr


def test_an_answer_without_a_single_forecast_replaces_nothing(tmp_path: Path) -> None:
    run, output = tmp_path / RUN_ID, tmp_path / "f.csv"
    run.mkdir()
    output.write_text("precious")
    for number in range(12):
        (run / f"{number}.tar.gz").write_bytes(b"nothing")

    done = fleetcast("predict", "--models", run, "--period", 3, "--output", output)
    too_far = fleetcast("predict", "--models", run, "--period", MAX_STEPS + 1, "--output", output)
    not_so_far = fleetcast("predict", "--models", run, "--period", MAX_STEPS, "--output", output)

    assert (done.exit_code, too_far.exit_code, not_so_far.exit_code) == (1, 2, 1)
    assert output.read_text() == "precious"
    assert done.stderr.count("is left out: ") == 10
    assert "10 of 12 that are left out shown" in done.stderr
    assert list(tmp_path.glob(".*")) == []


def test_an_output_that_cannot_be_is_typed_wrongly(models: Path, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    ask = ("predict", "--models", models, "--period", 2, "--output")

    into_folder, into_loop = fleetcast(*ask, tmp_path), fleetcast(*ask, tmp_path / "loop")

    assert (into_folder.exit_code, into_loop.exit_code) == (2, 2)
    assert "is a folder: --output names a file" in " ".join(into_folder.stderr.split())
    assert "is a link that leads nowhere" in " ".join(into_loop.stderr.split())


def test_a_model_under_the_name_of_another_customer_is_not_asked(models: Path, tmp_path: Path) -> None:
    """On a disk that ignores case, `A` finds the model of `a`."""
    run = tmp_path / RUN_ID
    run.mkdir()
    (run / "A.tar.gz").write_bytes((models / RUN_ID / "0.tar.gz").read_bytes())

    done = fleetcast(
        "predict", "--models", run, "--period", 2, "--output", tmp_path / "f.csv", "--customer", "A"
    )

    assert done.exit_code == 1
    assert "it is the model of another customer, '0'" in done.stderr


def test_a_finished_run_answers_before_one_that_is_not(models: Path, tmp_path: Path) -> None:
    finished, later = tmp_path / RUN_ID, tmp_path / "r20270131020000-0a1b2c"
    for run in (finished, later):
        run.mkdir()
        (run / "0.tar.gz").write_bytes((models / RUN_ID / "0.tar.gz").read_bytes())
    (finished / "ledger.parquet").touch()
    ask = ("predict", "--period", 2, "--output", tmp_path / "f.csv", "--models")

    around, directly = fleetcast(*ask, tmp_path), fleetcast(*ask, later)
    (finished / "ledger.parquet").unlink()
    only_unfinished = fleetcast(*ask, tmp_path)

    assert str(finished) in around.stdout.replace("\n", "")
    for done in (directly, only_unfinished):
        assert done.exit_code == 0
        assert "the run is not finished, and customers may be missing" in " ".join(done.stderr.split())
    assert "not finished" not in around.stderr


@pytest.mark.parametrize(("error", "explained"), [(0.87, True), (1.02, False)])
def test_a_candidate_that_looks_better_than_the_naive_that_serves_is_explained(
    error: float, *, explained: bool
) -> None:
    choice = Choice(
        customer_id="1",
        family="seasonal_naive",
        candidates=(Candidate("ar7", (error,), (False,)),),
        blocks=(28,),
        origins=26,
        members=(("naive",),),
        metrics=Metrics(1.0, 1.0, 26),
        coverage=(),
        repairs=Repairs(),
    )

    why = why_naive(26, choice)

    assert "In 26 backtests what had been chosen did not beat the seasonal naive" in why
    assert ("One that looks better in the table does so in hindsight" in why) == explained


def test_the_components_add_up_to_the_forecast(data: Path) -> None:
    told = answer("explain", data, "--customer", "3", "--horizon", 10)

    assert told["shares_of_trend"] == []
    whole = np.sum(list(told["components"].values()), axis=0)
    assert np.maximum(whole, 0) == pytest.approx([step["yhat"] for step in told["forecast"]])
    assert all(set(one) == {"steps", "share"} for one in told["coverage"])


def test_components_that_are_shares_of_the_trend_are_named(tmp_path: Path) -> None:
    days = np.arange(200)
    series = Series.from_arrays("m", days * 86_400, (50.0 + days) * (1 + 0.3 * np.sin(days * 2 * np.pi / 7)))
    model = fit(series, ProphetOptions(seasonality_mode="multiplicative")).model
    fitted = FittedModel(
        customer_id="m",
        run_id=RUN_ID,
        family="prophet",
        parameters=model,
        timeline=series.timeline,
        training_start=0,
        trained_at=0,
        horizon=28,
        metrics=Metrics(0.0, 0.0, 0),
        nonnegative=True,
    )
    (tmp_path / "m.tar.gz").write_bytes(pack(fitted))

    told = answer("explain", "--models", tmp_path, "--customer", "m", "--horizon", 10)
    for_people = fleetcast("explain", "--models", tmp_path, "--customer", "m", "--no-plot").stdout

    assert told["shares_of_trend"] == ["weekly"]
    parts = {name: np.array(values) for name, values in told["components"].items()}
    whole = parts["trend"] * (1 + parts["weekly"])
    assert whole == pytest.approx([step["yhat"] for step in told["forecast"]])
    assert "weekly, share of trend" in for_people
    assert "each share multiplied by the trend" in for_people


@pytest.mark.realdata
def test_real_customers_are_trained_and_beat_the_naive(real_data: Path, tmp_path: Path) -> None:
    files = sorted(real_data.glob("daily_*homes.csv.gz")) + sorted(real_data.glob("daily_households.csv.gz"))

    trained = answer("train", *files, "--models", tmp_path)
    judged = answer("backtest", *files, "--no-stock")

    assert trained["trained"] >= 0.9 * trained["customers"]
    ours = {row["steps"]: row for row in judged["tables"]["daily"] if row["method"] == "fleetcast"}
    assert np.all([ours[steps]["relMAE"] < 1 for steps in (7, 28)])
