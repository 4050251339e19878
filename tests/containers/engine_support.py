"""Series of every shape, and stock Prophet's own forecast of them."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from fleetcast_engine import Series
from fleetcast_engine.prophet.stock import import_prophet

DAY = 86_400
HOUR = 3600
START = 1_672_531_200  # 2023-01-01, a Sunday

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def consumption(timestamps: Ints, seed: int = 0) -> Floats:
    """Return consumption with a trend, a bend, a week, a day and noise."""
    days = (timestamps - START) / DAY
    level = 100 + 0.05 * days + 0.2 * np.maximum(days - days.mean(), 0)
    week = 12 * np.sin(2 * np.pi * days / 7)
    day = 8 * np.cos(2 * np.pi * days) * (np.diff(days[:2])[0] < 1)
    noise = np.random.default_rng(seed).normal(0, 3, len(days))
    total: Floats = level + week + day + noise
    return total


def regular(rows: int, step: int = DAY, seed: int = 0) -> Series:
    timestamps = START + step * np.arange(rows, dtype=np.int64)
    return Series.from_arrays("meter-7", timestamps, consumption(timestamps, seed))


def stock_forecast(prophet: Any, timestamps: Ints) -> Any:
    """Return `Prophet.predict` at the timestamps, as a data frame."""
    from pandas import DataFrame  # noqa: PLC0415 - only these tests need it, and it takes a second

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Prophet's use of pandas is not ours to mend
        return prophet.predict(DataFrame({"ds": timestamps.astype("datetime64[s]")}))


def opened(text: str) -> Any:
    """Return stock Prophet, read from its JSON."""
    from prophet.serialize import model_from_json  # noqa: PLC0415 - takes a second

    import_prophet()  # quiet
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Prophet's use of pandas is not ours to mend
        return model_from_json(text)
