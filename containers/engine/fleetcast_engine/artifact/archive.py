"""The stored model: `model.json` in a tar.gz of about a kilobyte, the same bytes for the same model.

Reading trusts nothing. The archive is never extracted, the document is data and not code, and every
number is checked before a model is made of it.
"""

import hashlib
import io
import json
import stat
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from fleetcast_engine.artifact.document import model_from_document, model_to_document
from fleetcast_engine.errors import BadParameters, NewerFormat, NotAModel, WrongChecksum
from fleetcast_engine.model import FittedModel, LoadedModel

FORMAT = 1
MODEL_FILE = "model.json"
# A model is a few kilobytes; whatever is far larger is not one of ours.
_MAX_DOCUMENT = 256 * 1024
_MAX_ARCHIVE = 1024 * 1024


def pack(model: FittedModel) -> bytes:
    """Return the model's artifact."""
    return _gzip(_tar(_encode(model)))


def load(directory: Path) -> LoadedModel:
    """Read the model from the directory that its artifact was extracted to.

    Raises:
        ArtifactError: what is there is not a model that can be used; its class says why.
    """
    path = directory / MODEL_FILE
    try:
        status = path.lstat()
    except (OSError, ValueError) as error:
        raise NotAModel(f"there is no {MODEL_FILE} in {directory}") from error
    if not stat.S_ISREG(status.st_mode):
        raise NotAModel(f"{path} is not an ordinary file")
    if status.st_size > _MAX_DOCUMENT:
        raise NotAModel(f"{path} has {status.st_size} bytes; a model has at most {_MAX_DOCUMENT}")
    return _decode(path.read_bytes())


def unpack(artifact: bytes) -> LoadedModel:
    """Read the model from its artifact without extracting it.

    Raises:
        ArtifactError: what is there is not a model that can be used; its class says why.
    """
    return _decode(_only_member(_gunzip(artifact)))


def _encode(model: FittedModel) -> bytes:
    document = {"format": FORMAT, **model_to_document(model)}
    return _canonical({**document, "checksum": _checksum(document)})


def _decode(text: bytes) -> LoadedModel:
    document = _parse(text)
    _check_format(document.get("format"))
    checksum = document.pop("checksum", None)
    if checksum != _checksum(document):
        raise WrongChecksum(
            f"{MODEL_FILE} does not match its checksum; it was changed or damaged after training"
        )
    return model_from_document(document)


def _parse(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise NotAModel(f"{MODEL_FILE} is not JSON: {type(error).__name__}") from error
    if not isinstance(document, dict):
        raise NotAModel(f"{MODEL_FILE} is not a JSON object")
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise BadParameters(f"{MODEL_FILE} holds {name}; every number of a model is finite")


def _check_format(found: object) -> None:
    if type(found) is not int or found < 1:
        raise NotAModel(f"{MODEL_FILE} has no format number")
    if found > FORMAT:
        raise NewerFormat(f"{MODEL_FILE} has format {found}; this release reads up to {FORMAT}, so update it")


def _canonical(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _checksum(document: Mapping[str, Any]) -> str:
    try:
        return f"sha256:{hashlib.sha256(_canonical(document)).hexdigest()}"
    except ValueError as error:
        # JSON has no infinity, but 1e999 is read as one.
        raise BadParameters(f"{MODEL_FILE} holds a number beyond all bounds") from error


def _tar(document: bytes) -> bytes:
    header = tarfile.TarInfo(MODEL_FILE)
    header.size = len(document)
    padding = -len(document) % tarfile.BLOCKSIZE
    return header.tobuf(tarfile.USTAR_FORMAT) + document + bytes(padding + 2 * tarfile.BLOCKSIZE)


def _gzip(data: bytes) -> bytes:
    # Written by hand because gzip's own header names the operating system and the time.
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = compressor.compress(data) + compressor.flush()
    trailer = zlib.crc32(data).to_bytes(4, "little") + (len(data) & 0xFFFFFFFF).to_bytes(4, "little")
    return b"\x1f\x8b\x08\x00" + bytes(4) + b"\x02\xff" + body + trailer


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
    return data


def _only_member(archive: bytes) -> bytes:
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            members = tar.getmembers()
            wanted = [member for member in members if member.name == MODEL_FILE and member.isreg()]
            content = tar.extractfile(wanted[0]) if wanted else None
            if content is None or len(members) != 1:
                raise NotAModel(f"the artifact must hold one ordinary file, {MODEL_FILE}, and nothing else")
            return content.read(_MAX_DOCUMENT)
    except (tarfile.TarError, OSError, ValueError) as error:
        raise NotAModel("the artifact is not a tar archive, or a damaged one") from error
