"""Records that survive a restart: one JSON file each, replaced atomically."""

import copy
import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fleetcast_local.layout import write_atomically

Record = dict[str, Any]


class Records:
    """Named JSON records of several kinds. Members whose name begins with `_` are private to the local cloud."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.lock = threading.RLock()
        self._kinds: dict[str, dict[str, Record]] = {}
        for file in sorted(folder.glob("*/*.json")):
            stored = json.loads(file.read_text(encoding="utf-8"))
            self._kinds.setdefault(file.parent.name, {})[stored["name"]] = stored["record"]

    def get(self, kind: str, name: str) -> Record | None:
        with self.lock:
            return copy.deepcopy(self._kinds.get(kind, {}).get(name))

    def all(self, kind: str) -> list[Record]:
        with self.lock:
            return copy.deepcopy(list(self._kinds.get(kind, {}).values()))

    def names(self, kind: str) -> list[str]:
        with self.lock:
            return list(self._kinds.get(kind, {}))

    def put(self, kind: str, name: str, record: Record) -> Record:
        with self.lock:
            self._kinds.setdefault(kind, {})[name] = copy.deepcopy(record)
            self._write(kind, name)
            return record

    def change(self, kind: str, name: str, change: Callable[[Record], None]) -> Record | None:
        """Apply a function to a record and store the result; return it, or None if there is no such record."""
        with self.lock:
            record = self._kinds.get(kind, {}).get(name)
            if record is None:
                return None
            change(record)
            self._write(kind, name)
            return copy.deepcopy(record)

    def update(self, kind: str, name: str, **members: Any) -> Record | None:
        """Set members; None removes one."""

        def apply(record: Record) -> None:
            for key, value in members.items():
                if value is None:
                    record.pop(key, None)
                else:
                    record[key] = value

        return self.change(kind, name, apply)

    def delete(self, kind: str, name: str) -> bool:
        with self.lock:
            found = self._kinds.get(kind, {}).pop(name, None) is not None
            self._file(kind, name).unlink(missing_ok=True)
            return found

    def _write(self, kind: str, name: str) -> None:
        file = self._file(kind, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        stored = {"name": name, "record": self._kinds[kind][name]}
        write_atomically(file, json.dumps(stored, default=str).encode())

    def _file(self, kind: str, name: str) -> Path:
        # Some file systems ignore case, and AWS does not: the digest keeps `Model` and `model` apart.
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        return self._folder / kind / f"{quote(name, safe='')[:150]}-{digest}.json"
