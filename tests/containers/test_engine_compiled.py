"""The solver is compiled once for an image: what the build leaves behind is what every job runs."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.static.stack import ROOT

from fleetcast_engine.prophet.kernel.compiled import kept_in


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    target = tmp_path / "engine"
    shutil.copytree(ROOT / "containers" / "engine", target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def run(engine: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(engine.parent), "PYTHONPATH": str(engine)}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=engine.parent,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


FIT = """
import numpy as np
from numba.core import event

compiled = []
class Listener(event.Listener):
    def on_start(self, happened): compiled.append(happened)
    def on_end(self, happened): pass
event.register("numba:compile", Listener())

from fleetcast_engine import Series, fit
moments = 1_600_000_000 + 86_400 * np.arange(100)
fitted = fit(Series.from_arrays("a", moments, 5 + np.sin(np.arange(100.0) ** 2)))
print(fitted.engine, len(compiled))
"""


def test_a_job_runs_what_the_build_of_its_image_compiled(engine: Path) -> None:
    before = run(engine, "-m", "fleetcast_engine.prophet.kernel")
    machine_code = set(engine.rglob("*.nbc"))

    job = run(engine, "-c", FIT)

    assert before.returncode == 0, before.stderr
    assert str(engine) in before.stdout
    assert machine_code
    assert job.stdout.split() == ["map", "0"], job.stdout + job.stderr
    assert set(engine.rglob("*.nbc")) == machine_code


def test_a_build_that_cannot_keep_machine_code_fails(engine: Path) -> None:
    # Folders that are files cannot be written into, not even by root.
    (engine / "fleetcast_engine" / "prophet" / "kernel" / "__pycache__").touch()
    (engine.parent / ".cache").touch()

    done = run(engine, "-m", "fleetcast_engine.prophet.kernel")

    assert done.returncode == 1
    assert "cannot be kept" in done.stderr


class Setting:
    """numba's configuration, which threads share."""

    def __init__(self, lock: Path) -> None:
        self.set: list[str] = []
        self._lock = lock

    @property
    def CACHE_DIR(self) -> str:  # noqa: N802 - numba's name
        assert self._taken()
        return self.set[-1] if self.set else "the user's own"

    @CACHE_DIR.setter
    def CACHE_DIR(self, folder: str) -> None:  # noqa: N802 - numba's name
        assert self._taken()
        self.set.append(folder)

    def _taken(self) -> bool:
        with self._lock.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False


def test_numbas_folder_is_read_and_set_by_one_at_a_time(tmp_path: Path) -> None:
    """What another thread has set for a moment is not what is to be set back."""
    (tmp_path / "lock").touch()

    setting = Setting(tmp_path / "lock")

    with kept_in(tmp_path, setting) as kept:
        assert kept

    assert setting.set == [str(tmp_path), "the user's own"]
