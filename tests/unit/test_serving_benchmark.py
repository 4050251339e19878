"""What the serving benchmark publishes follows from what it measured, and a miss is shown as a miss."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from benchmarks.serving import aims
from benchmarks.serving.picture import draw, save_svg
from benchmarks.serving.places import PEERS
from benchmarks.serving.processes import Launch, ask, free_port, running
from benchmarks.serving.run import summarise
from benchmarks.serving.stacks import FLASK_NAME, MMS_NAME, OURS_NAME, STACKS


def turn(rate: float, p99: float = 5.0, errors: int = 0) -> dict[str, float]:
    return {
        f"{name}, {connections} connections": value
        for connections in ("64", "1,000")
        for name, value in {"req/s": rate, "p99 ms": p99, "errors": errors}.items()
    }


def test_the_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    """A busy moment slows both servers of a round down, and must not count for either."""
    rounds = [
        {OURS_NAME: turn(1000), MMS_NAME: turn(100)},
        {OURS_NAME: turn(500), MMS_NAME: turn(50, errors=2)},
        {OURS_NAME: turn(900), MMS_NAME: turn(30, errors=1)},
    ]

    figures = summarise(rounds)

    assert figures[MMS_NAME]["ours, times as fast"] == 10
    assert figures[MMS_NAME]["req/s, 64 connections"] == 50
    assert figures[MMS_NAME]["errors, 64 connections"] == 3
    assert "ours, times as fast" not in figures[OURS_NAME]


def published(folder: Path, monkeypatch: pytest.MonkeyPatch, **results: Any) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, figures in results.items():
        (folder / f"{name.replace('_', '-')}.json").write_text(json.dumps({"figures": figures}))
    monkeypatch.setattr(aims, "RESULTS", folder)
    monkeypatch.setattr(aims, "record", lambda _name, figures, _versions: kept.update(figures))
    aims.main()
    return kept


def test_what_was_not_measured_is_not_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = published(tmp_path, monkeypatch)

    assert {row["measured"] for row in shown.values()} == {"not measured"}
    assert {row["reached"] for row in shown.values()} == {""}


@pytest.mark.parametrize(("times", "p99", "verdict"), [(350, 9.9, "yes"), (349, 10.0, "no")])
def test_an_aim_is_reached_or_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: float, p99: float, verdict: str
) -> None:
    rounds = [{OURS_NAME: turn(times, p99), FLASK_NAME: turn(1.0, p99=9.95)}]

    shown = published(tmp_path, monkeypatch, serving=summarise(rounds))

    assert shown[f"times as fast as {FLASK_NAME}"]["reached"] == verdict
    assert shown["p99 at 64 connections, ms"]["reached"] == verdict
    assert shown["p99 at 64 connections, lowest of the others, ms"]["reached"] == verdict
    assert shown["req/s at 1,000 connections, share of its best"]["measured"] == 1


def test_how_far_was_tried_is_not_where_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = {"models": 100_000, "MiB": 900.0, "MiB after asking": 1100.0}
    ended = {"models": 130_000, "MiB": 600.0, "ended": "POST /models answered 507"}

    shown = published(
        tmp_path,
        monkeypatch,
        serving_memory={"the container's own budget": ended, "100,000 distinct": full},
    )

    assert shown["models within the container's own budget"]["measured"] == 130_000
    assert shown["models without a budget"]["measured"] == "more than 100,000"
    assert shown["100,000 distinct models, MiB"] == {
        "measured": 1100.0,
        "aim": "below 1,024",
        "reached": "no",
    }


def test_the_picture_has_a_bar_for_every_server(tmp_path: Path) -> None:
    figures = summarise([{stack.name: turn(100.0 + place) for place, stack in enumerate(STACKS)}])
    save_svg(figures, tmp_path / "picture.svg")

    texts = {
        text.text for text in ET.parse(tmp_path / "picture.svg").iter("{http://www.w3.org/2000/svg}text")
    }
    assert {stack.name for stack in STACKS} <= texts
    assert all(stack.name in draw(figures) for stack in STACKS)


def test_peers_are_locked_with_hashes() -> None:
    locks = sorted(PEERS.glob("*/requirements.txt"))

    assert {lock.parent.name for lock in locks} == {"flask_prophet", "multi_model_server", "mlserver"}
    for lock in locks:
        text = lock.read_text()
        required = [line for line in text.splitlines() if line and not line.startswith(" ")]
        assert [line for line in required if not re.match(r"[A-Za-z0-9._\[\],-]+==\S+.*\\$", line)] == []
        assert text.count("--hash=sha256:") >= len(required)


def test_a_server_is_waited_for_weighed_and_ended(tmp_path: Path) -> None:
    port = free_port()
    command = ["python3", "-m", "http.server", "--bind", "127.0.0.1", str(port)]

    with running(Launch(command, {}, tmp_path, "/"), port) as server:
        assert b"server.log" in ask(server.url)
        assert server.mebibytes > 1
        assert server.processor_seconds > 0

    with pytest.raises(OSError, match="refused"):
        ask(server.url)


def test_a_server_that_cannot_start_says_what_its_log_says(tmp_path: Path) -> None:
    launch = Launch(["python3", "-c", "raise SystemExit('no such fleet')"], {}, tmp_path, "/")

    with pytest.raises(SystemExit, match="no such fleet"), running(launch, free_port()):
        pass
