"""What a team does without us: pandas reads the CSV, Prophet fits each customer, JSON and tar.gz keep the model."""

import io
import logging
import tarfile
import tempfile
import warnings
from pathlib import Path

import numpy as np


def warm_up_stock(_: int) -> None:
    """Import everything and fit once, as our workers did."""
    import pandas as pd  # noqa: PLC0415 - only the processes that fit with it need it

    logging.disable(logging.INFO)
    moments = pd.date_range("2024-01-01", periods=30)
    _model(pd.DataFrame({"ds": moments, "y": np.arange(30.0) % 7}))


def stock_models(path: Path) -> int:
    """Make a model of every customer in a CSV file; return how many."""
    import pandas as pd  # noqa: PLC0415 - as above

    frame = pd.read_csv(path, parse_dates=["timestamp"])
    with tempfile.TemporaryDirectory() as folder:
        for customer, rows in frame.groupby("customer_id"):
            history = rows.rename(columns={"timestamp": "ds", "consumption": "y"})[["ds", "y"]]
            _pack(Path(folder) / f"{customer}.tar.gz", _model(history))
        return len(list(Path(folder).iterdir()))


def _model(history: object) -> bytes:
    from prophet import Prophet  # noqa: PLC0415 - as above
    from prophet.serialize import model_to_json  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(model_to_json(Prophet().fit(history))).encode()


def _pack(path: Path, document: bytes) -> None:
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("model.json")
        member.size = len(document)
        archive.addfile(member, io.BytesIO(document))
