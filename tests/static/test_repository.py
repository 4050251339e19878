"""Rules that every file of the repository keeps."""

import ast
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest
from tests.static.stack import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
LONGEST_MODULE = 400
# Joined at run time, or this file would be the first finding.
REGISTRIES = [
    "." + "pypi" + ".org",
    "pypi" + ".org",
    "files.python" + "hosted",
    "registry." + "npmjs",
    "npmjs" + ".org",
]
# Folders of the machines that this was written on; what a test makes up is not one.
MACHINE_PATHS = re.compile(r"(?<![\w.])/" + r"(?:work|root|home/[a-z]+|Users/[A-Za-z]+)" + r"/[\w.]")


@cache
def _files() -> tuple[Path, ...]:
    """Everything that is committed, or would be."""
    arguments = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(
        arguments, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    return tuple(path for name in listed.splitlines() if (path := ROOT / name).is_file())


@cache
def _texts() -> dict[Path, str]:
    texts = {}
    for path in _files():
        try:
            texts[path] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return texts


def _modules() -> list[Path]:
    return [
        path
        for path in _files()
        if path.suffix == ".py" or _texts().get(path, "").startswith("#!/usr/bin/env python")
    ]


def test_no_module_is_longer_than_a_person_reads() -> None:
    long = {
        str(p.relative_to(ROOT)): n
        for p in _modules()
        if (n := len(_texts()[p].splitlines())) > LONGEST_MODULE
    }
    assert long == {}


def test_nearly_every_function_fits_on_a_screen() -> None:
    lengths = [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for path in _modules()
        if "tests" not in path.relative_to(ROOT).parts
        for node in ast.walk(ast.parse(_texts()[path]))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    assert sum(length <= 30 for length in lengths) / len(lengths) > 0.9


def test_no_file_names_a_package_registry() -> None:
    """Which mirror a machine uses is that machine's business."""
    found = [
        str(p.relative_to(ROOT)) for p, text in _texts().items() if any(host in text for host in REGISTRIES)
    ]
    assert found == []


def test_no_file_names_a_folder_of_the_machine_it_was_written_on() -> None:
    found = [
        f"{p.relative_to(ROOT)}: {m[0]}" for p, text in _texts().items() for m in MACHINE_PATHS.finditer(text)
    ]
    assert found == []


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
    sources = {path: _texts()[path] for path in _modules()}
    assert [
        f"{p.relative_to(ROOT)}: {m[0]}" for p, text in sources.items() for m in marks.finditer(text)
    ] == []


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    """A test that does not run rots. A marker may deselect what a machine cannot do, and says so in its name."""
    marks = re.compile(r"pytest\.(?:mark\.)?(?:skip|xfail|importor" + r"skip)\w*\(")
    for path in (ROOT / "tests").rglob("test_*.py"):
        assert not marks.search(path.read_text()), path


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_every_requirement_is_locked_with_hashes(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith((" ", "#"))]
    assert lines
    assert [line for line in lines if not re.match(r"[A-Za-z0-9._\[\],-]+==\S+.*\\$", line)] == []
    assert path.read_text().count("--hash=sha256:") >= len(lines)
    assert "index-url" not in path.read_text()


def test_every_dependency_group_has_its_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    installed_alone = project["dependency-groups"].keys() - {"local", "cli"}  # part of dev
    assert {path.stem for path in LOCKS} == installed_alone


def test_every_package_is_installed() -> None:
    """A package missing from the list works from a checkout and from nowhere else."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = set(project["tool"]["setuptools"]["packages"])
    folders = [ROOT / folder for folder in project["tool"]["setuptools"]["package-dir"].values()]
    packages = {
        ".".join(path.parent.relative_to(folder.parent).parts)
        for folder in folders
        for path in folder.rglob("__init__.py")
    }
    assert declared == packages


def test_changelog_and_project_agree_on_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert newest[1] == version


def test_every_link_between_documents_leads_somewhere() -> None:
    for path, text in _texts().items():
        if path.suffix == ".md":
            for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
                assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} -> {target}"


def test_make_has_few_verbs_and_explains_each() -> None:
    makefile = (ROOT / "Makefile").read_text()
    verbs = re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)
    assert len(verbs) == len(set(verbs)) <= 13, "twelve, and help"


def test_buildspecs_only_call_make() -> None:
    for path in (ROOT / "buildspecs").glob("*.yml"):
        commands = re.findall(r"^\s+- (.+)$", path.read_text(), re.MULTILINE)
        assert commands == [f"make image-{path.stem}"]
