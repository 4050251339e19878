"""Many numbers in single precision: as distances from an offset, in a unit of their own, both in double precision.

So neither a large base (a register that counts on) nor a tiny unit costs what is small beside it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from fleetcast_engine.history.timeline import Floats

Singles = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.floating[Any]]


def offset_and_unit(values: Numbers, others: Numbers | None = None) -> tuple[float, float]:
    """Return the values' midrange, and the largest distance from it; 1 where all are the same.

    Args:
        values: at least one.
        others: distances that share the unit, which is none smaller than them.
    """
    low, high = float(values.min()), float(values.max())
    offset = (low + high) / 2
    furthest = 0.0 if others is None else float(np.abs(others).max())
    return offset, max(high - offset, offset - low, furthest) or 1.0


def singles(values: Numbers, offset: float, unit: float) -> Singles:
    """Return the values as their distances from the offset."""
    with np.errstate(all="ignore"):  # what is not finite is refused where it is stored
        return ((values - offset) / unit).astype(np.float32)


def doubles(values: Numbers, offset: float, unit: float) -> Floats:
    """Return what `singles` was given, as far as single precision can tell."""
    found = values.astype(np.float64)
    found *= unit
    found += offset
    return found
