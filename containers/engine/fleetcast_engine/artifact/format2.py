"""Format 2: a JSON header for people, and all numbers of the model as one block of base64.

`{"checksum":"crc32:…","format":2, …, "params":{…},"numbers":"…"}`, where the checksum is that of all bytes after it,
as they lie. It tells of accidents and is nobody's signature. What is read is checked in bulk, and what models share
only once; only where something is wrong is it looked for, field by field.
"""

import binascii
import json
import zlib
from collections.abc import Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any

from fleetcast_engine.artifact import parameters
from fleetcast_engine.artifact.fields import Fields
from fleetcast_engine.artifact.limits import MAX_NUMBER, MAX_SECONDS, MAX_TEXT
from fleetcast_engine.artifact.moments import iso_time, seconds_of
from fleetcast_engine.errors import BadParameters, WrongChecksum
from fleetcast_engine.history.series import EARLIEST, LATEST
from fleetcast_engine.history.timeline import IRREGULAR, MONTHLY, SPACINGS, Timeline
from fleetcast_engine.model import FAMILIES, FittedModel, Metrics

FORMAT = 2
_MAX_ORIGINS = 10**6
_MAX_BLOCK = 2**20
_OPENING = b'{"checksum":"crc32:%08x",'
_COVERED = len(_OPENING % 0)
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_TYPES = {
    "checksum": str,
    "format": int,
    "customer_id": str,
    "run_id": str,
    "family": str,
    "frequency": str,
    "frequency_seconds": int,
    "month_day": int,
    "trained_at": str,
    "training_start": str,
    "training_end": str,
    "horizon": int,
    "nonnegative": bool,
    "mae": float,
    "naive_mae": float,
    "origins": int,
    "params": dict,
    "numbers": str,
}
_TYPES_IN_ORDER = tuple(_TYPES.values())
_FIELDS = itemgetter(*_TYPES)


def write(model: FittedModel) -> bytes:
    """Return the document.

    Raises:
        BadParameters: the model has a number that is none, one too large, or a time outside the calendar.
    """
    try:
        covered = _ENCODER.encode(_document(model))[1:].encode("ascii")
    except (ValueError, OverflowError, OSError) as error:  # the last is the system's calendar
        raise BadParameters(f"the model has a number that cannot be written: {error}") from error
    return _OPENING % zlib.crc32(covered) + covered


def _document(model: FittedModel) -> dict[str, Any]:
    timeline, params, numbers = model.timeline, *parameters.write(model.parameters)
    return {
        "format": FORMAT,
        "customer_id": model.customer_id,
        "run_id": model.run_id,
        "family": model.family,
        "frequency": timeline.frequency,
        "frequency_seconds": timeline.seconds,
        "month_day": timeline.month_day,
        "trained_at": iso_time(model.trained_at),
        "training_start": iso_time(model.training_start),
        "training_end": iso_time(timeline.end),
        "horizon": model.horizon,
        "nonnegative": model.nonnegative,
        "mae": float(model.metrics.mae),
        "naive_mae": float(model.metrics.naive_mae),
        "origins": model.metrics.origins,
        "params": params,
        "numbers": binascii.b2a_base64(numbers, newline=False).decode("ascii"),
    }


def numbers_begin(text: bytes) -> int:
    """Return where in the document its numbers begin; they are most of it."""
    return text.rindex(b'"', 0, -len(b'"}')) + 1


def verify(text: bytes) -> None:
    """Compare the document's checksum with its bytes.

    Raises:
        WrongChecksum: it is not what was written.
    """
    if not text.startswith(_OPENING % zlib.crc32(memoryview(text)[_COVERED:])):
        raise WrongChecksum("the model does not match its checksum; it was changed or damaged after training")


def read(document: Mapping[str, Any]) -> FittedModel:
    """Check a document whose checksum is right, and return its model.

    Raises:
        BadParameters: a field is missing, of another type or out of bounds; the text names it.
    """
    try:
        values = _FIELDS(document)
    except KeyError:
        values = ()
    if tuple(map(type, values)) != _TYPES_IN_ORDER or len(document) != len(values):
        raise _reason(document)
    _, _, customer, run, family, frequency, seconds, month_day, trained_at, start, end, *rest = values
    horizon, nonnegative, mae, naive_mae, origins, params, numbers = rest
    try:
        timeline = _timeline(frequency, seconds, end, month_day)
        run, family, start, trained_at = _name(run), _family(family), _moment(start), _moment(trained_at)
    except (ValueError, OverflowError):
        raise _reason(document) from None
    if not (
        len(customer) <= MAX_TEXT
        and 1 <= horizon <= MAX_SECONDS
        and 0 <= origins <= _MAX_ORIGINS
        and 0 <= mae <= MAX_NUMBER
        and 0 <= naive_mae <= MAX_NUMBER
    ):
        raise _reason(document)
    return FittedModel(
        customer,
        run,
        family,
        parameters.read(family, params, _block(numbers)),
        timeline,
        start,
        trained_at,
        horizon,
        Metrics(mae, naive_mae, origins),
        nonnegative,
    )


def _block(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise BadParameters("the model's numbers are not base64") from error


# The models of a fleet belong to few runs, and most of their series begin and end together: what they share is
# checked once, and there once.
@lru_cache(maxsize=256)
def _name(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise ValueError(text)
    return text


@lru_cache(maxsize=256)
def _family(text: str) -> str:
    return FAMILIES[FAMILIES.index(text)]


@lru_cache(maxsize=1024)
def _moment(text: str) -> int:
    seconds = seconds_of(text)
    if not EARLIEST < seconds < LATEST:
        raise ValueError(text)
    return seconds


@lru_cache(maxsize=1024)
def _timeline(frequency: str, seconds: int, end: str, month_day: int) -> Timeline:
    known = frequency in SPACINGS or frequency == IRREGULAR
    if not known or not 1 <= seconds <= MAX_SECONDS or not (frequency == MONTHLY) <= month_day <= 31:
        raise ValueError(frequency)
    return Timeline(_name(frequency), seconds, _moment(end), month_day)


def _reason(document: Mapping[str, Any]) -> BadParameters:
    """Return what is wrong with a header that something is wrong with."""
    fields = Fields(document)
    try:
        fields.choice("family", FAMILIES)
        for name, most in (("customer_id", MAX_TEXT), ("run_id", MAX_TEXT), ("numbers", _MAX_BLOCK)):
            fields.text(name, most)
        frequency = fields.choice("frequency", (*SPACINGS, IRREGULAR))
        fields.integer("frequency_seconds", 1, MAX_SECONDS)
        fields.integer("month_day", 1 if frequency == MONTHLY else 0, 31)
        for name in ("trained_at", "training_start", "training_end"):
            fields.time(name)
        fields.integer("horizon", 1, MAX_SECONDS)
        fields.integer("origins", 0, _MAX_ORIGINS)
        fields.flag("nonnegative")
        for name in ("mae", "naive_mae"):
            fields.number(name, 0)
        fields.object("params")
        fields.nothing_but(*_TYPES)
    except BadParameters as error:
        return error
    return BadParameters("the model's mae and naive_mae are not written as numbers with a fraction")
