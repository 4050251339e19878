"""One model: from the folder of an extracted artifact, or from its document's bytes."""

from pathlib import Path

import fleetcast_engine
from fleetcast_engine import LoadedModel
from fleetcast_engine.errors import ArtifactError
from fleetcast_serving.errors import LoadFailed

# This object around the engine's own; measured, rounded up.
_OBJECT_BYTES = 100


class ServedModel:
    """A customer's model, ready to answer.

    Attributes:
        loaded: the engine's model.
        customer_id: whose it is.
        size: bytes of memory that it takes once it has answered.
    """

    __slots__ = ("customer_id", "loaded", "size")

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self.customer_id = loaded.model.customer_id
        self.size = loaded.size + _OBJECT_BYTES


def read_document(url: str) -> bytes:
    """Return the document of the model in the folder that its artifact was extracted to, once it proved to be one.

    Raises:
        LoadFailed: there is no usable model in it.
    """
    document = _stored(url)
    decode(document)
    return document


def read_model(url: str) -> ServedModel:
    """Return the model in the folder that its artifact was extracted to.

    Raises:
        LoadFailed: there is no usable model in it.
    """
    return decode(_stored(url))


def decode(document: bytes) -> ServedModel:
    """Return the model of a document.

    Raises:
        LoadFailed: it is not a usable model.
    """
    try:
        return ServedModel(fleetcast_engine.decode(document))
    except ArtifactError as error:
        raise LoadFailed(str(error)) from error


def _stored(url: str) -> bytes:
    try:
        return fleetcast_engine.read_document(Path(url))
    except ArtifactError as error:
        raise LoadFailed(str(error)) from error
