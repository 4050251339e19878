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
    dot,
    inverse_factor,
    lower_times,
    multiplied_square,
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
# Below this share of what the straight line leaves, sums of squares have no digits left to compare.
_PERFECT_SHARE = 1e-10
# Residuals of this size, in units of the largest value, are rounding.
_PERFECT_SQUARE = 1e-20
# No secant step is longer than this many plain ones: the variance must not jump into another maximum.
_LONGEST_STEP = 4.0
# The Gauss-Newton steps end where they gain fewer nats than this.
_ENERGY_TOLERANCE = 1e-9
_SHORTEST_STEP = 1e-9

Solution = tuple[int, int, float, float, Floats, Floats, Ints]


def maximum(
    timestamps: Ints,
    values: Floats,
    periods: Floats,
    orders: Ints,
    precisions: Floats,
    linear: float,
    changepoints: int,
    changepoint_range: float,
    tau: float,
    multiplicative: bool,
) -> Solution:
    """Return the maximum: how it ended, rounds, scale, s^2, [k, m, beta], delta and the changepoints' rows.

    Args:
        timestamps: seconds, sorted, at least two.
        values: as many.
        periods: of the seasonalities, in days.
        orders: of the seasonalities.
        precisions: one over the prior variance of k, m and each beta.
        linear: 1 for a linear trend, 0 for one that stays at m and needs no changepoints.
        changepoints: how many, where there are rows enough.
        changepoint_range: the share of the rows that they lie in.
        tau: the scale of the changepoints' Laplace prior.
        multiplicative: whether the seasonalities multiply the trend.
    """
    scale, slope, height, rows, at, normal, hinges = statistics(
        timestamps, values, periods, orders, linear, changepoints, changepoint_range
    )
    line = np.zeros(len(precisions))
    line[0], line[1] = slope, height
    delta = np.zeros(len(rows))
    if multiplicative:
        scaling = np.array([scale, slope, height])
        status, rounds, variance, free = _gauss_newton(
            timestamps, values, periods, orders, at, scaling, precisions, line, tau, delta
        )
        return status, rounds, scale, variance, free, delta, rows
    pull, first = precisions * line, best_variance(len(values), normal[2])
    status, rounds, variance, free = _alternate(
        len(values), normal, hinges, precisions, pull, tau, delta, first
    )
    return status, rounds, scale, variance, free + line, delta, rows


def _gauss_newton(
    timestamps: Ints,
    values: Floats,
    periods: Floats,
    orders: Ints,
    at: Floats,
    scaling: Floats,
    precisions: Floats,
    line: Floats,
    tau: float,
    delta: Floats,
) -> tuple[int, int, float, Floats]:
    """Solve the model made linear around the last solution, until that changes nothing; fills `delta`.

    A step that does not raise the posterior itself is halved until it does.
    """
    count, free = len(values), line.copy()
    square = multiplied_square(timestamps, values, periods, orders, at, scaling, free, delta)
    if square <= _PERFECT_SQUARE * count:
        return PERFECT, 0, 0.0, free
    variance = best_variance(count, square)
    lowest = _energy(count, square, variance, free, delta, precisions, tau)
    for done in range(1, _ROUNDS + 1):
        normal, hinges = tilted_statistics(timestamps, values, periods, orders, at, scaling, free, delta)
        goal_delta = delta.copy()
        status, _, _, goal = _alternate(
            count, normal, hinges, precisions, precisions * line, tau, goal_delta, variance
        )
        if status != SOLVED:
            return status, done, variance, free
        step, step_delta, share = goal + line - free, goal_delta - delta, 1.0
        while share > _SHORTEST_STEP:
            trial, trial_delta = free + share * step, delta + share * step_delta
            square = multiplied_square(timestamps, values, periods, orders, at, scaling, trial, trial_delta)
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
        if square <= _PERFECT_SHARE * normal[2]:
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
    return float(likelihood + 0.5 * dot(free, precisions * free) + np.abs(delta).sum() / tau)


def _alternate(
    count: int,
    normal: tuple[Floats, Floats, float],
    hinges: tuple[Floats, Floats, Floats],
    precisions: Floats,
    pull: Floats,
    tau: float,
    delta: Floats,
    first: float,
) -> tuple[int, int, float, Floats]:
    """Alternate between the coefficients and s^2, which starts at `first`; moves `delta` from where it is."""
    free = np.zeros(len(precisions))
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
        if abs(step) < _TOLERANCE:
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
    projected = lower_times(inverse, with_values - variance * pull)
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
    known = signs != 0
    active = np.flatnonzero(signs)
    if len(active) > 0:
        reduce_hinges(active, inverse, projected, hinges, reduced)
    for _ in range(_PIVOTS):
        if not _settle(penalty, reduced, delta, signs):
            return SINGULAR, projected
        free = transposed_times(inverse, projected - transposed_times(reduced[0], delta))
        pulls = hinges[2] - times(hinges[0], free) - times(hinges[1], delta)
        wake = int(np.argmax(np.abs(pulls) * (signs == 0)))
        if signs[wake] != 0 or abs(pulls[wake]) <= penalty * (1 + 1e-9):
            return SOLVED, free
        signs[wake] = np.sign(pulls[wake])
        if not known[wake]:
            known[wake] = True
            reduce_hinges(np.array([wake]), inverse, projected, hinges, reduced)
    return ENDLESS, projected


def _settle(penalty: float, reduced: tuple[Floats, Floats, Floats], delta: Floats, signs: Floats) -> bool:
    """Minimise over the active hinges; one that would change its sign stops at zero and leaves."""
    _, gram, products = reduced
    while True:
        active = np.flatnonzero(signs)
        if len(active) == 0:
            return True
        goal = solve_active(gram, active, products[active] - penalty * signs[active])
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
    square = normal[2] + dot(free, times(normal[0], free) - 2 * normal[1])
    if len(delta) > 0:
        square += dot(delta, 2 * times(hinges[0], free) + times(hinges[1], delta) - 2 * hinges[2])
    return square
