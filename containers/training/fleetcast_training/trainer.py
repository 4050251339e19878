"""One customer, from rows to a stored artifact and a row of the ledger, whatever the data is."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fleetcast.domain.names import check_customer_id
from fleetcast.errors import RequestError
from fleetcast_engine import FittedModel, Series, TrainSettings, pack, train, warm_up
from fleetcast_engine.errors import EngineError, NoValidRows, TooShort
from fleetcast_engine.prophet.fitting import MAP
from fleetcast_training.artifacts import ArtifactFolder, Taken
from fleetcast_training.batches import CustomerRows
from fleetcast_training.ledger import (
    FIT_FAILED,
    NAME_COLLISION,
    NO_VALID_ROWS,
    OUT_OF_MEMORY,
    TOO_SHORT,
    LedgerRow,
)
from fleetcast_training.settings import TrainingSettings
from fleetcast_training.untuned import fit_untuned

_DAY = 86_400
# Enough for every family to take part.
_WARM_UP_DAYS = 420
_STATUSES: dict[type[Exception], str] = {NoValidRows: NO_VALID_ROWS, TooShort: TOO_SHORT}


@dataclass(frozen=True)
class _Trained:
    model: FittedModel
    rows: int
    artifact: bytes


class Trainer:
    """Trains customers of one job."""

    def __init__(self, settings: TrainingSettings, checkpoints: Path) -> None:
        self._settings = settings
        self._folder = ArtifactFolder(checkpoints, settings.run_id)
        self._engine_settings = TrainSettings(
            run_id=settings.run_id,
            horizon=settings.horizon,
            origins=settings.origins,
            trained_at=settings.trained_at,
            engine=settings.engine,
            families=settings.families,
        )

    def warm_up(self) -> None:
        """Import and compile all that training needs, so that no customer's time and memory are spent on it."""
        warm_up(self._settings.engine)
        if self._settings.engine == MAP:
            days = np.arange(_WARM_UP_DAYS)
            pack(self._fit(Series.from_arrays("", days * _DAY, 9 + np.sin(days) + days % 7)))

    def train(self, customer: CustomerRows) -> LedgerRow:
        """Return what became of a customer; nothing about one customer's data is ever an exception.

        Raises:
            OSError: the artifact cannot be written, nor will the next one.
        """
        outcome = self._train(customer)
        return self._store(outcome) if isinstance(outcome, _Trained) else outcome

    def _train(self, customer: CustomerRows) -> "LedgerRow | _Trained":
        rows = len(customer.values)
        try:
            check_customer_id(customer.customer_id)
            series = Series.from_arrays(customer.customer_id, customer.timestamps, customer.values)
            rows = len(series)
            return self._trained(series)
        except Exception as error:  # noqa: BLE001 - one customer's surprise must not cost the others
            status, reason = self._judge(error)
            return LedgerRow(customer.customer_id, status, reason, rows=rows * (status != NO_VALID_ROWS))

    def _judge(self, error: Exception) -> tuple[str, str]:
        if isinstance(error, MemoryError):
            return OUT_OF_MEMORY, self._describe_memory(error)
        if isinstance(error, EngineError | RequestError):
            return _STATUSES.get(type(error), FIT_FAILED), str(error)
        return FIT_FAILED, f"unexpected {type(error).__name__}: {error}"

    def _trained(self, series: Series) -> "_Trained":
        if len(series) < self._settings.minimum_rows:
            raise TooShort(f"{len(series)} usable rows; at least {self._settings.minimum_rows} are needed")
        model = self._fit(series)
        return _Trained(model, len(series), pack(model))

    def _fit(self, series: Series) -> FittedModel:
        choose = train if self._settings.origins else fit_untuned
        return choose(series, self._engine_settings)

    def _store(self, trained: "_Trained") -> LedgerRow:
        customer_id = trained.model.customer_id
        try:
            # The artifact before the row: a row promises that there is one.
            name = self._folder.store(customer_id, trained.artifact)
        except Taken as error:
            return LedgerRow(customer_id, NAME_COLLISION, str(error), rows=trained.rows)
        return LedgerRow.of_model(trained.model, trained.rows, name, len(trained.artifact))

    def _describe_memory(self, error: MemoryError) -> str:
        allowed = self._settings.customer_memory_mb
        limit = f"the {allowed} MB that a customer may take" if allowed else "there is"
        return f"training takes more memory than {limit}" + (f": {error}" if str(error) else "")
