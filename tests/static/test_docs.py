"""Reference tables are what the code says."""

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.static.stack import ROOT, load

from fleetcast.domain.parameters import PARAMETERS


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what the generator reads, to change at will."""
    for name in ("docs", "statemachine"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "template.yaml", tmp_path)
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    (tmp_path / "README.md").write_text("# Fleetcast\n")
    for path in (tmp_path / "docs").rglob("*.md"):
        path.write_text(path.read_text().replace("<!-- table: ", "<!-- no table: "))
    return tmp_path


def generate(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(project / "docs" / "generate.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_what_the_code_says() -> None:
    done = generate(ROOT, "--check")
    assert done.returncode == 0, done.stderr


def test_a_stale_table_is_noticed_and_made_anew(project: Path) -> None:
    template = project / "template.yaml"
    template.write_text(template.read_text().replace("Default: prod", "Default: dev"))

    stale = generate(project, "--check")
    assert stale.returncode == 1
    assert "docs/parameters.md" in stale.stderr
    assert "Traceback" not in stale.stderr

    assert generate(project).returncode == 0
    assert generate(project, "--check").returncode == 0


def test_a_benchmark_fills_its_block_and_nothing_else(project: Path) -> None:
    result = {
        "date": "2026-01-31",
        "commit": "abc",
        "machine": "2 cores",
        "versions": {},
        "figures": {"one file": {"rows/s": 1234567, "peer": "pandas"}},
    }
    (project / "benchmarks" / "results" / "processing.json").write_text(json.dumps(result))
    readme = project / "README.md"
    readme.write_text("before\n<!-- table: processing -->\nold\n<!-- end of table -->\nafter\n")

    assert generate(project).returncode == 0

    assert "| one file | 1,234,567 | pandas |" in readme.read_text()
    assert "old" not in readme.read_text()
    assert readme.read_text().startswith("before\n")
    assert readme.read_text().endswith("\nafter\n")


def test_a_table_without_a_result_is_an_error_in_one_sentence(project: Path) -> None:
    (project / "README.md").write_text("<!-- table: nothing -->\n<!-- end of table -->\n")

    done = generate(project)

    assert done.returncode == 1
    assert "benchmarks/results/nothing.json does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_setting_and_every_template_parameter_has_its_row() -> None:
    page = generator().parameters_page()
    for name in (*(parameter.name for parameter in PARAMETERS), *load()["Parameters"]):
        assert f"\n| `{name}` |" in page, name


def test_every_table_has_as_many_cells_in_each_row() -> None:
    """A bar in a pattern would end its cell."""
    lines = [line.replace("\\|", "") for line in generator().parameters_page().splitlines()]
    blocks = "\n".join(lines).split("\n\n")
    tables = [block for block in blocks if block.startswith("|")]
    assert tables
    for rows in tables:
        assert len({line.count("|") for line in rows.splitlines()}) == 1


def test_every_status_of_a_customer_is_explained_to_operators() -> None:
    """A row's status is the first thing that somebody looks up."""
    ledger = ast.parse((ROOT / "containers/training/fleetcast_training/ledger.py").read_text())
    statuses = {
        node.value.value
        for node in ledger.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value != ""
    }
    table = (ROOT / "docs" / "operating.md").read_text()

    assert "out_of_memory" in statuses
    assert [status for status in statuses if f"| `{status}` |" not in table] == []
