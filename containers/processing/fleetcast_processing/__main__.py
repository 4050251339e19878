"""Entry point of the processing container: `python -m fleetcast_processing`."""

import errno
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Never

import pyarrow as pa

from fleetcast.adapters.opt_ml import ml_root
from fleetcast.errors import FleetcastError
from fleetcast_processing.job import Folders, log, run
from fleetcast_processing.settings import ProcessingSettings

_MESSAGE_BYTES = 1024


class Stopped(BaseException):
    """SIGTERM or SIGINT; no handler of ordinary exceptions may swallow it."""


def main() -> int:
    """Run the job; the exit message says how it went, whatever happens. Return the exit code."""
    # Arrow would turn a SIGINT that arrives while it reads into an error of the file.
    pa.enable_signal_handlers(False)  # noqa: FBT003 - Arrow has no keyword for it
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    root = ml_root()
    code, message = _outcome(root)
    print(f"fleetcast: {message}", flush=True)
    _write_message(root, message)
    return code


def _outcome(root: Path) -> tuple[int, str]:
    started = time.monotonic()
    try:
        summary = run(ProcessingSettings.from_env(os.environ), Folders.below(root))
        log("done", started, rows_read=summary.rows_read, rows_kept=summary.rows_kept)
    except FleetcastError as error:
        return 1, str(error)
    except Stopped as stop:
        return 1, f"Processing was stopped by {stop}. Nothing of this run is complete; start it again."
    except Exception as error:  # noqa: BLE001 - the exit message is all that the workflow gets to see
        traceback.print_exc()
        return 1, _unexpected(error)
    return 0, json.dumps(summary.message(), separators=(",", ":"))


def _unexpected(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "The processing volume is full: give the job a larger VolumeSizeInGB, 80 bytes a row more."
    if isinstance(error, MemoryError | pa.ArrowMemoryError):
        return "Memory ran out: give the job a larger instance type."
    return f"Processing failed unexpectedly: {type(error).__name__}: {error}"


def _stop(number: int, frame: FrameType | None) -> Never:  # noqa: ARG001 - the signature is Python's
    raise Stopped(signal.Signals(number).name)


def _write_message(root: Path, message: str) -> None:
    path = root / "output" / "message"
    path.parent.mkdir(parents=True, exist_ok=True)
    # SageMaker keeps 1 KB and fails a job whose message is not UTF-8.
    encoded = message.encode("utf-8", "backslashreplace")[:_MESSAGE_BYTES]
    path.write_bytes(encoded.decode("utf-8", "ignore").encode())


if __name__ == "__main__":
    exit_code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is written and removed by now. An orderly end would, once in a while, be aborted by Arrow's threads,
    # and a job that did its work would count as failed.
    os._exit(exit_code)
