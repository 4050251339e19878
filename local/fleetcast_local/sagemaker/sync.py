"""Files that go to S3 while their writer is still running: checkpoints and continuous outputs."""

import logging
import threading
from pathlib import Path

from fleetcast_local.sagemaker.transfer import Transfer, TransferError, files_below

logger = logging.getLogger(__name__)

_Stamp = tuple[int, int]


class FolderSync:
    """Uploads what is new or changed in a folder, once per change.

    Hidden files are their writer's unfinished business: a writer renames a file when it is complete.
    """

    def __init__(self, transfer: Transfer, folder: Path, uri: str) -> None:
        self._transfer = transfer
        self._folder = folder
        self._uri = uri
        self._uploaded: dict[str, _Stamp] = {}

    def restore(self, cancelled: threading.Event) -> int:
        """Bring what is already in S3 into the folder; return how many files."""
        files = self._transfer.download(self._transfer.under(self._uri), self._folder, cancelled)
        for file in files:
            self._uploaded[file.relative_to(self._folder).as_posix()] = _stamp(file)
        return len(files)

    def push(self) -> int:
        """Upload the changed files; return how many."""
        changed = [
            (file, name, stamp) for file, name, stamp in self._found() if self._uploaded.get(name) != stamp
        ]
        self._transfer.upload([(file, name) for file, name, _ in changed], self._uri)
        # The stamp was taken before the upload: a file that grew meanwhile is seen as changed next time.
        self._uploaded.update({name: stamp for _, name, stamp in changed})
        return len(changed)

    def try_push(self) -> None:
        """Upload as push does, but leave a failure to the next look."""
        try:
            self.push()
        except (TransferError, OSError) as error:
            logger.warning("Will try again: %s", error)

    def _found(self) -> list[tuple[Path, str, _Stamp]]:
        found = []
        for file, name in files_below(self._folder, hidden=False):
            try:
                found.append((file, name, _stamp(file)))
            except FileNotFoundError:  # removed between the listing and the look
                continue
        return found


def _stamp(file: Path) -> _Stamp:
    status = file.stat()
    return status.st_size, status.st_mtime_ns
