"""The maximum of Prophet's posterior, exactly: a ridge regression with a small lasso inside, and one variance.

With y divided by its largest absolute value, t running from 0 to 1, hinges h_j = (t - c_j)+ and harmonics X,
Prophet's Stan program (`prophet.stan`) maximises, up to a constant,

    -N log s - |y - k t - m - h delta - X beta|^2 / (2 s^2) - 2 s^2
    - (k^2 + m^2) / 50 - sum |delta_j| / tau - sum beta_i^2 / (2 scale_i^2)

For a given s^2, k, m and beta are eliminated by a Cholesky factor, and a lasso in delta remains, which the
feature-sign search solves exactly (Lee, Battle, Raina, Ng: Efficient sparse coding algorithms, 2006). For given
residuals, s^2 is the root of 4 s^4 + N s^2 = RSS. The two steps alternate. Seasons that multiply the trend are made
linear around the last solution (Gauss-Newton), and solved in the same way.

This source is run as it is, on `dense`, or compiled, on `rows` and `loops`.
"""

import numpy as np

from fleetcast_engine.history.timeline import Floats, Ints
from fleetcast_engine.prophet.kernel.dense import (
    Data,
    Products,
    awake,
    dot,
    each_times,
    inverse_factor,
    loudest,
    lower_times,
    multiplied_square,
    plus,
    reduce_hinges,
    solve_active,
    statistics,
    tilted_statistics,
    times,
    transposed_times,
)

SOLVED, SINGULAR, ENDLESS, PERFECT = 0, 1, 2, 3
_ROUNDS = 200
_PIVOTS = 1000
# Relative change of s^2 between rounds. The posterior is flat there: its own error is the square of this.
_TOLERANCE = 1e-11
# Columns that nearly coincide, as a regressor that grows with time, leave no more digits than these.
_PATIENCE = 30
_COARSE_TOLERANCE = 1e-8
# Below this share of what the straight line leaves, sums of squares have no digits left to compare.
_PERFECT_SHARE = 1e-10
# Residuals of this size, in units of the largest value, are rounding.
_PERFECT_SQUARE = 1e-20
# No secant step is longer than this many plain ones: the variance must not jump into another maximum.
_LONGEST_STEP = 4.0
# The Gauss-Newton steps end where they gain fewer nats than this.
_ENERGY_TOLERANCE = 1e-9
_SHORTEST_STEP = 1e-9

Solution = tuple[int, int, float, float, Floats, Floats]


def maximum(
    timestamps: Ints,
    values: Floats,
    periods: Floats,
    orders: Ints,
    extras: Floats,
    precisions: Floats,
    multiplied: Floats,
    multiplicative: bool,
    linear: float,
    changes: Ints,
    tau: float,
) -> Solution:
    """Return the maximum: how it ended, rounds, scale, s^2, [k, m, beta] and delta.

    Args:
        timestamps: seconds, sorted, at least two.
        values: as many.
        periods: of the seasonalities, in days.
        orders: of the seasonalities.
        extras: the columns beyond harmonics, one per row of this matrix.
        precisions: one over the prior variance of k, m and each beta.
        multiplied: 1 for each beta whose column multiplies the trend, 0 for the others.
        multiplicative: whether there is any of those.
        linear: 1 for a linear trend, 0 for one that stays at m and has no changepoints.
        changes: the changepoints in seconds, sorted, between the first timestamp and the last.
        tau: the scale of the changepoints' Laplace prior.
    """
    data = (timestamps, values, periods, orders, extras)
    scale, slope, height, at, products = statistics(data, linear, changes)
    line = np.zeros(len(precisions))
    line[0], line[1] = slope, height
    delta = np.zeros(len(at))
    if multiplicative:
        scaling = np.empty(3)
        scaling[0], scaling[1], scaling[2] = scale, slope, height
        status, rounds, variance, free = _gauss_newton(
            data, linear, at, scaling, multiplied, precisions, line, tau, delta
        )
        return status, rounds, scale, variance, free, delta
    pull, first = each_times(precisions, line), best_variance(len(values), products[0][2])
    status, rounds, variance, free = _alternate(len(values), products, precisions, pull, tau, delta, first)
    return status, rounds, scale, variance, plus(free, 1.0, line), delta


