"""What the solver asks for, by numpy; `rows` and `loops` hold the same for the compiler."""

import numpy as np

from fleetcast_engine.history.timeline import Floats, Ints

# Rows at a time, so that a million of them need no more memory than these.
_BLOCK = 16_384

Statistics = tuple[
    float, float, float, Ints, Floats, tuple[Floats, Floats, float], tuple[Floats, Floats, Floats]
]


def statistics(
    timestamps: Ints,
    values: Floats,
    periods: Floats,
    orders: Ints,
    linear: float,
    changepoints: int,
    changepoint_range: float,
) -> Statistics:
    """Return all that the posterior needs to know about the rows; nothing after it depends on their number.

    Time runs from 0 to 1 and the values are divided by their largest (`Prophet.initialize_scales`). A straight
    line is taken off them first, so that sums of squares keep their digits.

    Returns:
        The scale; slope and height of the line; the rows at which changepoints lie and their times; the
        Gram matrix of the columns [time, 1, harmonics], their products with the values, and the values'
        square; the products of the hinges with the columns, with each other, and with the values.
    """
    scale = float(np.abs(values).max()) or 1.0
    span = timestamps[-1] - timestamps[0]
    slope, height = line_through((timestamps - timestamps[0]) / span * linear, values / scale)
    rows = changepoint_rows(len(values), changepoints, changepoint_range)
    at = (timestamps[rows] - timestamps[0]) / span * linear
    free = 2 + 2 * int(orders.sum())
    gram = np.zeros((free + len(rows) + 1,) * 2)
    for start in range(0, len(values), _BLOCK):
        block = slice(start, start + _BLOCK)
        time = (timestamps[block] - timestamps[0]) / span * linear
        columns = _columns(timestamps[block], time, periods, orders)
        rest = values[block] / scale - (slope * time + height)
        everything = np.concatenate([columns, _hinges(time, at), rest[None]])
        gram += everything @ everything.T
    normal, hinges = parts(gram, free)
    return scale, slope, height, rows, at, normal, hinges


def tilted_statistics(
    timestamps: Ints,
    values: Floats,
    periods: Floats,
    orders: Ints,
    at: Floats,
    scaling: Floats,
    free: Floats,
    delta: Floats,
) -> tuple[tuple[Floats, Floats, float], tuple[Floats, Floats, Floats]]:
    """Return the statistics of the model trend * (1 + seasons), made linear around its parameters.

    With trend g and factor f = 1 + X beta, the columns of the trend are multiplied by f, the harmonics by g, and
    the values become y + g (f - 1), less f times the line.

    Args:
        timestamps: of the rows.
        values: of the rows.
        periods: of the seasonalities, in days.
        orders: of the seasonalities.
        at: the times of the changepoints.
        scaling: the scale of the values; slope and height of the line.
        free: k, m and beta.
        delta: the changes of slope.
    """
    scale, slope, height = scaling
    gram = np.zeros((len(free) + len(delta) + 1,) * 2)
    for start in range(0, len(values), _BLOCK):
        block = slice(start, start + _BLOCK)
        time = (timestamps[block] - timestamps[0]) / (timestamps[-1] - timestamps[0])
        columns, hinges = _columns(timestamps[block], time, periods, orders), _hinges(time, at)
        trend, factor = free[:2] @ columns[:2] + delta @ hinges, 1 + free[2:] @ columns[2:]
        rest = values[block] / scale + trend * (factor - 1) - factor * (slope * time + height)
        everything = np.concatenate([columns[:2] * factor, columns[2:] * trend, hinges * factor, rest[None]])
        gram += everything @ everything.T
    return parts(gram, len(free))


def multiplied_square(
    timestamps: Ints,
    values: Floats,
    periods: Floats,
    orders: Ints,
    at: Floats,
    scaling: Floats,
    free: Floats,
    delta: Floats,
) -> float:
    """Return the sum of squares of what the model trend * (1 + seasons) misses; arguments as above."""
    total = 0.0
    for start in range(0, len(values), _BLOCK):
        block = slice(start, start + _BLOCK)
        time = (timestamps[block] - timestamps[0]) / (timestamps[-1] - timestamps[0])
        columns = _columns(timestamps[block], time, periods, orders)
        trend = free[:2] @ columns[:2] + delta @ _hinges(time, at)
        missed = values[block] / scaling[0] - trend * (1 + free[2:] @ columns[2:])
        total += float(missed @ missed)
    return total


