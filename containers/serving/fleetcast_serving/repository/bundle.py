"""What lies in `/opt/ml/model`: one model, or a bundle of the artifacts of many customers.

A bundle is a folder `bundle` of artifacts as training writes them, each named after its customer. So a customer's model
is found by its name alone: nothing is listed or read before somebody asks for it, however many there are.
"""

import logging
import os
import stat
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

from fleetcast.domain.names import artifact_name
from fleetcast.errors import RequestError
from fleetcast_engine import unpack
from fleetcast_engine.errors import ArtifactError
from fleetcast_serving.errors import CustomerNotFound, LoadFailed
from fleetcast_serving.repository.models import ServedModel, read_model
from fleetcast_serving.repository.refusals import Refusals, version_of

logger = logging.getLogger("fleetcast_serving")

FOLDER = "bundle"
SUFFIX = ".tar.gz"
# Of artifacts of one to three kilobytes, in one folder.
_MAX_ARTIFACT = 256 * 1024
_BUDGET_BYTES = 64 * 2**20
# A link is not followed, and a pipe is not waited for.
_READ_ONLY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Models(Protocol):
    """The models of a container that loads none over HTTP."""

    def model(self, customer_id: str | None) -> ServedModel:
        """Return a customer's model; None is whoever there is, if there is one only.

        Raises:
            CustomerNotFound: there is none of this customer.
            RequestError: the customer has to be named.
            LoadFailed: what is there is not usable.
        """

    def is_cold(self, customer_id: str | None) -> bool:
        """Whether a file has to be read for it."""

    def __len__(self) -> int:
        """How many are decoded."""


def read_models(folder: Path, budget_bytes: int = _BUDGET_BYTES) -> Models:
    """Return what is in the folder: `model.json`, or a folder `bundle` of artifacts.

    Args:
        folder: where the artifact of the whole container was extracted to.
        budget_bytes: memory that decoded models of a bundle may take.

    Raises:
        LoadFailed: there is neither, or both, or nothing usable in it.
    """
    path = folder / FOLDER
    if not os.path.lexists(path):
        return _OneModel(_the_only_model(folder))
    if os.path.lexists(folder / "model.json"):
        raise LoadFailed(
            f"there are both model.json and {FOLDER} in {folder}; which one answers is anybody's guess"
        )
    return Bundle(path, budget_bytes)


def _the_only_model(folder: Path) -> ServedModel:
    try:
        return read_model(str(folder))
    except LoadFailed as error:
        raise LoadFailed(f"{error} (and no folder {FOLDER} of many)") from error


class _OneModel:
    def __init__(self, model: ServedModel) -> None:
        self._model = model

    def model(self, customer_id: str | None) -> ServedModel:
        if customer_id not in (None, self._model.customer_id):
            raise CustomerNotFound(f"this container has no model of customer {customer_id!r}")
        return self._model

    def is_cold(self, customer_id: str | None) -> bool:  # noqa: ARG002 - whoever it is
        return False

    def __len__(self) -> int:
        return 1


class Bundle:
    """A folder of artifacts, of which those used last are kept decoded. Threads may share it."""

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self._folder = _open_folder(folder)
        self._budget = budget_bytes
        self._used = 0
        self._lock = threading.Lock()
        # Least recently used first.
        self._decoded: OrderedDict[str, ServedModel] = OrderedDict()
        self._refusals = Refusals()

    def model(self, customer_id: str | None) -> ServedModel:
        if customer_id is None:
            raise RequestError(
                "customer_id is missing; this container has models of many customers", "customer_id"
            )
        with self._lock:
            if (model := self._decoded.get(customer_id)) is not None:
                self._decoded.move_to_end(customer_id)
                return model
        # Two threads may read the same one; that costs less than to keep all others waiting.
        model = self._read(customer_id)
        with self._lock:
            self._keep(model)
        return model

    def is_cold(self, customer_id: str | None) -> bool:
        return customer_id is not None and customer_id not in self._decoded

    def __len__(self) -> int:
        return len(self._decoded)

    def _keep(self, model: ServedModel) -> None:
        former = self._decoded.pop(model.customer_id, None)
        self._used += model.size - (former.size if former else 0)
        self._decoded[model.customer_id] = model
        while self._used > self._budget:
            _, coldest = self._decoded.popitem(last=False)
            self._used -= coldest.size

    def _read(self, customer_id: str) -> ServedModel:
        name = artifact_name(customer_id)
        try:
            descriptor = os.open(name, _READ_ONLY, dir_fd=self._folder)
            try:
                return self._model_in(descriptor, name, customer_id)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            raise CustomerNotFound(f"this container has no model of customer {customer_id!r}") from None
        except OSError as error:
            raise LoadFailed(f"{FOLDER}/{name} cannot be read: {error.strerror}") from error

    def _model_in(self, descriptor: int, name: str, customer_id: str) -> ServedModel:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_ARTIFACT:
            raise LoadFailed(f"{FOLDER}/{name} is not an ordinary file of at most {_MAX_ARTIFACT} bytes")
        if reason := self._refusals.reason(name, version_of(status)):
            raise LoadFailed(reason)
        try:
            return _model_of(os.read(descriptor, _MAX_ARTIFACT), name, customer_id)
        except LoadFailed as error:
            self._refusals.keep(name, version_of(status), str(error))
            raise


def _model_of(artifact: bytes, name: str, customer_id: str) -> ServedModel:
    try:
        model = ServedModel(unpack(artifact))
    except ArtifactError as error:
        raise LoadFailed(f"{FOLDER}/{name} is not a model: {error}") from error
    if model.customer_id != customer_id:
        # Whose it is, is not his to know who asks.
        logger.error("%s/%s holds the model of customer %r", FOLDER, name, model.customer_id)
        raise LoadFailed(f"{FOLDER}/{name} holds the model of another customer")
    return model


def _open_folder(folder: Path) -> int:
    try:
        descriptor = os.open(folder, _READ_ONLY | os.O_DIRECTORY)
        # Up to the first one only: there may be a hundred thousand.
        with os.scandir(descriptor) as entries:
            found = any(entry.name.endswith(SUFFIX) for entry in entries)
    except OSError as error:
        raise LoadFailed(f"{folder} is not a folder that can be read: {error.strerror}") from error
    if not found:
        os.close(descriptor)
        raise LoadFailed(f"there is no artifact (*{SUFFIX}) in {folder}")
    return descriptor
