"""A folder that looks like the inside of a training container, and the real container process run on it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

RUN_ID = "r20260131020000-0a1b2c"
DAY = 86_400
START = 1_704_067_200  # 2024-01-01
# Prophet's import takes seconds, and other suites may share the cores.
PATIENCE = 120


def metered(rows: int, seed: int = 0) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return daily consumption with a weekly pattern and noise."""
    days = np.arange(rows)
    noise = np.random.default_rng(seed).normal(0, 2, rows)
    return 50 + 10 * np.sin(2 * np.pi * days / 7) + noise


@dataclass(frozen=True)
class MlRoot:
    """The `/opt/ml` of one host of a training job."""

    path: Path
    host: str = "algo-1"

    def prepare(self, hosts: Iterable[str] = ("algo-1",), **hyperparameters: object) -> None:
        config = self.path / "input" / "config"
        config.mkdir(parents=True, exist_ok=True)
        values = {"run_id": RUN_ID, "workers": 1, **hyperparameters}
        texts = {name: str(value) for name, value in values.items()}
        (config / "hyperparameters.json").write_text(json.dumps(texts))
        resources = {"current_host": self.host, "hosts": sorted(hosts)}
        (config / "resourceconfig.json").write_text(json.dumps(resources))

    def add_series(self, name: str, customers: Mapping[str, Iterable[float]]) -> Path:
        ids, seconds, values = [], [], []
        for customer_id, consumption in customers.items():
            for day, value in enumerate(consumption):
                ids.append(customer_id)
                seconds.append(START + day * DAY)
                values.append(float(value))
        moments = pa.array(seconds, pa.int64()).cast(pa.timestamp("s", "UTC")).cast(pa.timestamp("us", "UTC"))
        table = pa.table(
            {"customer_id": pa.array(ids, pa.string()), "timestamp": moments, "consumption": pa.array(values)}
        )
        path = self.path / "input" / "data" / "series" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        return path

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def failure(self) -> str:
        return (self.path / "output" / "failure").read_text()

    def ledger(self, host: str | None = None) -> dict[str, dict[str, Any]]:
        path = self.checkpoints / "_ledger" / f"{host or self.host}.jsonl"
        if not path.exists():
            return {}
        # The last line may still be being written.
        lines = [line for line in path.read_text().split("\n")[:-1] if line]
        rows = [json.loads(line) for line in lines]
        assert len({row["customer_id"] for row in rows}) == len(rows)
        return {row["customer_id"]: row for row in rows}

    def start(self, command: str = "train", **environment: str) -> "subprocess.Popen[str]":
        scratch = self.path / "tmp"
        scratch.mkdir(exist_ok=True)
        settings = {"FLEETCAST_ML_ROOT": str(self.path), "TMPDIR": str(scratch), **environment}
        return subprocess.Popen(
            [sys.executable, "-m", "fleetcast_training", command],
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def train(self) -> "subprocess.CompletedProcess[str]":
        with self.start() as process:
            output, errors = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)
