"""Prophet's log posterior from its rows, as `prophet.stan` writes it: knows nothing of how we find its maximum."""

import warnings
from typing import Any

import numpy as np

from fleetcast_engine import ProphetOptions, Series
from fleetcast_engine.prophet.model import ProphetModel
from fleetcast_engine.prophet.stock import unfitted


def stan_data(series: Series, options: ProphetOptions | None = None) -> Any:
    """Return the data that Prophet would hand to Stan."""
    prophet, history = unfitted(series, options or ProphetOptions())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Prophet's use of pandas is not ours to mend
        return prophet.preprocess(history)


def stan_parameters(model: ProphetModel, data: Any) -> dict[str, Any]:
    """Return a model's parameters by their names in the Stan program."""
    beta = model.beta if len(model.beta) else np.zeros(data.K)
    return {
        "k": model.k,
        "m": model.m,
        "delta": model.delta.tolist(),
        "sigma_obs": model.sigma,
        "beta": beta.tolist(),
    }


def log_posterior(model: ProphetModel, data: Any) -> float:
    """Return the log posterior up to a constant that depends on the data only."""
    values, time = np.asarray(data.y, np.float64), np.asarray(data.t, np.float64)
    features, scales = data.X.to_numpy(), np.asarray(data.sigmas, np.float64)
    given = stan_parameters(model, data)
    beta, delta = np.asarray(given["beta"]), np.asarray(given["delta"])
    changes = np.asarray(data.t_change, np.float64)
    passed = time[:, None] >= changes
    trend = (model.k + passed @ delta) * time + model.m + passed @ (-changes * delta)
    if data.trend_indicator == 2:
        trend = np.full(len(time), model.m)
    additive, multiplicative = np.asarray(data.s_a), np.asarray(data.s_m)
    fitted = trend * (1 + features @ (multiplicative * beta)) + features @ (additive * beta)
    return float(
        -len(values) * np.log(model.sigma)
        - ((values - fitted) ** 2).sum() / (2 * model.sigma**2)
        - 2 * model.sigma**2
        - (model.k**2 + model.m**2) / 50
        - np.abs(delta).sum() / data.tau
        - (beta**2 / (2 * scales**2)).sum()
    )
