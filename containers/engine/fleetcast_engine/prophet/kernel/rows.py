"""What `dense` says about the rows, as loops for the compiler. Interpreted they are right, but slow."""

import numpy as np

from fleetcast_engine.history.timeline import Floats, Ints
from fleetcast_engine.prophet.kernel.dense import Data, Products, Statistics, parts

# Rows whose columns are in the cache together.
_BLOCK = 256


def statistics(data: Data, linear: float, changes: Ints) -> Statistics:
    """Return what `dense.statistics` does, from blocks of rows."""
    timestamps, values, _, orders, extras = data
    count = len(values)
    scale = _largest(values)
    slope, height = _line(timestamps, values, scale, linear)
    rows, at = _places(timestamps, changes)
    free = 2 + 2 * orders.sum() + len(extras)
    gram = np.zeros((free + 1, free + 1))
    sums = np.zeros((2, len(rows), free + 1))
    columns = np.empty((free + 1, min(_BLOCK, count)))
    scaling = np.empty(3)
    scaling[0], scaling[1], scaling[2] = scale, slope, height
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        _fill(columns, data, start, stop, linear, scaling)
        _add_products(gram, columns, stop - start)
        _add_segments(sums, columns, start, stop, rows, at)
    for i in range(free + 1):
        for j in range(i):
            gram[j, i] = gram[i, j]
    normal = (gram[:free, :free].copy(), gram[free, :free].copy(), gram[free, free])
    return scale, slope, height, at, (normal, _hinges(sums, at, rows, count))


def _largest(values: Floats) -> float:
    largest = 0.0
    for value in values:
        largest = max(largest, abs(value))
    return largest if largest > 0 else 1.0


def _line(timestamps: Ints, values: Floats, scale: float, linear: float) -> tuple[float, float]:
    count = len(values)
    first, span = timestamps[0], timestamps[-1] - timestamps[0]
    ones, time, squares, height, product = float(count), 0.0, 0.0, 0.0, 0.0
    for i in range(count):
        t = (timestamps[i] - first) / span - 0.5
        time += t
        squares += t * t
        height += values[i]
        product += t * values[i]
    middle = time / ones
    spread = squares - middle * time
    slope = (product - middle * height) / spread / scale if spread > 0 and linear > 0 else 0.0
    return slope, height / ones / scale - slope * (middle + 0.5)


def _places(timestamps: Ints, changes: Ints) -> tuple[Ints, Floats]:
    """Return the first row at or after each changepoint, and the changepoints' times."""
    span = float(timestamps[-1] - timestamps[0])
    rows, at = np.empty(len(changes), np.int64), np.empty(len(changes))
    row = 0
    for j in range(len(changes)):
        while timestamps[row] < changes[j]:
            row += 1
        rows[j] = row
        at[j] = (changes[j] - timestamps[0]) / span
    return rows, at


def _fill(columns: Floats, data: Data, start: int, stop: int, linear: float, scaling: Floats) -> None:
    """Write the columns [time, 1, harmonics, extras, values less the line] of the rows from start to stop."""
    timestamps, values, periods, orders, extras = data
    size, origin = stop - start, timestamps[0]
    span = (timestamps[-1] - origin) / linear if linear > 0 else np.inf
    scale, slope, height = scaling[0], scaling[1], scaling[2]
    time, one, rest = columns[0], columns[1], columns[len(columns) - 1]
    for i in range(size):
        t = (timestamps[start + i] - origin) / span
        time[i] = t
        one[i] = 1.0
        rest[i] = values[start + i] / scale - (slope * t + height)
    first = 2
    for s in range(len(periods)):
        _first_harmonic(
            columns[first], columns[first + 1], timestamps[start:stop], 1 / (86_400.0 * periods[s])
        )
        for n in range(1, orders[s]):
            _next_harmonic(columns[first : first + 2 * n + 2], 2 * n, size)
        first += 2 * orders[s]
    for extra in extras:
        column = columns[first]
        for i in range(size):
            column[i] = extra[start + i]
        first += 1


