"""From files to models."""

from pathlib import Path

from fleetcast_engine import LoadedModel, load
from fleetcast_engine.artifact.archive import _content, _decode
from fleetcast_engine.errors import ArtifactError
from fleetcast_serving.errors import LoadFailed

_SLOT_BYTES = 1500


class ServedModel:
    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self.size = loaded.size + _SLOT_BYTES
        self.customer_id = loaded.model.customer_id


Models = ServedModel


def read_document(url: str) -> bytes:
    try:
        document = _content(f"{url}/model.json")
        _decode(document)
    except ArtifactError as error:
        raise LoadFailed(str(error)) from error
    return document


def decode(document: bytes) -> ServedModel:
    try:
        return ServedModel(_decode(document))
    except ArtifactError as error:
        raise LoadFailed(str(error)) from error


def read_models(folder: Path) -> Models:
    try:
        return ServedModel(load(folder))
    except ArtifactError as error:
        raise LoadFailed(str(error)) from error