def _gauss_newton(
    data: Data,
    linear: float,
    at: Floats,
    scaling: Floats,
    multiplied: Floats,
    precisions: Floats,
    line: Floats,
    tau: float,
    delta: Floats,
) -> tuple[int, int, float, Floats]:
    """Solve the model made linear around the last solution, until that changes nothing; fills `delta`.

    A step that does not raise the posterior itself is halved until it does.
    """
    count, free = len(data[1]), line.copy()
    square = multiplied_square(data, linear, at, scaling, multiplied, free, delta)
    if square <= _PERFECT_SQUARE * count:
        return PERFECT, 0, 0.0, free
    variance, pull = best_variance(count, square), each_times(precisions, line)
    lowest = _energy(count, square, variance, free, delta, precisions, tau)
    for done in range(1, _ROUNDS + 1):
        products = tilted_statistics(data, linear, at, scaling, multiplied, free, delta)
        goal_delta = delta.copy()
        status, _, _, goal = _alternate(count, products, precisions, pull, tau, goal_delta, variance)
        if status != SOLVED:
            return status, done, variance, free
        step, step_delta, share = plus(plus(goal, 1.0, line), -1.0, free), plus(goal_delta, -1.0, delta), 1.0
        while share > _SHORTEST_STEP:
            trial, trial_delta = plus(free, share, step), plus(delta, share, step_delta)
            square = multiplied_square(data, linear, at, scaling, multiplied, trial, trial_delta)
            trial_variance = best_variance(count, max(square, _PERFECT_SQUARE * count))
            energy = _energy(count, square, trial_variance, trial, trial_delta, precisions, tau)
            if energy < lowest:
                break
            share *= 0.5
        if share <= _SHORTEST_STEP:
            return SOLVED, done, variance, free
        gained, lowest, variance, free = lowest - energy, energy, trial_variance, trial
        for j in range(len(delta)):  # assigning a slice takes seconds to compile
            delta[j] = trial_delta[j]
        if square <= _PERFECT_SHARE * products[0][2]:
            return PERFECT, done, variance, free
        if gained < _ENERGY_TOLERANCE * (1 + 1e-3 * abs(lowest)):
            return SOLVED, done, variance, free
    return ENDLESS, _ROUNDS, variance, free


def _energy(
    count: int,
    square: float,
    variance: float,
    free: Floats,
    delta: Floats,
    precisions: Floats,
    tau: float,
) -> float:
    """Return the posterior's negative logarithm, as in the formula above."""
    likelihood = 0.5 * count * np.log(variance) + 0.5 * square / variance + 2 * variance
    return float(
        likelihood + 0.5 * dot(free, each_times(precisions, free)) + dot(delta, np.sign(delta)) / tau
    )


def _alternate(
    count: int,
    products: Products,
    precisions: Floats,
    pull: Floats,
    tau: float,
    delta: Floats,
    first: float,
) -> tuple[int, int, float, Floats]:
    """Alternate between the coefficients and s^2, which starts at `first`; moves `delta` from where it is."""
    free = np.zeros(len(precisions))
    normal, hinges = products
    total = normal[2]
    if total <= _PERFECT_SQUARE * count:
        return PERFECT, 0, 0.0, free
    signs = np.sign(delta)
    logarithm = np.log(first)
    last, last_step = logarithm, 0.0
    for done in range(1, _ROUNDS + 1):
        variance = np.exp(logarithm)
        status, free = _coefficients(variance, normal, hinges, precisions, pull, tau, delta, signs)
        if status != SOLVED:
            return status, done, variance, free
        square = _residual_square(normal, hinges, free, delta)
        if square <= _PERFECT_SHARE * total:
            return PERFECT, done, variance, free
        variance = best_variance(count, square)
        step = np.log(variance) - logarithm
        if abs(step) < (_TOLERANCE if done < _PATIENCE else _COARSE_TOLERANCE):
            return SOLVED, done, variance, free
        longer = _secant(logarithm, step, last, last_step)
        last, last_step = logarithm, step
        logarithm += longer
    return ENDLESS, _ROUNDS, variance, free


