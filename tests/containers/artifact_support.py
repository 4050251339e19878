"""Artifacts as an attacker would make them: any document, signed as if it were ours."""

import gzip
import io
import json
import tarfile
import zlib
from pathlib import Path
from typing import Any

from tests.containers.engine_models import of_each_kind, regressors_for

from fleetcast_engine import FittedModel, LoadedModel, forecast, pack
from fleetcast_engine.artifact import format1

GOLDEN = Path(__file__).parent / "golden"


def text_of(artifact: bytes) -> bytes:
    """Return the document in an artifact."""
    with tarfile.open(fileobj=io.BytesIO(artifact), mode="r:gz") as archive:
        member = archive.extractfile("model.json")
        assert member is not None
        return member.read()


def document_of(model: FittedModel) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text_of(pack(model)))
    return document


def archive_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, content in members:
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), 1)


def header_of(size: bytes, name: str = "model.json", kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return a tar header with the checksum that it should have, whatever stands in its field of the size."""
    header = bytearray(tarfile.TarInfo(name).tobuf(tarfile.USTAR_FORMAT))
    header[124:136], header[148:156], header[156:157] = size, b" " * 8, kind
    header[148:156] = b"%06o\x00 " % sum(header)
    return bytes(header)


def artifact_of_text(text: bytes) -> bytes:
    return archive_of((tarfile.TarInfo("model.json"), text))


def signed(document: dict[str, Any]) -> bytes:
    """Return an artifact of the document with the checksum that it should have."""
    document = {name: value for name, value in document.items() if name != "checksum"}
    if document.get("format") == 1:
        document["checksum"] = format1.checksum(document)
        return artifact_of_text(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
    return artifact_of_text(signed_text(json.dumps(document, separators=(",", ":"))[1:].encode()))


def signed_text(covered: bytes) -> bytes:
    """Return a document of format 2 from what its checksum covers: all that follows it."""
    return b'{"checksum":"crc32:%08x",%b' % (zlib.crc32(covered), covered)


def documents_of_each_kind() -> dict[str, dict[str, Any]]:
    """Return the document of a model of each kind by name, and one of "format 1"."""
    old = json.loads(text_of((GOLDEN / "format-1" / "corrected.tar.gz").read_bytes()))
    return {name: document_of(model) for name, model in of_each_kind().items()} | {"format 1": old}


def put(document: dict[str, Any], path: str, value: Any) -> None:
    """Change a field, named by its path with dots."""
    *parents, last = path.split(".")
    for parent in parents:
        document = document[parent]
    document[last] = value


def ask(loaded: LoadedModel, steps: int = 40) -> list[float]:
    """Return the forecast, which lies within its bounds."""
    answer = forecast(loaded, steps, regressors=regressors_for(loaded.model, steps))
    assert (answer.lower <= answer.yhat).all()
    assert (answer.yhat <= answer.upper).all()
    return answer.yhat.tolist()
