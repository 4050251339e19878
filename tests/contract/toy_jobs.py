"""Toy training containers, and what they leave behind."""

import io
import json
import tarfile
from typing import Any

from tests.contract.lab import Lab

TREE = """
import json, os, sys
from pathlib import Path
ml = Path(os.environ["FLEETCAST_ML_ROOT"])
found = {str(f.relative_to(ml)): f.read_text() for f in ml.rglob("*") if f.is_file()}
host = json.loads(found["input/config/resourceconfig.json"])["current_host"]
told = {"argv": sys.argv[1:], "files": found, "environment": dict(os.environ), "cwd": os.getcwd()}
(ml / "model" / f"{host}.json").write_text(json.dumps(told))
"""
WAIT = """
import os, signal, sys, time
from pathlib import Path
ml = Path(os.environ["FLEETCAST_ML_ROOT"])
def stop(*_):
    (ml / "model" / "saved").write_text("in time")
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
time.sleep(60)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(60)
"""


def channel(lab: Lab, name: str, prefix: str, **source: str) -> dict[str, Any]:
    settings = {
        "S3DataType": "S3Prefix",
        "S3Uri": lab.uri(prefix),
        "S3DataDistributionType": "FullyReplicated",
    }
    return {"ChannelName": name, "DataSource": {"S3DataSource": settings | source}}


def instances(count: int) -> dict[str, Any]:
    return {"InstanceType": "ml.m5.large", "InstanceCount": count, "VolumeSizeInGB": 1}


def archive(lab: Lab, key: str) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(lab.read(key)), mode="r:gz") as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def told(lab: Lab, host: str = "algo-1") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(archive(lab, "out/job/output/model.tar.gz")[f"{host}.json"])
    return document


def log_of(lab: Lab, host: str = "algo-1") -> str:
    log = lab.store / "logs" / "training-jobs" / "job" / f"{host}.log"
    return log.read_text() if log.exists() else ""
