"""Families that a user brings: one function each, named in the settings as `package.module:attribute`."""

from collections.abc import Callable
from importlib import import_module

import numpy as np

from fleetcast_engine.choice.past import Past
from fleetcast_engine.errors import UnknownFamily
from fleetcast_engine.history.timeline import Floats, Ints

UserFamily = Callable[[Floats, Ints, int], Floats]
"""values (n,) with NaN where nothing is known, their timestamps (n,) in seconds, horizon → forecast (horizon,)."""

# Signed, unsigned and floating: text, dates, objects, booleans and complex numbers are no forecast.
_NUMERIC = "iuf"


class Unusable(Exception):
    """A user's family is out of the race for this customer; the text says why."""


def load_family(name: str) -> UserFamily:
    """Return the function that `package.module:attribute` names.

    Raises:
        UnknownFamily: there is no such thing, or it cannot be called.
    """
    module, _, attribute = name.partition(":")
    try:
        family = getattr(import_module(module), attribute)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # importing runs the user's code, which may even call sys.exit
        raise UnknownFamily(f"the family {name} cannot be loaded: {_told(error)}") from error
    if not callable(family):
        raise UnknownFamily(f"the family {name} is not a function")
    loaded: UserFamily = family
    return loaded


def forecasts_of(family: UserFamily, past: Past) -> Floats:
    """Return the family's forecast from each origin, given nothing that lies after it.

    Raises:
        Unusable: it raised, or gave back something else than finite numbers, one per step.
    """
    return np.stack([_checked(family, past, int(origin)) for origin in past.origins])


def _checked(family: UserFamily, past: Past, origin: int) -> Floats:
    known = slice(0, origin + 1)
    try:
        answer = family(past.values[known].copy(), past.timestamps[known].copy(), past.horizon)
        array = np.asarray(answer)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the user's code may raise anything, and even call sys.exit
        raise Unusable(f"it raised {type(error).__name__}: {error}") from error
    if np.ma.is_masked(answer):
        raise Unusable("it returned masked values")
    if array.dtype.kind not in _NUMERIC:
        raise Unusable(f"it returned {array.dtype.name} instead of real numbers")
    if array.shape != (past.horizon,):
        raise Unusable(f"it returned the shape {array.shape} instead of {(past.horizon,)}")
    if not np.isfinite(array).all():
        raise Unusable("it returned values that are not finite")
    return array.astype(np.float64)


def _told(error: BaseException) -> str:
    return str(error) if isinstance(error, Exception) else f"{type(error).__name__}: {error}"
