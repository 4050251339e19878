"""Imports point inward, and importing has no effect."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.static.stack import ROOT

HANDLERS = sorted((ROOT / "functions").glob("*/handler.py"))
OWN = ("fleetcast", "fleetcast_engine", "fleetcast_processing", "fleetcast_training", "fleetcast_serving")
LAYERS = {
    "src/fleetcast/domain": {"fleetcast.domain", "fleetcast.errors"},
    "src/fleetcast/adapters": {
        "fleetcast.domain",
        "fleetcast.adapters",
        "fleetcast.errors",
        *("boto3", "botocore"),
    },
    "containers/engine": {"fleetcast_engine"},
    "containers/processing": {"fleetcast_processing", "fleetcast.domain", "fleetcast.errors"},
    "containers/training": {"fleetcast_training", "fleetcast_engine", "fleetcast.domain", "fleetcast.errors"},
    "containers/serving": {"fleetcast_serving", "fleetcast_engine", "fleetcast.domain", "fleetcast.errors"},
}
# What else a layer may use; everything not named here and not in the standard library is a finding.
LIBRARIES = {
    "src/fleetcast/domain": set[str](),
    "src/fleetcast/adapters": {"pyarrow", "aws_lambda_powertools"},
    "containers/engine": {"numpy", "numba", "llvmlite", "pandas", "prophet", "cmdstanpy"},
    "containers/processing": {"numpy", "pyarrow"},
    "containers/training": {"numpy", "pyarrow", "prophet"},
    "containers/serving": {"numpy", "orjson", "uvicorn", "uvloop", "httptools"},
}
# The one adapter that containers share: it knows a folder, and no AWS.
SHARED = "fleetcast.adapters.opt_ml"


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module or ""


def _allowed(layer: str, module: str) -> bool:
    if module == SHARED and layer.startswith("containers/") and layer != "containers/engine":
        return True
    if any(module == inner or module.startswith(f"{inner}.") for inner in LAYERS[layer]):
        return True
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names or top in LIBRARIES[layer]


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_what_lies_inward(layer: str) -> None:
    found = sorted((ROOT / layer).rglob("*.py"))
    assert found
    outward = [
        f"{path.relative_to(ROOT)}: {m}" for path in found for m in imports(path) if not _allowed(layer, m)
    ]
    assert outward == []


# What each part of the serving container may know of the others; `processes` and `__main__` put them together.
SERVING = {
    "http": {"http", "metrics", "errors"},
    "registry": {"registry", "errors"},
    "repository": {"repository", "errors"},
    "forecasts": {"forecasts", "repository", "errors"},
    "metrics": {"metrics"},
}


@pytest.mark.parametrize("part", SERVING)
def test_the_parts_of_the_serving_container_do_not_know_each_other(part: str) -> None:
    found = sorted((ROOT / "containers/serving/fleetcast_serving" / part).glob("*.py"))
    assert found
    known = {
        f"{path.name}: {module}"
        for path in found
        for module in imports(path)
        if module.startswith("fleetcast_serving.") and module.split(".")[1] not in SERVING[part]
    }
    assert known == set()


def test_no_handler_imports_another() -> None:
    for path in HANDLERS:
        assert not any(module.startswith(("functions", "handler")) for module in imports(path)), path


def test_handlers_reach_aws_through_adapters_only() -> None:
    for path in HANDLERS:
        assert not {m for m in imports(path) if m.split(".")[0] in ("boto3", "botocore", "urllib")}, path


def test_the_local_cloud_knows_nothing_of_the_product() -> None:
    """It would run another one as well."""
    for path in sorted((ROOT / "local").rglob("*.py")):
        assert not {m for m in imports(path) if m.split(".")[0] in OWN}, path


def test_the_product_knows_nothing_of_the_local_cloud() -> None:
    for folder in ("src", "functions", "containers"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            assert not {m for m in imports(path) if m.startswith("fleetcast_local")}, path


_IMPORT = """
import importlib.util, json, socket, sys
import boto3

def refuse(*_, **__):
    raise AssertionError("importing a handler reached for AWS")

boto3.client = boto3.resource = boto3.Session = refuse
socket.socket.connect = refuse
spec = importlib.util.spec_from_file_location("handler", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
assert callable(module.lambda_handler)
print(json.dumps(sorted(sys.modules)))
"""


@pytest.mark.parametrize("path", HANDLERS, ids=lambda path: path.parent.name)
def test_importing_a_handler_needs_no_aws_and_no_environment(path: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT, str(path)],
        env={"HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    # A cold start pays for every import.
    assert not {"pyarrow", "numpy", "pandas"} & set(json.loads(done.stdout))
    assert list(tmp_path.iterdir()) == []


def test_only_first_use_reads_the_environment() -> None:
    """`os.environ` at the top of a module makes importing depend on the machine."""
    for path in sorted([*HANDLERS, *(ROOT / "src").rglob("*.py")]):
        for node in ast.parse(path.read_text()).body:
            lazy = isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Expr)) or any(
                isinstance(part, ast.Lambda) for part in ast.walk(node)
            )
            assert lazy or "environ" not in ast.dump(node), f"{path.relative_to(ROOT)}:{node.lineno}"
