"""The gate: from quality rows and training rows to one ledger row per customer and a verdict on the fleet."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fleetcast.domain.names import target_model

Row = Mapping[str, Any]

# Not the operator's doing and not a fault of the run: there is too little data, and there may be more next time.
_EXCUSED = frozenset({"too_short"})
_REPAIRS = ("missing", "outage", "stuck", "outliers")
_LARGEST_LOG = 700  # beyond it, exp() leaves the range of a float


@dataclass(frozen=True)
class LedgerRow:
    """What one run did for one customer; the columns of the ledger, in their order.

    `status` is `trained` or the named reason why not; `decision` is `promote` or `none`.
    `mae` and `naive_mae` are mean absolute errors of the backtest, in the unit of the data.
    `engine` fitted, and `members` are what a mix is made of. `missing` counts steps without a row; `outage`, `stuck`
    and `outliers` count rows that were repaired before a model learned from them.
    """

    run_id: str
    customer_id: str
    status: str
    reason: str
    decision: str
    family: str | None
    members: str | None
    engine: str | None
    rows_read: int
    rows: int
    duplicates: int
    bad_timestamps: int
    bad_values: int
    negatives: int
    missing: int | None
    outage: int | None
    stuck: int | None
    outliers: int | None
    first: str | None
    last: str | None
    trained_at: str | None
    horizon: int | None
    origins: int | None
    mae: float | None
    naive_mae: float | None
    model_key: str | None
    bytes: int | None
    seconds: float | None
    fingerprint: str | None

    def to_document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Verdict:
    """What the gate says of the whole run.

    Attributes:
        accepted: whether pointers may move.
        reasons: a sentence for each threshold that the run missed.
        customers: customers seen in the raw data.
        trained: customers with a new model.
        statuses: customers by status.
        failed_share: failed customers over all customers, those merely too short not counted.
        error_ratio: geometric mean over customers of error against the seasonal naive, None without any.
    """

    accepted: bool
    reasons: tuple[str, ...]
    customers: int
    trained: int
    statuses: Mapping[str, int]
    families: Mapping[str, int]
    failed_share: float
    error_ratio: float | None

    def to_document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Gate:
    """The thresholds, from the parameters `gate/…`."""

    max_failed_share: float
    max_error_ratio: float
    minimum_customers: int

    def judge(self, rows: Iterable[LedgerRow]) -> Verdict:
        ledger = list(rows)
        statuses = Counter(row.status for row in ledger)
        trained = statuses["trained"]
        failed = len(ledger) - trained - sum(statuses[status] for status in _EXCUSED)
        failed_share = failed / len(ledger) if ledger else 1.0
        ratio = error_ratio(ledger)
        reasons = tuple(self._objections(trained, failed_share, ratio))
        families = Counter(row.family for row in ledger if row.family)
        return Verdict(
            not reasons, reasons, len(ledger), trained, dict(statuses), dict(families), failed_share, ratio
        )

    def _objections(self, trained: int, failed_share: float, ratio: float | None) -> Iterable[str]:
        if trained < self.minimum_customers:
            yield f"{trained} customers were trained, and gate/minimum_customers asks for {self.minimum_customers}"
        if failed_share > self.max_failed_share:
            allowed = f"gate/max_failed_share allows {self.max_failed_share:.1%}"
            yield f"{failed_share:.1%} of the customers failed, and {allowed}"
        if ratio is not None and ratio > self.max_error_ratio:
            yield f"the error is {ratio:.3f} of the naive's, and gate/max_error_ratio allows {self.max_error_ratio:g}"


def error_ratio(rows: Iterable[LedgerRow]) -> float | None:
    """Return the geometric mean of mae / naive_mae over customers, or None when there is nothing to compare.

    Customers for whom either error is zero are left out: a ratio of zero or infinity would drown all others.
    """
    logs = [math.log(row.mae) - math.log(row.naive_mae) for row in rows if row.mae and row.naive_mae]
    return math.exp(min(math.fsum(logs) / len(logs), _LARGEST_LOG)) if logs else None


def _finite(error: float | None) -> float | None:
    """Drop NaN and infinity: they pass every threshold, and neither JSON nor DynamoDB has them."""
    return error if error is not None and math.isfinite(error) else None


def build_ledger(
    run_id: str, quality: Iterable[Row], training: Iterable[Row], expected: Iterable[str] = ()
) -> list[LedgerRow]:
    """Join both sides into one row per customer, sorted by customer id.

    A customer that is expected, because the last successful run saw it, and not in the data is `absent`.

    A customer with several training rows was tried again after an interruption, perhaps by another host: the
    row that says `trained` counts, and otherwise the last one.
    A customer that is ready but has no training row is `missing`: its host died before it came to it.
    """
    outcomes: dict[str, Row] = {}
    for row in training:
        if outcomes.get(row["customer_id"], {}).get("status") != "trained" or row["status"] == "trained":
            outcomes[row["customer_id"]] = row
    checks = {row["customer_id"]: row for row in quality}
    return [
        _join(run_id, customer, checks.get(customer, {}), outcomes.get(customer))
        for customer in sorted(checks.keys() | outcomes.keys() | set(expected))
    ]


def _join(run_id: str, customer: str, check: Row, outcome: Row | None) -> LedgerRow:
    status, reason = _status(check, outcome)
    outcome = outcome or {}
    trained = status == "trained"
    repairs = outcome.get("repairs")  # only kinds that occurred; None where there is no model
    return LedgerRow(
        run_id=run_id,
        customer_id=customer,
        status=status,
        reason=reason,
        decision="promote" if trained else "none",
        family=outcome.get("family") if trained else None,
        members=outcome.get("members") if trained else None,
        engine=outcome.get("engine") if trained else None,
        rows_read=check.get("rows_read", 0),
        rows=check.get("rows_kept", 0),
        duplicates=check.get("duplicates", 0),
        bad_timestamps=check.get("bad_timestamps", 0),
        bad_values=check.get("bad_values", 0),
        negatives=check.get("negatives", 0),
        **{name: None if repairs is None else repairs.get(name, 0) for name in _REPAIRS},
        first=check.get("first"),
        last=check.get("last"),
        trained_at=outcome.get("trained_at"),
        horizon=outcome.get("horizon"),
        origins=outcome.get("origins"),
        mae=_finite(outcome.get("mae")),
        naive_mae=_finite(outcome.get("naive_mae")),
        model_key=target_model(run_id, customer) if trained else None,
        bytes=outcome.get("bytes"),
        seconds=outcome.get("seconds"),
        fingerprint=check.get("fingerprint"),
    )


def _status(check: Row, outcome: Row | None) -> tuple[str, str]:
    if check.get("status") == "unusable":
        return "unusable", check.get("reason") or "no usable rows"
    if outcome is None and not check:
        return (
            "absent",
            "in the data of the last successful run, but not in this one's; its former model serves",
        )
    if outcome is None:
        return "missing", "prepared, but no training host reported on this customer"
    return outcome["status"], outcome.get("reason") or ""
