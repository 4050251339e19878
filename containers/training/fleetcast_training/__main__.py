"""`python -m fleetcast_training train`: the entry point of the training container."""

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event

from fleetcast.adapters.opt_ml import ml_root
from fleetcast.errors import FleetcastError
from fleetcast_training.job import Folders, Stopped, TrainingJob
from fleetcast_training.settings import Host, TrainingSettings, read_config

# SageMaker shows this much of the failure file.
_FAILURE_CHARACTERS = 1024
_TERMINATED = 128 + signal.SIGTERM


def main(arguments: Sequence[str]) -> int:
    """Run the job and return the container's exit code."""
    if list(arguments) != ["train"]:
        print("usage: python -m fleetcast_training train", file=sys.stderr)
        return 2
    folders = Folders(ml_root())
    try:
        _run(folders)
    except Stopped:
        print("fleetcast: stopped; finished customers are stored", flush=True)
        return _TERMINATED
    except FleetcastError as error:
        return _fail(folders.failure, str(error))
    except Exception as error:  # noqa: BLE001 - SageMaker must be told of any failure
        traceback.print_exc()
        return _fail(folders.failure, f"unexpected {type(error).__name__}: {error}")
    return 0


def _run(folders: Folders) -> None:
    hyperparameters = read_config(folders.config / "hyperparameters.json")
    settings = TrainingSettings.from_hyperparameters(hyperparameters)
    host = Host.from_config(read_config(folders.config / "resourceconfig.json"))
    for name in TrainingSettings.unknown(hyperparameters):
        print(f"fleetcast: hyperparameter {name!r} is not known and has no effect", flush=True)
    TrainingJob(folders, settings, host, _stop_on_sigterm()).run()


def _stop_on_sigterm() -> Event:
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _fail(failure: Path, sentence: str) -> int:
    print(f"fleetcast: failed: {sentence}", file=sys.stderr, flush=True)
    # If even this cannot be written, the log has it.
    with suppress(OSError):
        failure.parent.mkdir(parents=True, exist_ok=True)
        failure.write_text(sentence[:_FAILURE_CHARACTERS], encoding="utf-8")
    return 1


if __name__ == "__main__":
    exit_code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Workers have ended and files are written. An orderly end would, once in a while, be aborted by Arrow's threads.
    os._exit(exit_code)
