"""A worker process: trains the customers that its parent sends, until the parent goes away."""

import os
import signal
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path

from fleetcast.domain.names import check_customer_id
from fleetcast.errors import RequestError
from fleetcast_engine import Series, TrainSettings, pack, train, warm_up
from fleetcast_engine.errors import EngineError, NoValidRows, TooShort
from fleetcast_training.channel import CustomerRows
from fleetcast_training.ledger import FIT_FAILED, NO_VALID_ROWS, TOO_SHORT, LedgerRow
from fleetcast_training.settings import TrainingSettings


@dataclass(frozen=True)
class Ready:
    """The worker has imported what takes long and waits for customers."""


@dataclass(frozen=True)
class Broken:
    """The worker cannot work at all."""

    reason: str


@dataclass(frozen=True)
class Result:
    """A customer's row and, if it was trained, its artifact."""

    row: LedgerRow
    artifact: bytes | None = None


def run_worker(connection: Connection, settings: TrainingSettings, scratch: Path) -> None:
    """Serve the parent at the other end of the connection."""
    _leave_with_parent()
    # Fitting writes temporary files; when this process is killed the parent removes the folder.
    tempfile.tempdir = os.environ["TMPDIR"] = str(scratch)
    try:
        warm_up(settings.engine)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
        connection.send(Broken(f"{type(error).__name__}: {error}"))
        return
    connection.send(Ready())
    try:
        while True:
            connection.send(train_customer(connection.recv(), settings))
    except (EOFError, OSError):
        return


def train_customer(customer: CustomerRows, settings: TrainingSettings) -> Result:
    """Return what became of a customer; nothing about one customer's data is ever an exception."""
    began = time.perf_counter()
    result = _train(customer, settings)
    return replace(result, row=replace(result.row, seconds=round(time.perf_counter() - began, 4)))


def _train(customer: CustomerRows, settings: TrainingSettings) -> Result:
    failed = LedgerRow(customer.customer_id, FIT_FAILED, rows=len(customer.values))
    try:
        check_customer_id(customer.customer_id)
        series = Series.from_arrays(customer.customer_id, customer.timestamps, customer.values)
        failed = replace(failed, rows=len(series))
        _check_length(series, settings.minimum_rows)
        model = train(series, _train_settings(settings))
        return Result(LedgerRow.of_model(model, len(series)), pack(model))
    except NoValidRows as error:
        return Result(replace(failed, status=NO_VALID_ROWS, reason=str(error), rows=0))
    except TooShort as error:
        return Result(replace(failed, status=TOO_SHORT, reason=str(error)))
    except (EngineError, RequestError) as error:
        return Result(replace(failed, reason=str(error)))
    except Exception as error:  # noqa: BLE001 - one customer's surprise must not cost the others
        return Result(replace(failed, reason=f"unexpected {type(error).__name__}: {error}"))


def _train_settings(settings: TrainingSettings) -> TrainSettings:
    return TrainSettings(settings.run_id, settings.horizon, settings.origins, engine=settings.engine)


def _check_length(series: Series, minimum: int) -> None:
    if len(series) < minimum:
        raise TooShort(f"{len(series)} usable rows; at least {minimum} are needed")


def _leave_with_parent() -> None:
    # A group of its own: killing it also kills the optimiser that runs below the worker.
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_after_parent, daemon=True).start()


def _die_after_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.killpg(0, signal.SIGKILL)
