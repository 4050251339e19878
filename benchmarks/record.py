"""How every benchmark keeps its result: a dated file that says where it was measured."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def record(scenario: str, figures: Mapping[str, Any], versions: Mapping[str, str]) -> None:
    """Write results/<scenario>.json, and print the same as one line of JSON; `make docs` makes the tables.

    Args:
        scenario: The name of the scenario's folder.
        figures: Case → measure → number; or measure → number.
        versions: Distribution → version of what was measured.
    """
    result = {
        "scenario": scenario,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": _commit(),
        "machine": _machine(),
        # What others did meanwhile: a figure measured on a busy machine must say so.
        "load": round(os.getloadavg()[1], 1),
        "versions": {"python": platform.python_version(), **versions},
        "figures": figures,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{scenario}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, separators=(",", ":")), flush=True)


def versions_of(*distributions: str) -> dict[str, str]:
    return {name: version(name) for name in distributions}


def _commit() -> str:
    found = _git("rev-parse", "--short", "HEAD")
    if not found:
        return "none"
    return f"{found}, changed" if _git("status", "--porcelain", "--untracked-files=no") else found


def _git(*arguments: str) -> str:
    answer = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else ""


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {_processor()}, {memory:.0f} GiB, {platform.system()}"


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