def parts(gram: Floats, free: int) -> tuple[tuple[Floats, Floats, float], tuple[Floats, Floats, Floats]]:
    """Cut the Gram matrix of [free columns, hinges, values] into what the solver works with."""
    last = len(gram) - 1
    normal = (gram[:free, :free].copy(), gram[:free, last].copy(), float(gram[last, last]))
    hinges = (
        gram[free:last, :free].copy(),
        gram[free:last, free:last].copy(),
        gram[free:last, last].copy(),
    )
    return normal, hinges


def line_through(time: Floats, scaled: Floats) -> tuple[float, float]:
    """Return slope and height of the least-squares line; a constant where time stands still."""
    middle, height = time.mean(), scaled.mean()
    spread = ((time - middle) ** 2).sum()
    slope = ((time - middle) * (scaled - height)).sum() / spread if spread > 0 else 0.0
    return float(slope), float(height - slope * middle)


def changepoint_rows(rows: int, changepoints: int, changepoint_range: float) -> Ints:
    """Return the rows at which Prophet puts its changepoints: by row, not by time (`set_changepoints`)."""
    eligible = int(np.floor(rows * changepoint_range))
    count = max(min(changepoints, eligible - 1), 0)
    rows_of: Ints = np.linspace(0, eligible - 1, count + 1).round().astype(np.int64)[1:]
    return rows_of


def _columns(timestamps: Ints, time: Floats, periods: Floats, orders: Ints) -> Floats:
    columns = np.empty((2 + 2 * int(orders.sum()), len(time)))
    columns[0], columns[1] = time, 1.0
    first = 2
    for period, order in zip(periods, orders, strict=True):
        turns = timestamps / (86_400.0 * period)
        angles = 2 * np.pi * np.outer(np.arange(1, order + 1), turns - np.floor(turns))
        np.sin(angles, out=columns[first : first + 2 * order : 2])
        np.cos(angles, out=columns[first + 1 : first + 2 * order : 2])
        first += 2 * int(order)
    return columns


def _hinges(time: Floats, at: Floats) -> Floats:
    hinges: Floats = np.maximum(time - at[:, None], 0.0)
    return hinges


def inverse_factor(matrix: Floats) -> Floats:
    """Return the inverse of the lower Cholesky factor; an empty matrix where there is none."""
    try:
        return np.asarray(np.linalg.inv(np.linalg.cholesky(matrix)), np.float64)
    except np.linalg.LinAlgError:
        return np.empty((0, 0))


def lower_times(lower: Floats, vector: Floats) -> Floats:
    """Return a lower triangular matrix times a vector."""
    product: Floats = lower @ vector
    return product


def transposed_times(matrix: Floats, vector: Floats) -> Floats:
    """Return the transpose of a matrix times a vector."""
    product: Floats = vector @ matrix
    return product


def times(matrix: Floats, vector: Floats) -> Floats:
    """Return a matrix times a vector."""
    product: Floats = matrix @ vector
    return product


def dot(left: Floats, right: Floats) -> float:
    """Return the inner product."""
    return float(left @ right)


def reduce_hinges(
    which: Ints,
    inverse: Floats,
    projected: Floats,
    hinges: tuple[Floats, Floats, Floats],
    reduced: tuple[Floats, Floats, Floats],
) -> None:
    """Take the free columns out of some hinges: their rows of (projections, Gram matrix, products).

    Entries towards hinges that were not reduced yet mean nothing until those are.
    """
    with_columns, with_hinges, with_values = hinges
    projections, gram, products = reduced
    projections[which] = with_columns[which] @ inverse.T
    rows = with_hinges[which] - projections[which] @ projections.T
    gram[which], gram[:, which] = rows, rows.T
    products[which] = with_values[which] - projections[which] @ projected


def solve_active(gram: Floats, active: Ints, right: Floats) -> Floats:
    """Solve for the active hinges; an empty answer where their Gram matrix is singular."""
    try:
        return np.asarray(np.linalg.solve(gram[np.ix_(active, active)], right), np.float64)
    except np.linalg.LinAlgError:
        return np.empty(0)
