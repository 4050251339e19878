"""The linear algebra of `dense`, as loops for the compiler. Interpreted they are right, but slow."""

import numpy as np

from fleetcast_engine.history.timeline import Floats, Ints


def inverse_factor(matrix: Floats) -> Floats:
    """Return the inverse of the lower Cholesky factor; an empty matrix where there is none."""
    size = len(matrix)
    factor = np.zeros((size, size))
    for i in range(size):
        row = factor[i]
        for j in range(i):
            other = factor[j]
            total = matrix[i, j]
            for k in range(j):
                total -= row[k] * other[k]
            row[j] = total * other[j]
        total = matrix[i, i]
        for k in range(i):
            total -= row[k] * row[k]
        if not total > 0:
            return np.empty((0, 0))
        # The diagonal holds one over itself: multiplying is faster than dividing.
        row[i] = 1 / np.sqrt(total)
    return _inverse(factor)


def _inverse(factor: Floats) -> Floats:
    size = len(factor)
    inverse = np.zeros((size, size))
    for i in range(size):
        own, target = factor[i], inverse[i]
        for k in range(i):
            weight, source = own[k], inverse[k]
            for j in range(k + 1):
                target[j] -= weight * source[j]
        for j in range(i):
            target[j] *= own[i]
        target[i] = own[i]
    return inverse


def lower_times(lower: Floats, vector: Floats) -> Floats:
    """Return a lower triangular matrix times a vector."""
    product = np.empty(len(lower))
    for i in range(len(lower)):
        row = lower[i]
        total = 0.0
        for k in range(i + 1):
            total += row[k] * vector[k]
        product[i] = total
    return product


def transposed_times(matrix: Floats, vector: Floats) -> Floats:
    """Return the transpose of a matrix times a vector."""
    product = np.zeros(matrix.shape[1])
    for i in range(len(matrix)):
        weight, row = vector[i], matrix[i]
        if weight != 0:
            for k in range(len(product)):
                product[k] += weight * row[k]
    return product


def times(matrix: Floats, vector: Floats) -> Floats:
    """Return a matrix times a vector."""
    product = np.empty(len(matrix))
    for i in range(len(matrix)):
        product[i] = dot(matrix[i], vector)
    return product


def plus(left: Floats, share: float, right: Floats) -> Floats:
    """Return one vector plus a share of another."""
    total = np.empty(len(left))
    for k in range(len(left)):
        total[k] = left[k] + share * right[k]
    return total


def each_times(left: Floats, right: Floats) -> Floats:
    """Return the products of the elements of two vectors."""
    products = np.empty(len(left))
    for k in range(len(left)):
        products[k] = left[k] * right[k]
    return products


def awake(signs: Floats) -> Ints:
    """Return which signs are not zero."""
    count = 0
    for sign in signs:
        if sign != 0:
            count += 1
    which = np.empty(count, np.int64)
    count = 0
    for k in range(len(signs)):
        if signs[k] != 0:
            which[count] = k
            count += 1
    return which


def loudest(pulls: Floats, signs: Floats) -> int:
    """Return which pull is the strongest of those without a sign."""
    found, strongest = 0, 0.0
    for k in range(len(pulls)):
        if signs[k] == 0 and abs(pulls[k]) > strongest:
            found, strongest = k, abs(pulls[k])
    return found


def dot(left: Floats, right: Floats) -> float:
    """Return the inner product."""
    total = 0.0
    for k in range(len(left)):
        total += left[k] * right[k]
    return total


def reduce_hinges(
    which: Ints,
    inverse: Floats,
    projected: Floats,
    hinges: tuple[Floats, Floats, Floats],
    reduced: tuple[Floats, Floats, Floats],
) -> None:
    """Do what `dense.reduce_hinges` does."""
    with_columns, with_hinges, with_values = hinges
    projections, gram, products = reduced
    for j in which:
        own = lower_times(inverse, with_columns[j])
        for k in range(len(own)):  # assigning a slice takes seconds to compile
            projections[j, k] = own[k]
        products[j] = with_values[j] - dot(projections[j], projected)
    for j in which:
        for other in range(len(gram)):
            gram[j, other] = with_hinges[j, other] - dot(projections[j], projections[other])
            gram[other, j] = gram[j, other]


def solve_active(gram: Floats, active: Ints, right: Floats) -> Floats:
    """Do what `dense.solve_active` does."""
    size = len(active)
    chosen, chosen_right = np.empty((size, size)), np.empty(size)
    for i in range(size):
        chosen_right[i] = right[active[i]]
        for j in range(size):
            chosen[i, j] = gram[active[i], active[j]]
    inverse = inverse_factor(chosen)
    if len(inverse) == 0:
        return np.empty(0)
    return transposed_times(inverse, lower_times(inverse, chosen_right))
