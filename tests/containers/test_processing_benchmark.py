"""The benchmark runs, and its published result is what the README may claim."""

import json
from pathlib import Path

from benchmarks.processing.run import measure
from benchmarks.record import RESULTS


def test_the_benchmark_measures_both_programs_on_the_same_rows(tmp_path: Path) -> None:
    figures = measure(tmp_path, customers=20, days=30, repeats=1)

    assert len(figures) == 4
    for case in figures.values():
        assert (case["rows"], case["objects written"]) == (600, 20)
        assert case["rows per second"] > 0
        assert case["peak MiB"] > 0


def test_the_published_result_keeps_ten_million_rows_below_a_gibibyte() -> None:
    figures = json.loads((RESULTS / "processing.json").read_text())["figures"]
    ours = [case for name, case in figures.items() if name.startswith("fleetcast")]

    assert {case["rows"] for case in ours} == {10_000_000}
    assert max(case["peak MiB"] for case in ours) < 1024
