"""The benchmark runs, and its published table is the one that its result makes."""

import json
from pathlib import Path

from benchmarks.processing.run import measure
from benchmarks.record import RESULTS, ROOT, with_table


def test_the_benchmark_measures_both_programs_on_the_same_rows(tmp_path: Path) -> None:
    figures = measure(tmp_path, customers=20, days=30, repeats=1)

    assert len(figures) == 4
    for case in figures.values():
        assert (case["rows"], case["objects written"]) == (600, 20)
        assert case["rows per second"] > 0
        assert case["peak MiB"] > 0


def test_the_published_table_is_made_from_the_result() -> None:
    result = json.loads((RESULTS / "processing.json").read_text())
    readme = (ROOT / "benchmarks/processing/README.md").read_text()

    assert with_table(readme, result) == readme
    assert (
        max(case["peak MiB"] for name, case in result["figures"].items() if name.startswith("fleetcast"))
        < 1024
    )