def _first_harmonic(sines: Floats, cosines: Floats, timestamps: Ints, frequency: float) -> None:
    """Sine and cosine by Taylor series on an eighth of a turn either side; the loop has no branch and no call."""
    for i in range(len(timestamps)):
        turns = timestamps[i] * frequency
        turns -= np.floor(turns)
        quarter = np.floor(4 * turns + 0.5)
        x = 6.283185307179586 * (turns - 0.25 * quarter)
        z = x * x
        s = 1 / 6227020800.0 - z / 1307674368000.0
        s = 1 / 120.0 - z * (1 / 5040.0 - z * (1 / 362880.0 - z * (1 / 39916800.0 - z * s)))
        s = x * (1 - z * (1 / 6.0 - z * s))
        c = 1 / 479001600.0 - z * (1 / 87178291200.0 - z / 20922789888000.0)
        c = 1 / 24.0 - z * (1 / 720.0 - z * (1 / 40320.0 - z * (1 / 3628800.0 - z * c)))
        c = 1 - z * (0.5 - z * c)
        # After a quarter of a turn the sine is the cosine, and after half of one both change sign.
        odd = quarter - 2 * np.floor(0.5 * quarter)
        sine_sign = 1.0 - 2.0 * (np.floor(0.5 * quarter) - 2 * np.floor(0.25 * quarter))
        cosine_sign = sine_sign * (1.0 - 2.0 * odd)
        sines[i] = sine_sign * (odd * c + (1 - odd) * s)
        cosines[i] = cosine_sign * (odd * s + (1 - odd) * c)


def _next_harmonic(columns: Floats, at: int, size: int) -> None:
    """Add angles: the harmonic before this one, and the first."""
    sine, cosine, first_sine, first_cosine = columns[at - 2], columns[at - 1], columns[0], columns[1]
    next_sine, next_cosine = columns[at], columns[at + 1]
    for i in range(size):
        next_sine[i] = sine[i] * first_cosine[i] + cosine[i] * first_sine[i]
        next_cosine[i] = cosine[i] * first_cosine[i] - sine[i] * first_sine[i]


def _add_products(gram: Floats, columns: Floats, size: int) -> None:
    """Add the products of all pairs of columns, two by two, so that each value loaded is used twice."""
    count = len(columns)
    for i in range(0, count, 2):
        left, left2 = columns[i], columns[min(i + 1, count - 1)]
        for j in range(0, i + 1, 2):
            right, right2 = columns[j], columns[min(j + 1, count - 1)]
            a, b, c, d = 0.0, 0.0, 0.0, 0.0
            for k in range(size):
                a += left[k] * right[k]
                b += left[k] * right2[k]
                c += left2[k] * right[k]
                d += left2[k] * right2[k]
            gram[i, j] += a
            if j + 1 < count:
                gram[i, j + 1] += b
            if i + 1 < count:
                gram[i + 1, j] += c
                if j + 1 < count:
                    gram[i + 1, j + 1] += d


def _add_segments(sums: Floats, columns: Floats, start: int, stop: int, rows: Ints, at: Floats) -> None:
    """Add to the sums between each changepoint and the next: of the columns, and of the columns times its hinge."""
    count = len(rows)
    time = columns[0]
    for j in range(count):
        end = rows[j + 1] if j + 1 < count else stop
        low, high = max(rows[j], start) - start, min(end, stop) - start
        if low >= high:
            continue
        bend = at[j]
        for f in range(len(columns)):
            column = columns[f]
            plain, hinged = 0.0, 0.0
            for k in range(low, high):
                plain += column[k]
                hinged += column[k] * (time[k] - bend)
            sums[0, j, f] += plain
            sums[1, j, f] += hinged


def _hinges(sums: Floats, at: Floats, rows: Ints, count: int) -> tuple[Floats, Floats, Floats]:
    """Return the products of the hinges, from the last to the first: each adds its own segment to the next one's.

    Beyond the next changepoint a hinge is the next hinge plus a constant.
    """
    bends, width = len(rows), sums.shape[2]
    products, squares = np.zeros((bends, width)), np.zeros((bends, bends))
    plain = np.zeros(width)
    for j in range(bends - 1, -1, -1):
        gap = at[j + 1] - at[j] if j + 1 < bends else 0.0
        for f in range(width):
            later = products[j + 1, f] if j + 1 < bends else 0.0
            products[j, f] = later + gap * plain[f] + sums[1, j, f]
            plain[f] += sums[0, j, f]
        later = squares[j + 1, j + 1] if j + 1 < bends else 0.0
        after = products[j + 1, 1] if j + 1 < bends else 0.0
        rows_after = count - rows[j + 1] if j + 1 < bends else 0
        own = sums[1, j, 0] - at[j] * sums[1, j, 1]
        squares[j, j] = later + 2 * gap * after + gap * gap * rows_after + own
    for j in range(bends):
        for earlier in range(j):
            squares[j, earlier] = squares[j, j] + (at[j] - at[earlier]) * products[j, 1]
            squares[earlier, j] = squares[j, earlier]
    return products[:, : width - 1].copy(), squares, products[:, width - 1].copy()


