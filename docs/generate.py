#!/usr/bin/env python3
"""Write the reference tables from the code, the template and the benchmark results; `--check` only compares.

`docs/parameters.md` is written whole. In every other document a block between `<!-- table: NAME -->` and
`<!-- end of table -->` is made anew: NAME is a benchmark with a file in `benchmarks/results/`.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from fleetcast.domain.parameters import PARAMETERS, Parameter

ROOT = Path(__file__).resolve().parent.parent
_BLOCK = re.compile(r"<!-- table: ([\w-]+) -->\n.*?<!-- end of table -->", re.DOTALL)
_GROUPS = {
    "data": "Raw data and its preparation.",
    "training": "A change below `training/` starts a run.",
    "gate": "What a run must reach before its models are released.",
    "serving": "The endpoint and its autoscaling.",
    "schedule": "A change below `schedule/` changes the schedule at once.",
}
_INTRODUCTION = """\
# Parameters

Made by `make docs` from `src/fleetcast/domain/parameters.py`, `template.yaml` and `statemachine/`: do not edit.

## Settings of a stack

They live in the SSM Parameter Store under `/fleetcast/<stack>/<name>` and can be changed without a deployment; a change
takes effect with the next run. A value out of bounds fails that run in its first state with a sentence that names it.
A deployment sets a parameter again only where the template's own value changed.
"""
_INPUT = """\
## Input of an execution

Whoever starts `<stack>-retrain` by hand may give any JSON object. `reason` is quoted in emails and in the run table;
everything else is ignored. Events of S3, of the Parameter Store and of the schedule are recognised by their `source`.

```json
{"reason": "new tariff zones"}
```
"""


def parameters_page() -> str:
    parts = [_INTRODUCTION]
    for group, sentence in _GROUPS.items():
        rows = [_setting(p) for p in PARAMETERS if p.name.startswith(f"{group}/")]
        parts.append(
            f"### {group}/\n\n{sentence}\n\n{table(('name', 'default', 'unit', 'allowed', 'meaning'), rows)}"
        )
    parts.append(f"## Parameters of the template\n\n{_template_table()}")
    parts.append(f"{_INPUT}\n## What a state is told\n\n{_state_table()}")
    return "\n".join(parts)


def _setting(parameter: Parameter) -> tuple[str, ...]:
    default = (
        str(parameter.default).lower() if isinstance(parameter.default, bool) else str(parameter.default)
    )
    allowed = _code(parameter.pattern) if parameter.pattern else parameter.allowed
    return f"`{parameter.name}`", _code(default), parameter.unit, allowed, parameter.meaning


def _template_table() -> str:
    template = yaml_parse((ROOT / "template.yaml").read_text())
    rows = [
        (f"`{name}`", _code(str(body["Default"])), _allowed(body), body["Description"])
        for name, body in template["Parameters"].items()
    ]
    return table(("name", "default", "allowed", "meaning"), rows)


def _allowed(body: Mapping[str, Any]) -> str:
    if "AllowedValues" in body:
        return ", ".join(_code(str(value)) for value in body["AllowedValues"])
    if "MinValue" in body:
        return f"a number from {body['MinValue']} to {body['MaxValue']}"
    return _code(body["AllowedPattern"])


def _state_table() -> str:
    """Return how long each Task may take, and what it calls."""
    rows = []
    for path in sorted((ROOT / "statemachine").glob("*.asl.json")):
        rows += [
            (f"`{name}`", state["Resource"].rpartition(":::")[2], f"{state['TimeoutSeconds']:,}")
            for name, state in _tasks(json.loads(path.read_text()))
        ]
    return table(("state", "calls", "seconds it may take"), rows)


def _tasks(definition: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    for name, state in definition["States"].items():
        if state["Type"] == "Task":
            yield name, state
        for branch in state.get("Branches", []):
            yield from _tasks(branch)


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(titles), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _code(text: str) -> str:
    # A bar would end the cell, even inside code.
    return f"`{text}`".replace("|", "\\|") if text else ""


def benchmark_table(name: str) -> str:
    """Return the table of a benchmark's latest result.

    Raises:
        SystemExit: there is no such result.
    """
    path = ROOT / "benchmarks" / "results" / f"{name}.json"
    if not path.exists():
        sys.exit(
            f"{path.relative_to(ROOT)} does not exist: run the benchmark, or remove its table from the documents"
        )
    result = json.loads(path.read_text())
    figures = result["figures"]
    nested = all(isinstance(value, Mapping) for value in figures.values())
    cases = figures if nested else {case: {"value": value} for case, value in figures.items()}
    columns = list(dict.fromkeys(column for case in cases.values() for column in case))
    rows = [[case, *(_figure(values.get(column)) for column in columns)] for case, values in cases.items()]
    versions = ", ".join(f"{library} {number}" for library, number in result["versions"].items())
    load = f"load {result['load']}" if "load" in result else ""
    facts = (result["date"], f"commit {result['commit']}", result["machine"], load, versions)
    measured = ", ".join(fact for fact in facts if fact) + "."
    return f"{table(['', *columns], rows)}\n{measured}\n"


def _figure(value: float | str | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:,}"


def with_tables(text: str) -> str:
    """Return a document with every marked block made anew."""
    return _BLOCK.sub(lambda m: f"<!-- table: {m[1]} -->\n{benchmark_table(m[1])}<!-- end of table -->", text)


def documents() -> dict[Path, str]:
    """Return every generated document with what it should say."""
    folders = (ROOT / "docs", ROOT / "benchmarks")
    written = [ROOT / "README.md", *(page for folder in folders for page in sorted(folder.rglob("*.md")))]
    pages = {path: with_tables(path.read_text()) for path in written if path.exists()}
    return {**pages, ROOT / "docs" / "parameters.md": parameters_page()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing, exit 1 when a document is stale"
    )
    check = parser.parse_args().check
    stale = [path for path, text in documents().items() if not path.exists() or path.read_text() != text]
    if check and stale:
        names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
        sys.exit(f"not what the code says any more: {names}; run `make docs`")
    for path in stale:
        path.write_text(documents()[path])


if __name__ == "__main__":
    main()
