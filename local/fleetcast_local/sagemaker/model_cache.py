"""The models of one instance of a multi-model endpoint: fetched, loaded, unloaded on demand."""

import hashlib
import itertools
import json
import logging
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fleetcast_local.sagemaker.archive import fetch_archive
from fleetcast_local.sagemaker.connections import Answer, NoAnswer
from fleetcast_local.sagemaker.instance import Instance
from fleetcast_local.sagemaker.platform import Timing
from fleetcast_local.sagemaker.transfer import Transfer, TransferError, split_uri
from fleetcast_local.sagemaker.variant_metrics import VariantMetrics

logger = logging.getLogger(__name__)

TARGET_HEADER = "X-Amzn-SageMaker-Target-Model"
_LOADERS = 8
_DISK_LIMIT = 20_000  # models kept on disk; the oldest copies that are not loaded go first
_TRIM_EVERY = 500
_LOOK_AGAIN = 0.05
_PATIENCE = 2.0  # with a container that is full although nothing in it can be unloaded


class ModelNotReady(Exception):
    """The model is still being fetched or loaded."""


class ModelMissing(Exception):
    """The model's archive cannot be fetched from S3 or opened."""


class LoadFailed(Exception):
    """The container refused to load the model."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Model:
    """One model on one instance."""

    def __init__(self, target: str, generation: int, salt: str = "") -> None:
        self.target = target
        # What the container is told is opaque: it must not read a customer or a key out of it.
        self.name = hashlib.sha256(f"{salt}{target}".encode()).hexdigest()[:40]
        self.generation = generation
        self.last_used = time.monotonic()
        self.users = 0
        """Requests that wait for it or are inside it: as long as there are any, it is not unloaded."""
        self.ready = False
        self.settled = threading.Event()
        self.error: Exception | None = None


class ModelCache:
    """Loads a model when the first request for it comes, and makes room when the container has none."""

    def __init__(
        self, instance: Instance, transfer: Transfer, timing: Timing, metrics: VariantMetrics
    ) -> None:
        self._instance = instance
        self._transfer = transfer
        self._timing = timing
        self._metrics = metrics
        self._bucket, self._prefix = split_uri(instance.serving.container["ModelDataUrl"])
        self._keeps = instance.serving.caches_models
        self._changed = threading.Condition()
        self._models: dict[str, Model] = {}
        self._fetched = itertools.count(1)
        self._loaders = ThreadPoolExecutor(_LOADERS, thread_name_prefix=f"load {instance.name}")

    def holds(self, target: str) -> bool:
        model = self._models.get(target)
        return model is not None and model.ready and model.generation == self._instance.generation

    def __len__(self) -> int:
        return len(self._models)

    def acquire(self, target: str) -> Model:
        """Return the loaded model, held until released; loading goes on even when the caller waits no longer."""
        model = self._held(target)
        try:
            if not model.ready:
                self._wait_for(model)
        except BaseException:
            self.release(model)
            raise
        model.last_used = time.monotonic()
        return model

    def release(self, model: Model) -> None:
        with self._changed:
            model.users -= 1
            self._changed.notify_all()
            if self._keeps or model.users or self._models.get(model.target) is not model:
                return
            del self._models[model.target]
        self._unload(model)
        shutil.rmtree(self._folder(model).parent, ignore_errors=True)

    def forget(self, model: Model) -> None:
        """The container says that it does not have the model: load it again when it is next asked for."""
        with self._changed:
            if self._models.get(model.target) is model:
                del self._models[model.target]

    def make_room(self, wanted: Model) -> bool:
        """Unload the least recently used model, waiting for one that is not in use; return whether there was one."""
        patience = time.monotonic() + _PATIENCE
        deadline = time.monotonic() + self._timing.model_wait
        with self._changed:
            while (victim := self._victim(wanted)) is None:
                others = self._others(wanted)
                now = time.monotonic()
                if any(model.ready for model in others):
                    patience = now + _PATIENCE
                if not others or now > min(deadline, patience):
                    return False
                self._changed.wait(_LOOK_AGAIN)
            del self._models[victim.target]
        self._unload(victim)
        return True

    def _others(self, wanted: Model) -> list[Model]:
        current = self._instance.generation
        return [m for m in self._models.values() if m is not wanted and m.generation == current]

    def _victim(self, wanted: Model) -> Model | None:
        unused = [model for model in self._others(wanted) if model.ready and not model.users]
        return min(unused, key=lambda model: model.last_used, default=None)

    def _wait_for(self, model: Model) -> None:
        started = time.monotonic()
        settled = model.settled.wait(self._timing.model_wait)
        self._metrics.add(ModelLoadingWaitTime=(time.monotonic() - started) * 1e6)
        if not settled:
            raise ModelNotReady(model.target)
        if model.error is not None:
            raise model.error

    def close(self) -> None:
        self._loaders.shutdown(wait=False, cancel_futures=True)

    def _held(self, target: str) -> Model:
        generation = self._instance.generation
        with self._changed:
            model = self._models.get(target)
            if model is None or model.generation != generation:
                # A model that is not kept gets a place of its own each time: the last one may still be leaving.
                salt = "" if self._keeps else f"{next(self._fetched)} "
                model = self._models[target] = Model(target, generation, salt)
                self._loaders.submit(self._load, model)
            model.users += 1
            return model

    def _load(self, model: Model) -> None:
        try:
            self._fetch(model)
            self._load_into_container(model)
            model.ready = True
        except TransferError as error:
            model.error = ModelMissing(str(error))
        except NoAnswer as error:
            self._instance.note_death()
            model.error = LoadFailed(0, str(error))
        except LoadFailed as error:
            model.error = error
        except Exception as error:
            logger.exception("Loading %s failed in the local cloud itself", model.target)
            model.error = LoadFailed(0, f"{type(error).__name__}: {error}")
        finally:
            if model.error is not None:
                self.forget(model)
            model.settled.set()
            with self._changed:
                self._changed.notify_all()

    def _fetch(self, model: Model) -> None:
        folder = self._folder(model)
        if folder.is_dir():
            return  # as on AWS, an instance's copy is never compared with S3 again
        started = time.monotonic()
        fetch_archive(self._transfer, self._bucket, f"{self._prefix}{model.target.lstrip('/')}", folder)
        self._metrics.add(ModelDownloadingTime=(time.monotonic() - started) * 1e6)
        # Looking at the disk takes longer the more is on it: do it now and then.
        if next(self._fetched) % _TRIM_EVERY == 0:
            self._trim_disk()

    def _load_into_container(self, model: Model) -> None:
        body = json.dumps({"model_name": model.name, "url": str(self._folder(model))}).encode()
        started = time.monotonic()
        while True:
            answer = self._call("POST", "/models", model, body)
            if answer.status in {200, 409}:
                break
            if answer.status != 507 or not self.make_room(model):
                raise LoadFailed(answer.status, answer.body.decode("utf-8", "replace"))
        self._metrics.add(ModelLoadingTime=(time.monotonic() - started) * 1e6)

    def _unload(self, model: Model) -> None:
        self.forget(model)
        started = time.monotonic()
        try:
            self._call("DELETE", f"/models/{model.name}", model)
        except NoAnswer as error:
            logger.warning("Unloading %s: %s", model.target, error)
        self._metrics.add(ModelUnloadingTime=(time.monotonic() - started) * 1e6)

    def _call(self, method: str, path: str, model: Model, body: bytes | None = None) -> Answer:
        headers = {"Content-Type": "application/json", TARGET_HEADER: model.target}
        return self._instance.connections.request(
            method, path, body=body, headers=headers, timeout=self._timing.model_load
        )

    def _folder(self, model: Model) -> Path:
        return self._instance.sandbox.ml / "models" / model.name / "model"

    def _trim_disk(self) -> None:
        with self._changed:
            loaded = {model.name for model in self._models.values()}
        folders = list((self._instance.sandbox.ml / "models").iterdir())
        folders.sort(key=lambda folder: folder.stat().st_mtime)
        for folder in folders[: max(0, len(folders) - _DISK_LIMIT)]:
            if folder.name not in loaded:
                shutil.rmtree(folder, ignore_errors=True)
