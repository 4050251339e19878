"""Each image has what its programs import: jobs of the local cloud run with all of this project's libraries."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers.image_build.settings import TARGETS, Target
from tests.static.stack import ROOT

OURS = {"fleetcast", "fleetcast_engine", "fleetcast_processing", "fleetcast_serving", "fleetcast_training"}
FITTING = {"prophet/stock.py", "prophet/kernel/compiled.py"}
# What the containers use of src/fleetcast: the rest of it is for functions.
SHARED = (
    "errors.py",
    "domain/forecasts.py",
    "domain/media_types.py",
    "domain/names.py",
    "domain/pointers.py",
    "adapters/opt_ml.py",
)


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def locked(target: Target) -> set[str]:
    lines = (ROOT / target.requirements).read_text().splitlines()
    return {line.partition("==")[0].lower().replace("-", "_") for line in lines if "==" in line}


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_an_image_has_every_library_that_its_programs_import(target: Target) -> None:
    folders = [ROOT / "containers" / package for package in target.packages]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    # Fitting comes with the engine, but serving imports nothing of it.
    files = [
        path for path in files if target.name != "serving" or not path.as_posix().endswith(tuple(FITTING))
    ]
    files += [ROOT / "src" / "fleetcast" / name for name in SHARED]

    foreign = {name for path in files for name in imported(path)} - OURS - sys.stdlib_module_names

    assert files
    assert foreign <= locked(target)


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_an_image_uses_only_the_shared_part_of_fleetcast(target: Target) -> None:
    shared = {f"fleetcast.{name.removesuffix('.py').replace('/', '.')}" for name in SHARED}
    for package in target.packages:
        for path in (ROOT / "containers" / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fleetcast."):
                    assert node.module in shared, f"{path.name} imports {node.module}"
