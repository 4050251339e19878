"""Where this benchmark keeps what it installs and makes; git ignores all of it."""

from pathlib import Path

from benchmarks.record import ROOT

HERE = Path(__file__).resolve().parent
SCRATCH = HERE / ".peers"
FLEET = SCRATCH / "fleet"
OURS, PROPHETS = FLEET / "ours", FLEET / "prophet"
WRK = SCRATCH / "wrk"
PEERS = HERE / "peers"
ENGINE = ROOT / "containers" / "engine"


def python_of(peer: str) -> Path:
    return SCRATCH / peer / "bin" / "python"
