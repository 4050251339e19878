"""The stored model: `model.json` in a tar.gz of a kilobyte or two, the same bytes for the same model.

Reading trusts nothing. The archive is never extracted, the document is data and not code, and every number is
checked before a model is made of it.
"""

import json
import os
import stat
import struct
import zlib
from pathlib import Path
from typing import Any, NoReturn

from fleetcast_engine.artifact import format1, format2, tar
from fleetcast_engine.artifact.memory import size_of
from fleetcast_engine.errors import BadParameters, NewerFormat, NotAModel
from fleetcast_engine.model import FittedModel, LoadedModel

MODEL_FILE = "model.json"
# A model is a few kilobytes; whatever is far larger is not one of ours.
_MAX_DOCUMENT = 256 * 1024
_MAX_ARCHIVE = 1024 * 1024
# What a document that nobody thought of may raise, such as one nested just too deep for its checksum to be made.
_UNFORESEEN = (ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
# A link is not followed, and a pipe is not waited for.
_READ_ONLY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

# Written by hand because gzip's own header names the operating system and the time.
_GZIP_HEADER = b"\x1f\x8b\x08\x00" + bytes(4) + b"\x02\xff"
# Measured: higher levels gain nothing for so little, and a header's own codes gain 100 bytes, but inflating by the
# fixed ones takes a quarter less time.
_LEVEL = 3
# So much of the numbers is not compressed at all, which loses a quarter of it and halves the time again. With more,
# the largest models would exceed 4 kB.
_MOST_STORED = 3000


def pack(model: FittedModel) -> bytes:
    """Return the model's artifact.

    Raises:
        BadParameters: the model could not be read again: a number is not finite, or something is out of bounds.
    """
    document = format2.write(model)
    if len(document) > _MAX_DOCUMENT:
        raise BadParameters(f"the model takes {len(document)} bytes; at most {_MAX_DOCUMENT} are read")
    # It costs half as much again, and nobody finds out at the day of serving that the model is lost.
    format2.read(_parse(document))
    archive = tar.write(MODEL_FILE, document)
    return _gzip(archive, archive.index(document) + format2.numbers_begin(document))


def load(directory: Path) -> LoadedModel:
    """Read the model from the directory that its artifact was extracted to.

    Raises:
        ArtifactError: what is there is not a model that can be used; its class says why.
    """
    return decode(read_document(directory))


def unpack(artifact: bytes) -> LoadedModel:
    """Read the model from its artifact without extracting it.

    Raises:
        ArtifactError: what is there is not a model that can be used; its class says why.
    """
    return decode(tar.read(_gunzip(artifact), MODEL_FILE, _MAX_DOCUMENT))


def read_document(directory: Path) -> bytes:
    """Return the stored model's document, unread, from the directory that its artifact was extracted to.

    Raises:
        ArtifactError: there is no ordinary file of a model's size.
    """
    return _content(f"{os.fspath(directory)}/{MODEL_FILE}")


def decode(text: bytes) -> LoadedModel:
    """Return the model of a document.

    Raises:
        ArtifactError: it is not a model that can be used; its class says why.
    """
    document = _parse(text)
    found = document.get("format")
    if type(found) is not int or found < 1:
        raise NotAModel(f"{MODEL_FILE} has no format number")
    if found > format2.FORMAT:
        raise NewerFormat(
            f"{MODEL_FILE} has format {found}; this release reads up to {format2.FORMAT}, so update it"
        )
    try:
        model = _verified(text, document) if found == format2.FORMAT else format1.read(document)
    except _UNFORESEEN as error:
        raise NotAModel(f"{MODEL_FILE} cannot be read as a model: {type(error).__name__}") from error
    return LoadedModel(model, size_of(model))


def _verified(text: bytes, document: dict[str, Any]) -> FittedModel:
    format2.verify(text)
    return format2.read(document)


def _refuse_constant(name: str) -> NoReturn:
    raise BadParameters(f"{MODEL_FILE} holds {name}; every number of a model is finite")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _parse(text: bytes) -> dict[str, Any]:
    try:
        characters = text.decode()
        document, end = _DECODER.raw_decode(characters)
    except (ValueError, RecursionError) as error:
        raise NotAModel(f"{MODEL_FILE} is not JSON: {type(error).__name__}") from error
    if not isinstance(document, dict) or end != len(characters):
        raise NotAModel(f"{MODEL_FILE} is not a JSON object")
    return document


def _content(path: str) -> bytes:
    try:
        descriptor = os.open(path, _READ_ONLY)
    except (OSError, ValueError) as error:
        if os.path.lexists(path):
            raise NotAModel(f"{path} is not an ordinary file, or not to be read") from error
        raise NotAModel(f"there is no {MODEL_FILE} in {os.path.dirname(path)}") from error  # noqa: PTH120
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotAModel(f"{path} is not an ordinary file")
        if status.st_size > _MAX_DOCUMENT:
            raise NotAModel(f"{path} has {status.st_size} bytes; a model has at most {_MAX_DOCUMENT}")
        return os.read(descriptor, status.st_size)
    except OSError as error:
        raise NotAModel(f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _gzip(data: bytes, numbers: int) -> bytes:
    """Return the data compressed, but for most of the numbers, a text that begins at that byte."""
    end = min(numbers + _MOST_STORED, data.index(b'"', numbers))
    header, rest = _compressor(zlib.Z_FIXED), _compressor(zlib.Z_DEFAULT_STRATEGY)
    return b"".join(
        (
            _GZIP_HEADER,
            header.compress(data[:numbers]),
            # What follows refers to nothing before it.
            header.flush(zlib.Z_FULL_FLUSH),
            struct.pack("<xHH", end - numbers, (end - numbers) ^ 0xFFFF),
            data[numbers:end],
            rest.compress(data[end:]),
            rest.flush(),
            struct.pack("<II", zlib.crc32(data), len(data)),
        )
    )


def _compressor(strategy: int) -> "zlib._Compress":
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, strategy=strategy)


def _gunzip(artifact: bytes) -> bytes:
    decompressor = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        data = decompressor.decompress(artifact, _MAX_ARCHIVE)
    except zlib.error as error:
        raise NotAModel("the artifact is not a gzip file, or a damaged one") from error
    if decompressor.unconsumed_tail:
        raise NotAModel(f"the artifact unpacks to more than {_MAX_ARCHIVE} bytes")
    if not decompressor.eof:
        raise NotAModel("the artifact is cut off")
    if decompressor.unused_data:
        raise NotAModel("the artifact goes on behind its end")
    return data
