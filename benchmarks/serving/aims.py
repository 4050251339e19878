"""What was aimed at, what was measured, and whether that is enough; a miss is shown as a miss."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.record import RESULTS, record
from benchmarks.serving.stacks import (
    FLASK_NAME,
    MLSERVER_NAME,
    MLSERVER_PARALLEL_NAME,
    MMS_BATCHES_NAME,
    MMS_NAME,
    OURS_NAME,
)

_RATE, _RATE_MANY = "req/s, 64 connections", "req/s, 1,000 connections"
_TAIL, _ERRORS, _ERRORS_MANY = (
    "p99 ms, 64 connections",
    "errors, 64 connections",
    "errors, 1,000 connections",
)
_RATIO = "ours, times as fast"
# A container's memory moves by so much without growing.
_LEVEL_MIB = 10.0

Figures = Mapping[str, Mapping[str, Any]]
Row = dict[str, Any]


def main() -> None:
    figures = {**_speed(_read("serving")), **_rest()}
    widest = max(map(len, figures))
    for name, row in figures.items():
        print(f"{name:<{widest}}  {row['measured']!s:>12}  {row['aim']:<24}  {row['reached']}")
    record("serving-aims", figures, {})


def _rest() -> dict[str, Row]:
    return {
        **_memory(_read("serving-memory")),
        **_loading(_read("serving-loading")),
        **_soak(_read("serving-soak")),
    }


def _read(scenario: str) -> Figures:
    """Return the latest figures, none where the scenario was never measured."""
    path = RESULTS / f"{scenario}.json"
    found: Figures = json.loads(path.read_text())["figures"] if path.exists() else {}
    return found


def _speed(found: Figures) -> dict[str, Row]:
    ours = found.get(OURS_NAME, {})
    peers = {name: row for name, row in found.items() if name != OURS_NAME}
    lowest = min((row[_TAIL] for row in peers.values()), default=None)
    many, few = ours.get(_RATE_MANY), ours.get(_RATE)
    share = round(many / max(many, few), 2) if many and few else None
    errors = ours[_ERRORS] + ours[_ERRORS_MANY] if ours else None
    return {
        **{
            f"times as fast as {name}": _row(peers.get(name, {}).get(_RATIO), *aim)
            for name, aim in (
                (FLASK_NAME, _at_least(350)),
                (MMS_NAME, _at_least(6)),
                (MMS_BATCHES_NAME, _none()),
                (MLSERVER_NAME, _at_least(12)),
                (MLSERVER_PARALLEL_NAME, _at_least(12)),
            )
        },
        "p99 at 64 connections, ms": _row(ours.get(_TAIL), *_below(10)),
        "p99 at 64 connections, lowest of the others, ms": _row(
            lowest, "not below ours", lambda peer: bool(ours) and peer >= ours[_TAIL]
        ),
        "errors": _row(errors, *_at_most(0)),
        "req/s at 1,000 connections, share of its best": _row(share, *_at_least(0.8)),
    }


def _memory(found: Figures) -> dict[str, Row]:
    full, asked = found.get("100,000 distinct", {}), "MiB after asking"
    held = max(full["MiB"], full.get(asked, 0)) if full else None
    own = found.get("the container's own budget", {})
    last = list(found.values())[-1] if found else {}
    return {
        "100,000 distinct models, MiB": _row(held, *_below(1024)),
        "models within the container's own budget": _row(_how_many(own), *_none()),
        "models without a budget": _row(_how_many(last), *_none()),
        "MiB of all of them": _row(last.get("MiB"), *_none()),
    }


def _how_many(row: Mapping[str, Any]) -> float | str | None:
    """Return where it ended, or how far was tried."""
    models: int | None = row.get("models")
    return models if models is None or row.get("ended") else f"more than {models:,}"


def _loading(found: Figures) -> dict[str, Row]:
    load = found.get("POST /models", {})
    return {
        "load of one model as its caller sees it, p50 ms": _row(load.get("p50 ms"), *_below(1)),
        "load of one model as its caller sees it, p99 ms": _row(load.get("p99 ms"), *_none()),
    }


def _soak(found: Figures) -> dict[str, Row]:
    rows = list(found.values())
    last: Mapping[str, Any] = rows[-1] if rows else {}
    return {
        "soak, requests": _row(last.get("requests"), *_at_least(10_000_000)),
        "soak, errors": _row(last.get("errors"), *_at_most(0)),
        "soak, MiB more at its end than warm": _row(last.get("MiB more than warm"), *_at_most(_LEVEL_MIB)),
    }


Aim = tuple[str, Callable[[float], bool] | None]


def _row(measured: float | str | None, aim: str, is_reached: Callable[[float], bool] | None) -> Row:
    if measured is None:
        return {"measured": "not measured", "aim": aim, "reached": ""}
    verdict = ""
    if is_reached is not None and not isinstance(measured, str):
        verdict = "yes" if is_reached(measured) else "no"
    return {"measured": measured, "aim": aim, "reached": verdict}


def _at_least(least: float) -> Aim:
    return f"at least {least:,}", lambda measured: measured >= least


def _at_most(most: float) -> Aim:
    return f"at most {most:,}", lambda measured: measured <= most


def _below(limit: float) -> Aim:
    return f"below {limit:,}", lambda measured: measured < limit


def _none() -> Aim:
    return "none", None


if __name__ == "__main__":
    main()