def best_variance(count: int, square: float) -> float:
    """Return the s^2 at which the posterior is highest, given the residuals' sum of squares."""
    return float(2 * square / (count + np.sqrt(count * count + 16 * square)))


def _secant(at: float, step: float, last: float, last_step: float) -> float:
    """Return how far to go in log s^2: the plain step, lengthened by the ratio at which steps shrink."""
    if last_step == 0 or at == last:
        return step
    shrink = 1 + (step - last_step) / (at - last)
    return step / (1 - min(max(shrink, 0.0), 1 - 1 / _LONGEST_STEP))


def _coefficients(
    variance: float,
    normal: tuple[Floats, Floats, float],
    hinges: tuple[Floats, Floats, Floats],
    precisions: Floats,
    pull: Floats,
    tau: float,
    delta: Floats,
    signs: Floats,
) -> tuple[int, Floats]:
    """Return the free coefficients for a given s^2; moves `delta` and `signs` from the last ones to the best."""
    gram, with_values, _ = normal
    ridge = gram.copy()
    for i in range(len(precisions)):
        ridge[i, i] += variance * precisions[i]
    inverse = inverse_factor(ridge)
    if len(inverse) == 0:
        return SINGULAR, pull
    projected = lower_times(inverse, plus(with_values, -variance, pull))
    if len(delta) == 0:
        return SOLVED, transposed_times(inverse, projected)
    return _search(variance / tau, inverse, projected, hinges, delta, signs)


def _search(
    penalty: float,
    inverse: Floats,
    projected: Floats,
    hinges: tuple[Floats, Floats, Floats],
    delta: Floats,
    signs: Floats,
) -> tuple[int, Floats]:
    """Run the feature-sign search: settle the active hinges, wake the one that pulls hardest, repeat."""
    count = len(delta)
    reduced = (np.zeros((count, len(projected))), np.zeros((count, count)), np.zeros(count))
    known = np.sign(signs)
    active = awake(signs)
    if len(active) > 0:
        reduce_hinges(active, inverse, projected, hinges, reduced)
    for _ in range(_PIVOTS):
        if not _settle(penalty, reduced, delta, signs):
            return SINGULAR, projected
        free = transposed_times(inverse, plus(projected, -1.0, transposed_times(reduced[0], delta)))
        explained = plus(times(hinges[0], free), 1.0, times(hinges[1], delta))
        pulls = plus(hinges[2], -1.0, explained)
        wake = loudest(pulls, signs)
        if signs[wake] != 0 or abs(pulls[wake]) <= penalty * (1 + 1e-9):
            return SOLVED, free
        signs[wake] = np.sign(pulls[wake])
        if known[wake] == 0:
            known[wake] = 1.0
            woken = np.empty(1, np.int64)
            woken[0] = wake
            reduce_hinges(woken, inverse, projected, hinges, reduced)
    return ENDLESS, projected


def _settle(penalty: float, reduced: tuple[Floats, Floats, Floats], delta: Floats, signs: Floats) -> bool:
    """Minimise over the active hinges; one that would change its sign stops at zero and leaves."""
    _, gram, products = reduced
    while True:
        active = awake(signs)
        if len(active) == 0:
            return True
        goal = solve_active(gram, active, plus(products, -penalty, signs))
        if len(goal) == 0:
            return False
        share, stops = 1.0, -1
        for i in range(len(active)):
            here = delta[active[i]]
            if goal[i] * signs[active[i]] <= 0:
                reach = here / (here - goal[i]) if here != goal[i] else 0.0
                if stops < 0 or reach < share:
                    share, stops = reach, i
        for i in range(len(active)):
            delta[active[i]] += share * (goal[i] - delta[active[i]])
        if stops < 0:
            return True
        delta[active[stops]] = 0.0
        signs[active[stops]] = 0.0


def _residual_square(
    normal: tuple[Floats, Floats, float],
    hinges: tuple[Floats, Floats, Floats],
    free: Floats,
    delta: Floats,
) -> float:
    square = normal[2] + dot(free, plus(times(normal[0], free), -2.0, normal[1]))
    if len(delta) > 0:
        pulls = plus(times(hinges[0], free), -1.0, hinges[2])
        square += dot(delta, plus(times(hinges[1], delta), 2.0, pulls))
    return square
