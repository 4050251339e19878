"""The fleet that every stack serves: distinct customers of two years, trained by us and fitted by stock Prophet.

It is made once and kept; training is deterministic, so that every machine serves the same.
"""

import io
import shutil
import tarfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from benchmarks.engine.shapes import daily
from benchmarks.serving.places import FLEET, OURS, PROPHETS

from fleetcast_engine import FittedModel, TrainSettings, pack, train, warm_up
from fleetcast_engine.prophet.stock import import_prophet

CUSTOMERS, DAYS = 1000, 731
_SETTINGS = TrainSettings("r20260131020000-0a1b2c", 28, trained_at=1_769_824_800)
# A large fleet is these again and again; the others differ in name and time, so no two documents are the same.
_DIFFERENT = 200


def customers() -> list[str]:
    return [f"customer-{number:04}" for number in range(CUSTOMERS)]


def ensure_fleet() -> None:
    """Make what is not there yet: half a minute, once."""
    if (FLEET / "complete").exists():
        return
    shutil.rmtree(FLEET, ignore_errors=True)
    PROPHETS.mkdir(parents=True)
    warm_up()
    for number, customer in enumerate(customers()):
        _extract(pack(replace(train(daily(number, DAYS), _SETTINGS), customer_id=customer)), OURS / customer)
    with get_context("spawn").Pool() as pool:
        pool.starmap(_fit_stock, enumerate(customers()), chunksize=50)
    (FLEET / "complete").touch()


def write_many(folder: Path, count: int) -> Iterator[tuple[str, Path]]:
    """Write `count` distinct models, and return the name and the folder of each once it is there."""
    warm_up()
    different = [train(daily(number, DAYS), _SETTINGS) for number in range(_DIFFERENT)]
    for number in range(count):
        name = f"customer-{number:07}"
        _extract(pack(_named(different, name, number)), folder / name)
        yield name, folder / name / "model"


def _named(different: Sequence[FittedModel], name: str, number: int) -> FittedModel:
    model = different[number % len(different)]
    return replace(model, customer_id=name, trained_at=model.trained_at + number)


def _extract(artifact: bytes, folder: Path) -> None:
    """Lay a model out as the platform does: its archive extracted below `model`."""
    with tarfile.open(fileobj=io.BytesIO(artifact)) as archive:
        archive.extractall(folder / "model", filter="data")


def _fit_stock(number: int, customer: str) -> None:
    from prophet.serialize import model_to_json  # noqa: PLC0415 - a second that only these processes need

    prophet, data_frame = import_prophet()
    series = daily(number, DAYS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = data_frame({"ds": series.timestamps.astype("datetime64[s]"), "y": series.values})
        (PROPHETS / f"{customer}.json").write_text(model_to_json(prophet().fit(frame)))
