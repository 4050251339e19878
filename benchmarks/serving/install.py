"""Install the peers, each into its own environment from its own lock, and wrk; nothing needs root."""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.serving.places import PEERS, SCRATCH, WRK, python_of

NAMES = ("flask_prophet", "multi_model_server", "mlserver")
_PIP = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--require-hashes"]
# What the libraries of Debian's wrk are called on this release and on others.
_WRK_PACKAGES = ("wrk", "libluajit-5.1-2")


def ensure_installed() -> None:
    """Install what is missing, and anew what is locked anew."""
    for name in NAMES:
        lock, stamp = PEERS / name / "requirements.txt", SCRATCH / name / "installed"
        if not stamp.exists() or stamp.read_text() != lock.read_text():
            print(f"installing {name} ...", flush=True)
            shutil.rmtree(SCRATCH / name, ignore_errors=True)
            _run(sys.executable, "-m", "venv", SCRATCH / name)
            _run(python_of(name), *_PIP, "-r", lock)
            shutil.copy(lock, stamp)
    if not shutil.which("wrk") and not WRK.exists():
        _install_wrk()


def has_java() -> bool:
    return shutil.which("java") is not None


def lock() -> None:
    """Resolve every peer's requirements anew."""
    for name in NAMES:
        folder = PEERS / name
        options = ["--quiet", "--universal", "--generate-hashes", "--python-version", "3.11", "--upgrade"]
        plain = ["--no-emit-index-url", "--no-header", "--no-annotate"]
        compiled = ["--output-file", folder / "requirements.txt", folder / "requirements.in"]
        _run(Path(sys.executable).with_name("uv"), "pip", "compile", *options, *plain, *compiled)


def _install_wrk() -> None:
    """Take wrk out of Debian's package."""
    if not shutil.which("apt-get"):
        sys.exit("install wrk first: this system has no apt-get to take it from")
    print("fetching wrk ...", flush=True)
    with TemporaryDirectory() as folder:
        _run("apt-get", "download", *_WRK_PACKAGES, cwd=Path(folder))
        for package in Path(folder).glob("*.deb"):
            _run("dpkg", "-x", package, WRK)


def _run(*command: str | Path, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}\n{done.stderr}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lock", action="store_true", help="resolve the requirements anew first; needs uv")
    if parser.parse_args().lock:
        lock()
    ensure_installed()