def tilted_statistics(
    data: Data, linear: float, at: Floats, scaling: Floats, multiplied: Floats, free: Floats, delta: Floats
) -> Products:
    """Return what `dense.tilted_statistics` does."""
    count, width = len(data[1]), len(free)
    last = width + len(delta)
    gram = np.zeros((last + 1, last + 1))
    everything = np.empty((last + 1, min(_BLOCK, count)))
    rest = everything[last]
    parts_of_rows = np.empty((3, _BLOCK))
    trend, factor = parts_of_rows[0], parts_of_rows[1]
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        _fill_hinged(everything, data, start, size, linear, scaling[0], at)
        _evaluate(everything, size, multiplied, free, delta, parts_of_rows)
        for i in range(size):
            line = scaling[1] * everything[0, i] + scaling[2]
            rest[i] += trend[i] * (factor[i] - 1) - factor[i] * line
        for f in range(last):
            own = 2 <= f < width
            if own and multiplied[f - 2] == 0:
                continue
            column, weight = everything[f], trend if own else factor
            for i in range(size):
                column[i] *= weight[i]
        _add_products(gram, everything, size)
    for i in range(len(gram)):
        for j in range(i):
            gram[j, i] = gram[i, j]
    return parts(gram, width)


def multiplied_square(
    data: Data, linear: float, at: Floats, scaling: Floats, multiplied: Floats, free: Floats, delta: Floats
) -> float:
    """Return what `dense.multiplied_square` does."""
    count, last = len(data[1]), len(free) + len(delta)
    everything = np.empty((last + 1, min(_BLOCK, count)))
    parts_of_rows = np.empty((3, _BLOCK))
    trend, factor, terms = parts_of_rows[0], parts_of_rows[1], parts_of_rows[2]
    total = 0.0
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        _fill_hinged(everything, data, start, size, linear, scaling[0], at)
        _evaluate(everything, size, multiplied, free, delta, parts_of_rows)
        for i in range(size):
            missed = everything[last, i] - trend[i] * factor[i] - terms[i]
            total += missed * missed
    return total


def _fill_hinged(
    everything: Floats, data: Data, start: int, size: int, linear: float, scale: float, at: Floats
) -> None:
    """Write the columns [time, 1, harmonics, extras, hinges, values] of some rows."""
    last = len(everything) - 1
    free = last - len(at)
    scaling = np.zeros(3)
    scaling[0] = scale
    _fill(everything[: free + 1], data, start, start + size, linear, scaling)
    time, scaled, rest = everything[0], everything[free], everything[last]
    for i in range(size):
        rest[i] = scaled[i]
    for j in range(len(at)):
        hinge, bend = everything[free + j], at[j]
        for i in range(size):
            hinge[i] = max(time[i] - bend, 0.0)


def _evaluate(
    everything: Floats, size: int, multiplied: Floats, free: Floats, delta: Floats, parts_of_rows: Floats
) -> None:
    """Write the trend, the factor on it and the terms beside it."""
    trend, factor, terms = parts_of_rows[0], parts_of_rows[1], parts_of_rows[2]
    for i in range(size):
        trend[i] = free[0] * everything[0, i] + free[1]
        factor[i] = 1.0
        terms[i] = 0.0
    for f in range(2, len(free)):
        column, weight = everything[f], free[f]
        target = factor if multiplied[f - 2] > 0 else terms
        for i in range(size):
            target[i] += weight * column[i]
    for j in range(len(delta)):
        hinge, weight = everything[len(free) + j], delta[j]
        if weight != 0:
            for i in range(size):
                trend[i] += weight * hinge[i]
