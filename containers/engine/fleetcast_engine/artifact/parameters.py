"""The parameters of each family as a small JSON object and the numbers that belong to it, and back."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from operator import itemgetter
from typing import Any

import numpy as np

from fleetcast_engine.artifact import prophet_parameters
from fleetcast_engine.artifact.fields import Fields
from fleetcast_engine.artifact.limits import MAX_NAME, MAX_NUMBER
from fleetcast_engine.artifact.numbers import Numbers, doubles, singles
from fleetcast_engine.artifact.prophet_parameters import StoredProphet
from fleetcast_engine.choice.mix import LEVELS, MixModel
from fleetcast_engine.choice.naive import NaiveModel
from fleetcast_engine.errors import BadParameters
from fleetcast_engine.history.timeline import Ints
from fleetcast_engine.model import MIX, PROPHET, SEASONAL_NAIVE, Parameters
from fleetcast_engine.prophet.model import ProphetModel

_MAX_STEPS = 10_000
_MAX_BLOCKS = 100
_MAX_MEMBERS = 20
_MIX_NAMES = ("offset", "unit", "season", "blocks", "members", "tail")
_MIX_FIELDS = itemgetter(*_MIX_NAMES)
_TAILS = (PROPHET, SEASONAL_NAIVE)
_PRECISIONS = ("double", "single")
_NUMBERS = {int, float}


def write(parameters: Parameters) -> tuple[dict[str, Any], bytes]:
    """Return the JSON object and the numbers.

    Raises:
        BadParameters: one of them could not be read again.
    """
    if isinstance(parameters, MixModel):
        return _write_mix(parameters)
    return _write_alone(parameters)


def read(family: str, params: dict[str, Any], block: bytes) -> Parameters:
    """Check the JSON object and the numbers, and return the parameters that they describe.

    Raises:
        BadParameters: a field is missing, of another type or out of bounds; the text names it.
    """
    numbers = Numbers(block)
    parameters = _read_mix(params, numbers) if family == MIX else _read_alone(family, params, numbers)
    numbers.finish()
    return parameters.unpacked() if isinstance(parameters, StoredProphet) else parameters


def _write_alone(parameters: ProphetModel | NaiveModel) -> tuple[dict[str, Any], bytes]:
    return (
        _write_naive(parameters)
        if isinstance(parameters, NaiveModel)
        else prophet_parameters.write(parameters)
    )


def _read_alone(family: str, params: dict[str, Any], numbers: Numbers) -> StoredProphet | NaiveModel:
    return (
        _read_naive(params, numbers) if family == SEASONAL_NAIVE else prophet_parameters.read(params, numbers)
    )


def _write_naive(model: NaiveModel) -> tuple[dict[str, Any], bytes]:
    season = (singles if model.in_singles else doubles)("params.season", model.season)
    params = {"steps": len(model.season), "precision": _PRECISIONS[int(model.in_singles)]}
    if model.in_singles:
        params |= {"offset": float(model.offset), "unit": float(model.unit)}
    return params, doubles("params.sigma", [model.sigma]) + season


def _read_naive(params: dict[str, Any], numbers: Numbers) -> NaiveModel:
    fields = Fields(params, "params.")
    single = params.get("precision") == "single"
    fields.nothing_but("steps", "precision", *(("offset", "unit") if single else ()))
    steps = fields.integer("steps", 1, _MAX_STEPS)
    fields.choice("precision", _PRECISIONS)
    sigma = float(numbers.doubles("params.sigma", 1).item())
    if sigma < 0:
        raise BadParameters("the model's params.sigma is not a number from 0")
    if not single:
        return NaiveModel(numbers.doubles("params.season", steps), sigma)
    offset, unit = fields.number("offset"), fields.positive("unit")
    return NaiveModel(numbers.singles("params.season", steps), sigma, offset, unit)


def _write_mix(model: MixModel) -> tuple[dict[str, Any], bytes]:
    long_run = model.tail
    tail, numbers = _write_alone(long_run)
    params = {
        "offset": float(model.offset),
        "unit": float(model.unit),
        "season": model.season,
        "blocks": model.blocks.tolist(),
        "members": model.members,
        "tail": {"family": SEASONAL_NAIVE if isinstance(long_run, NaiveModel) else PROPHET, **tail},
    }
    path = singles("params.path", model.path_singles)
    return params, b"".join([numbers, path, singles("params.quantiles", model.quantile_singles)])


def _read_mix(params: dict[str, Any], numbers: Numbers) -> MixModel:
    try:
        offset, unit, season, blocks, members, tail = _MIX_FIELDS(params)
        if not (
            {type(offset), type(unit)} <= _NUMBERS
            and abs(offset) <= MAX_NUMBER
            and 0 < unit <= MAX_NUMBER
            and type(season) is int
            and 1 <= season <= _MAX_STEPS
            and type(members) is list
            and len(members) <= _MAX_MEMBERS
            and set(map(type, members)) <= {list}
            and type(tail) is dict
            and len(params) == len(_MIX_NAMES)
        ):
            raise _reason(params)
        blocks = _blocks(*blocks)
        members = tuple([_group(*names) for names in members])
    except (KeyError, TypeError, ValueError):
        raise _reason(params) from None
    family = tail.get("family")
    if family not in _TAILS:
        raise _reason(params)
    del tail["family"]
    long_run = _read_alone(family, tail, numbers)
    path = numbers.singles("params.path", int(blocks[-1]))
    quantiles = numbers.singles("params.quantiles", len(blocks) * len(LEVELS))
    falls = quantiles[1:] < quantiles[:-1]
    falls[len(LEVELS) - 1 :: len(LEVELS)] = False  # from one block to the next they may
    if np.count_nonzero(falls):
        raise BadParameters("the model's params.quantiles decrease")
    # In place: a view would be one more object for each model.
    quantiles.shape = (len(blocks), len(LEVELS))
    return MixModel(float(offset), float(unit), path, blocks, quantiles, season, long_run, members)


# A fleet has few of them.
@lru_cache(maxsize=64, typed=True)
def _blocks(*ends: int) -> Ints:
    if len(ends) > _MAX_BLOCKS or set(map(type, ends)) != {int} or not _increase(ends):
        raise ValueError(ends)
    blocks = np.array(ends, np.int64)
    blocks.flags.writeable = False
    return blocks


def _increase(ends: Sequence[int]) -> bool:
    return ends[0] >= 1 and ends[-1] <= _MAX_STEPS and all(a < b for a, b in pairwise(ends))


# Neither has it many groups of candidates, while every customer has some.
@lru_cache(maxsize=1024)
def _group(*names: str) -> tuple[str, ...]:
    if len(names) > _MAX_MEMBERS or any(type(name) is not str or len(name) > MAX_NAME for name in names):
        raise ValueError(names)
    return names


def _reason(params: dict[str, Any]) -> BadParameters:
    """Return what is wrong with a mix that something is wrong with."""
    fields = Fields(params, "params.")
    try:
        fields.nothing_but(*_MIX_NAMES)
        fields.number("offset")
        fields.positive("unit")
        fields.integer("season", 1, _MAX_STEPS)
        blocks = fields.integers("blocks", _MAX_BLOCKS)
        fields.values("members", _MAX_MEMBERS)
        fields.object("tail").choice("family", _TAILS)
    except BadParameters as error:
        return error
    if not blocks or not _increase(blocks):
        return BadParameters("the model's params.blocks does not increase from 1 on")
    return BadParameters("the model's params.members is not a list of lists of short texts")
