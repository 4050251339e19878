"""What a finished model costs, next to stock Prophet: to load, to ask for a week, to store and to keep in memory.

All models are really trained, and compared with the Prophet that stock fits to the same series.
"""

import argparse
import gc
import io
import tarfile
import time
import tracemalloc
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.engine.shapes import DAY, daily, half_hourly, hourly
from benchmarks.record import record, versions_of

from fleetcast_engine import (
    FittedModel,
    LoadedModel,
    Series,
    TrainSettings,
    forecast,
    load,
    pack,
    train,
    unpack,
    warm_up,
)
from fleetcast_engine.choice.mix import MixModel
from fleetcast_engine.prophet.model import ProphetModel
from fleetcast_engine.prophet.stock import import_prophet

FLEET = 1000
# Enough different ones to fill the fleet with; the others differ in name and time.
DIFFERENT = 20
ENDS = 200
WEEK = 7 * DAY


def _two_years(seed: int) -> Series:
    return daily(seed, 731)


# Case: series, steps that the model is tuned for, families to choose from.
CASES: dict[str, tuple[Callable[[int], Series], int, str]] = {
    "Prophet, 731 days, with a yearly season": (_two_years, 28, "prophet"),
    "mix, 731 days, a path of 28": (_two_years, 28, "all"),
    "mix, 8,760 hours, a path of 168": (hourly, 168, "all"),
    "mix, 8,760 half hours, a path of 336": (half_hourly, 336, "all"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=41)
    arguments = parser.parse_args()
    warm_up()
    figures = {name: measure(*case, arguments.rounds) for name, case in CASES.items()}
    record("engine-answers", figures, versions_of("prophet", "numpy"))


def measure(make: Callable[[int], Series], horizon: int, families: str, rounds: int) -> dict[str, float]:
    artifacts = [pack(model) for model in _fleet(make, horizon, families)]
    together, apart = _loaded(artifacts[0], FLEET), [unpack(artifact) for artifact in artifacts]
    steps = WEEK // apart[0].model.timeline.seconds
    stock, following = Stock(make(0), steps), cycle(artifacts)
    times: dict[str, list[float]] = {}
    with TemporaryDirectory() as folder:
        _extract(artifacts[0], folder)
        for _ in range(
            rounds
        ):  # many short ones, interleaved, so that a busy machine is unfair to few, and to all
            for name, task, count in (
                ("stock load", stock.load, 1),
                ("stock answer", stock.answer, 1),
                ("unpack", lambda: unpack(next(following)), 500),
                ("load", lambda: load(Path(folder)), 300),
                ("pack", lambda: pack(apart[0].model), 100),
                ("shared", _asking(together, steps), 300),
                ("apart", _asking(apart, steps), FLEET),
            ):
                times.setdefault(name, []).append(_microseconds(task, count))
    ours = {name: median(values) for name, values in times.items()}
    return {
        "load: stock, CPU µs": round(ours["stock load"]),
        "ours from tar.gz": round(ours["unpack"], 1),
        "ours from its folder": round(ours["load"], 1),
        "7 days with interval: stock, µs": round(ours["stock answer"]),
        "ours, own timestamps": round(ours["apart"], 1),
        "ours, shared timestamps": round(ours["shared"], 1),
        "tar.gz: stock, bytes": stock.size(),
        "ours": round(sum(map(len, artifacts)) / len(artifacts)),
        "ours, µs to pack": round(ours["pack"], 1),
        "memory: stock, bytes": round(_memory(stock.load, 8)),
        "ours, loaded and asked": round(_memory_of_fleet(artifacts, steps)),
        "ours, as it says": round(sum(loaded.size for loaded in apart) / len(apart)),
        "times as fast: load": _ratio(times, "stock load", "unpack"),
        "answer": _ratio(times, "stock answer", "apart"),
        "answer, shared": _ratio(times, "stock answer", "shared"),
    }


class Stock:
    """Stock Prophet's model of a series, as a team would store and ask it."""

    def __init__(self, series: Series, steps: int) -> None:
        prophet, data_frame = import_prophet()
        from prophet.serialize import model_from_json, model_to_json  # noqa: PLC0415 - takes a second

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = {"ds": series.timestamps.astype("datetime64[s]"), "y": series.values}
            self._text = model_to_json(prophet().fit(data_frame(frame)))
        self._read = model_from_json
        self._future = data_frame({"ds": series.timeline.future(steps).astype("datetime64[s]")})
        self._model = self.load()

    def load(self) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._read(self._text)

    def answer(self) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._model.predict(self._future)

    def size(self) -> int:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            info = tarfile.TarInfo("model.json")
            info.size = len(self._text)
            archive.addfile(info, io.BytesIO(self._text.encode()))
        return len(buffer.getvalue())


def _fleet(make: Callable[[int], Series], horizon: int, families: str) -> list[FittedModel]:
    """Return models of different numbers and names, whose data end on more days than caches remember."""
    settings = TrainSettings("r20260131020000-0a1b2c", horizon, trained_at=1_769_824_800, families=families)
    different = [train(make(seed), settings) for seed in range(DIFFERENT)]
    return [_later(different[number % DIFFERENT], number) for number in range(FLEET)]


def _later(model: FittedModel, number: int) -> FittedModel:
    seconds = DAY * (number % ENDS)
    timeline = replace(model.timeline, end=model.timeline.end + seconds)
    parameters: Any = model.parameters
    if isinstance(parameters, MixModel):
        parameters = replace(parameters, long_run=_moved(parameters.tail, seconds))
    return replace(
        model,
        customer_id=f"meter-{number:05}",
        parameters=_moved(parameters, seconds),
        timeline=timeline,
        training_start=model.training_start + seconds,
    )


def _moved(parameters: Any, seconds: int) -> Any:
    if not isinstance(parameters, ProphetModel):
        return parameters
    return replace(
        parameters, start=parameters.start + seconds, changepoints=parameters.changepoints + seconds
    )


def _loaded(artifact: bytes, count: int) -> list[LoadedModel]:
    return [unpack(artifact) for _ in range(count)]


def _asking(models: Sequence[LoadedModel], steps: int) -> Callable[[], object]:
    """Return a task that asks the next model at every call: one by one, as customers do."""
    position = -1

    def ask() -> object:
        nonlocal position
        position = (position + 1) % len(models)
        return forecast(models[position], steps)

    return ask


def _microseconds(task: Callable[[], object], count: int) -> float:
    """Return microseconds of the processor's time: nothing here waits, and other programs do not count."""
    task()
    began = time.process_time()
    for _ in range(count):
        task()
    return (time.process_time() - began) / count * 1e6


def _ratio(times: dict[str, list[float]], slow: str, fast: str) -> int:
    return round(median(a / b for a, b in zip(times[slow], times[fast], strict=True)))


def _memory(make: Callable[[], object], count: int) -> float:
    """Return bytes of each; what they share is full after as many, and is not counted."""
    gc.collect()
    tracemalloc.start()
    for _ in range(count):
        make()
    before, _ = tracemalloc.get_traced_memory()
    kept = [make() for _ in range(count)]
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / len(kept)


def _memory_of_fleet(artifacts: Sequence[bytes], steps: int) -> float:
    following = cycle(artifacts)

    def answered() -> LoadedModel:
        loaded = unpack(next(following))
        forecast(loaded, steps)
        return loaded

    return _memory(answered, len(artifacts))


def _extract(artifact: bytes, folder: str) -> None:
    with tarfile.open(fileobj=io.BytesIO(artifact), mode="r:gz") as archive:
        archive.extractall(folder, filter="data")


if __name__ == "__main__":
    main()
