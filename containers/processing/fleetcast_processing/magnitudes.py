"""Values that cannot be true beside a customer's other values: a slipped decimal point, a meter's error code.

A value is absurd when its magnitude is beyond a million times the customer's median magnitude. The median is taken
over one row per timestamp, the last of duplicates, so that delivering rows twice does not move it. The judgement
is on every row, before duplicates are settled: an absurd correction does not displace a sound reading.
"""

import numpy as np
import numpy.typing as npt

from fleetcast_processing.rows import Float64, Int32

TIMES_MEDIAN = 1e6
FEWEST_ROWS = 10
"""With fewer rows, or a median of 0, nothing says what is usual."""


def are_absurd(
    codes: Int32, values: Float64, counted: npt.NDArray[np.bool_], size: int
) -> npt.NDArray[np.bool_]:
    """Say of each row whether its value is absurd; `codes` ascend, `counted` rows make the median."""
    magnitudes = np.abs(values)
    peaks, spread = _peaks(codes, magnitudes, size)
    absurd = np.zeros(len(codes), dtype=np.bool_)
    if not spread.any():
        return absurd
    rows = np.flatnonzero(spread[codes])
    absurd[rows] = _are_absurd(codes[rows], magnitudes[rows], counted[rows], peaks)
    return absurd


def _are_absurd(
    codes: Int32, magnitudes: Float64, counted: npt.NDArray[np.bool_], peaks: Float64
) -> npt.NDArray[np.bool_]:
    suspects = _suspects(codes[counted], magnitudes[counted], peaks)
    limits = np.full(len(peaks), np.inf)
    picked = counted & suspects[codes]
    medians = _medians(codes[picked], magnitudes[picked], suspects)
    limits[suspects] = np.where(medians > 0, medians * TIMES_MEDIAN, np.inf)
    return magnitudes > limits[codes]


def _peaks(codes: Int32, magnitudes: Float64, size: int) -> tuple[Float64, npt.NDArray[np.bool_]]:
    """Return each customer's largest magnitude, and whether the smallest is tiny beside it: of most it is not."""
    peaks, spread = np.zeros(size), np.zeros(size, dtype=np.bool_)
    if len(codes):
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        largest, smallest = np.maximum.reduceat(magnitudes, starts), np.minimum.reduceat(magnitudes, starts)
        peaks[codes[starts]] = largest
        spread[codes[starts]] = (smallest * TIMES_MEDIAN <= largest) & (largest > 0)
    return peaks, spread


def _suspects(codes: Int32, magnitudes: Float64, peaks: Float64) -> npt.NDArray[np.bool_]:
    """Return the customers of whom at least half the rows are tiny beside the largest, but not most are zero.

    Only they can have a median that a value exceeds so far, and hardly a sound customer is among them: the rows of
    all others need not be sorted.
    """
    rows = _count(codes, len(peaks))
    tiny = _count(codes[magnitudes * TIMES_MEDIAN <= peaks[codes]], len(peaks))
    zeros = _count(codes[magnitudes == 0], len(peaks))
    found: npt.NDArray[np.bool_] = (rows >= FEWEST_ROWS) & (2 * tiny >= rows) & (2 * zeros <= rows)
    return found


def _medians(codes: Int32, magnitudes: Float64, suspects: npt.NDArray[np.bool_]) -> Float64:
    ordered = magnitudes[np.lexsort((magnitudes, codes))]
    rows = _count(codes, len(suspects))[suspects]
    starts = np.cumsum(rows) - rows
    medians: Float64 = (ordered[starts + (rows - 1) // 2] + ordered[starts + rows // 2]) / 2
    return medians


def _count(codes: Int32, size: int) -> npt.NDArray[np.int64]:
    return np.bincount(codes, minlength=size)
