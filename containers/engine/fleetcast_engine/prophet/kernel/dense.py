"""What the solver asks for, by numpy; `rows` and `loops` hold the same for the compiler."""

import numpy as np

from fleetcast_engine.history.timeline import Floats, Ints

# Rows at a time, so that a million of them need no more memory than these.
_BLOCK = 16_384

# Timestamps and values; periods and orders of the seasonalities; the columns beyond harmonics, one per row.
Data = tuple[Ints, Floats, Floats, Ints, Floats]
Products = tuple[tuple[Floats, Floats, float], tuple[Floats, Floats, Floats]]
Statistics = tuple[float, float, float, Floats, Products]


def statistics(data: Data, linear: float, changes: Ints) -> Statistics:
    """Return all that the posterior needs to know about the rows; nothing after it depends on their number.

    Time runs from 0 to 1 and the values are divided by their largest (`Prophet.initialize_scales`). A straight
    line is taken off them first, so that sums of squares keep their digits.

    Returns:
        The scale; slope and height of the line; the times of the changepoints; the Gram matrix of the columns
        [time, 1, harmonics, extras], their products with the values, and the values' square; the products of the
        hinges with the columns, with each other, and with the values.
    """
    timestamps, values, _, orders, extras = data
    scale = float(np.abs(values).max()) or 1.0
    span = timestamps[-1] - timestamps[0]
    slope, height = line_through((timestamps - timestamps[0]) / span * linear, values / scale)
    at = (changes - timestamps[0]) / span
    free = 2 + 2 * int(orders.sum()) + len(extras)
    gram = np.zeros((free + len(at) + 1,) * 2)
    for block in _blocks(len(values)):
        columns, hinges = _columns(data, block, linear), _hinges(data, block, at)
        rest = values[block] / scale - (slope * columns[0] + height)
        everything = np.concatenate([columns, hinges, rest[None]])
        gram += everything @ everything.T
    return scale, slope, height, at, parts(gram, free)


def tilted_statistics(
    data: Data, linear: float, at: Floats, scaling: Floats, multiplied: Floats, free: Floats, delta: Floats
) -> Products:
    """Return the statistics of the model trend * (1 + factors) + terms, made linear around its parameters.

    With trend g and factor f = 1 + X beta, the columns of the trend are multiplied by f, those that multiply by g,
    and the values become y + g (f - 1), less f times the line. Columns that only add stay what they are.

    Args:
        data: the rows.
        linear: 1, or 0 for a trend without time.
        at: the times of the changepoints.
        scaling: the scale of the values; slope and height of the line.
        multiplied: 1 for each coefficient whose column multiplies the trend, 0 for the others.
        free: k, m and beta.
        delta: the changes of slope.
    """
    scale, slope, height = scaling
    gram = np.zeros((len(free) + len(delta) + 1,) * 2)
    for block in _blocks(len(data[1])):
        columns, hinges = _columns(data, block, linear), _hinges(data, block, at)
        trend, factor = free[:2] @ columns[:2] + delta @ hinges, 1 + (free[2:] * multiplied) @ columns[2:]
        rest = data[1][block] / scale + trend * (factor - 1) - factor * (slope * columns[0] + height)
        weights = np.where(multiplied[:, None] > 0, trend, 1.0)
        everything = [columns[:2] * factor, columns[2:] * weights, hinges * factor, rest[None]]
        tilted = np.concatenate(everything)
        gram += tilted @ tilted.T
    return parts(gram, len(free))


def multiplied_square(
    data: Data, linear: float, at: Floats, scaling: Floats, multiplied: Floats, free: Floats, delta: Floats
) -> float:
    """Return the sum of squares of what that model misses; arguments as above."""
    total = 0.0
    for block in _blocks(len(data[1])):
        columns = _columns(data, block, linear)
        trend = free[:2] @ columns[:2] + delta @ _hinges(data, block, at)
        factor, terms = (
            1 + (free[2:] * multiplied) @ columns[2:],
            (free[2:] * (1 - multiplied)) @ columns[2:],
        )
        missed = data[1][block] / scaling[0] - trend * factor - terms
        total += float(missed @ missed)
    return total


def _blocks(rows: int) -> list[slice]:
    return [slice(start, start + _BLOCK) for start in range(0, rows, _BLOCK)]


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


def _columns(data: Data, block: slice, linear: float) -> Floats:
    """Return the columns [time, 1, harmonics, extras] of some rows."""
    timestamps, _, periods, orders, extras = data
    moments = timestamps[block]
    columns = np.empty((2 + 2 * int(orders.sum()) + len(extras), len(moments)))
    columns[0], columns[1] = (moments - timestamps[0]) / (timestamps[-1] - timestamps[0]) * linear, 1.0
    first = 2
    for period, order in zip(periods, orders, strict=True):
        turns = moments / (86_400.0 * period)
        angles = 2 * np.pi * np.outer(np.arange(1, order + 1), turns - np.floor(turns))
        np.sin(angles, out=columns[first : first + 2 * order : 2])
        np.cos(angles, out=columns[first + 1 : first + 2 * order : 2])
        first += 2 * int(order)
    for extra in extras:
        columns[first] = extra[block]
        first += 1
    return columns


def _hinges(data: Data, block: slice, at: Floats) -> Floats:
    timestamps = data[0]
    time = (timestamps[block] - timestamps[0]) / (timestamps[-1] - timestamps[0])
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


def plus(left: Floats, share: float, right: Floats) -> Floats:
    """Return one vector plus a share of another."""
    total: Floats = left + share * right
    return total


def each_times(left: Floats, right: Floats) -> Floats:
    """Return the products of the elements of two vectors."""
    products: Floats = left * right
    return products


def awake(signs: Floats) -> Ints:
    """Return which signs are not zero."""
    return np.flatnonzero(signs)


def loudest(pulls: Floats, signs: Floats) -> int:
    """Return which pull is the strongest of those without a sign."""
    return int(np.argmax(np.abs(pulls) * (signs == 0)))


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
    """Solve for the active hinges; `right` has all. An empty answer where their Gram matrix is singular."""
    try:
        return np.asarray(np.linalg.solve(gram[np.ix_(active, active)], right[active]), np.float64)
    except np.linalg.LinAlgError:
        return np.empty(0)
