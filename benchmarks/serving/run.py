"""Every server with the same fleet on the same machine, asked by the same generator in turns: a forecast of 7 days.

Each turn starts a server anew, sees that its answers are right, warms it up and then counts, at 64 connections and at
1,000. Turns of all servers follow one another, and medians of the rounds are kept, so that a busy moment of the machine
is unfair to one turn and not to one server.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.record import RESULTS, record, versions_of
from benchmarks.serving.fleet import customers, ensure_fleet
from benchmarks.serving.generator import Load, run_load, version_of_wrk, write_requests
from benchmarks.serving.install import ensure_installed, has_java
from benchmarks.serving.picture import draw, save_svg
from benchmarks.serving.stacks import OURS_NAME, STACKS, Stack, serving

FEW, MANY = 64, 1000

Turn = Mapping[str, float]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement")
    parser.add_argument("--only", action="append", choices=[stack.name for stack in STACKS])
    parser.add_argument("--dry", action="store_true", help="show the figures and keep nothing")
    given = parser.parse_args(arguments)
    ensure_installed()
    ensure_fleet()
    stacks = [stack for stack in _startable() if not given.only or stack.name in given.only]
    rounds = [_round(number, stacks, given.seconds) for number in range(given.rounds)]
    figures = summarise(rounds)
    print(draw(figures))
    if not given.dry:
        # How much was measured belongs to what was measured.
        extent = {"rounds": str(given.rounds), "seconds each": str(given.seconds)}
        record("serving", figures, {**versions_of("uvicorn", "numpy"), "wrk": version_of_wrk(), **extent})
        save_svg(figures, RESULTS / "serving.svg")


def _startable() -> list[Stack]:
    if has_java():
        return list(STACKS)
    print("there is no java: multi-model-server is left out", file=sys.stderr)
    return [stack for stack in STACKS if "multi-model-server" not in stack.name]


def _round(number: int, stacks: Sequence[Stack], seconds: int) -> dict[str, Turn]:
    turns = {}
    for stack in stacks:
        turns[stack.name] = turn = _turn(stack, seconds)
        shown = ", ".join(f"{name} {value:,.1f}" for name, value in turn.items())
        print(f"round {number + 1}: {stack.name}: {shown}", file=sys.stderr, flush=True)
    return turns


def _turn(stack: Stack, seconds: int) -> Turn:
    with TemporaryDirectory() as scratch, serving(stack) as server:
        requests = write_requests(Path(scratch) / "requests", [stack.line(name) for name in customers()])
        run_load(server.url, requests, FEW, stack.warm)
        few = run_load(server.url, requests, FEW, seconds)
        memory = server.mebibytes
        many = run_load(server.url, requests, MANY, seconds)
    return {**_measures(few, FEW), **_measures(many, MANY), "MiB": memory}


def _measures(load: Load, connections: int) -> dict[str, float]:
    named = {
        "req/s": load.rate,
        "p50 ms": load.p50,
        "p99 ms": load.p99,
        "max ms": load.longest,
        "errors": load.errors,
    }
    return {f"{name}, {connections:,} connections": value for name, value in named.items()}


def summarise(rounds: Sequence[Mapping[str, Turn]]) -> dict[str, dict[str, Any]]:
    """Return the medians of the rounds, the sum of the errors, and how many times as fast ours was."""
    figures: dict[str, dict[str, Any]] = {}
    for name in rounds[0]:
        turns = [one[name] for one in rounds]
        figures[name] = {
            measure: sum(turn[measure] for turn in turns)
            if measure.startswith("errors")
            else _rounded(median(turn[measure] for turn in turns))
            for measure in turns[0]
        }
        if OURS_NAME in rounds[0] and name != OURS_NAME:
            figures[name]["ours, times as fast"] = _rounded(median(_ratio(one, name) for one in rounds))
    return figures


def _ratio(one: Mapping[str, Turn], name: str) -> float:
    measure = f"req/s, {FEW} connections"
    return one[OURS_NAME][measure] / one[name][measure]


def _rounded(value: float) -> float:
    return round(value) if value >= 100 else round(value, 2 if value < 10 else 1)


if __name__ == "__main__":
    main()
