"""How far the job is, as lines that SageMaker's metric definitions read from standard output."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fleetcast_training.ledger import TRAINED

_SECONDS_BETWEEN = 2.0
_SHARE_BETWEEN = 0.05


@dataclass
class Progress:
    """The counts of a job; every line is printed by `note` and `finish`."""

    total: int
    done: int = 0
    failed: int = 0
    _ratio_sum: float = 0.0
    _ratios: int = 0
    _printed_done: int = 0
    _printed_at: float = field(default_factory=time.monotonic)

    @property
    def trained(self) -> int:
        """Customers that have a model."""
        return self.done - self.failed

    def note(self, row: Mapping[str, Any]) -> None:
        """Count a customer's ledger row, and print a line when enough time and enough customers have passed."""
        self.done += 1
        self.failed += row["status"] != TRAINED
        if row.get("mae") is not None and row.get("naive_mae"):
            self._ratio_sum += row["mae"] / row["naive_mae"]
            self._ratios += 1
        self._print_if_due()

    def finish(self) -> None:
        """Print the last line."""
        self._print()

    def _print_if_due(self) -> None:
        late_enough = time.monotonic() - self._printed_at >= _SECONDS_BETWEEN
        if late_enough and self.done - self._printed_done >= _SHARE_BETWEEN * self.total:
            self._print()

    def _print(self) -> None:
        ratio = f" mean_mae_ratio={self._ratio_sum / self._ratios:.4f}" if self._ratios else ""
        counts = f"customers_done={self.done} customers_total={self.total} customers_failed={self.failed}"
        print(f"fleetcast: {counts}{ratio}", flush=True)
        self._printed_done, self._printed_at = self.done, time.monotonic()
