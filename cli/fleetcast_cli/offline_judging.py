"""Judging forecasts of rows that were held back, customer by customer on all cores."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from fleetcast_cli.offline_workers import Workers
from fleetcast_engine.choice.protocol import (
    LAST_CYCLE,
    MEAN_OF_FOUR,
    OUR_PROPHET,
    OURS,
    PROPHET_DEFAULTS,
    Outcome,
    evaluate,
    summary,
)
from fleetcast_engine.choice.settings import TrainSettings
from fleetcast_engine.errors import SeriesError
from fleetcast_engine.history.series import Series

if TYPE_CHECKING:
    from fleetcast_training.batches import CustomerRows

METHODS = (OURS, OUR_PROPHET, PROPHET_DEFAULTS, MEAN_OF_FOUR, LAST_CYCLE)
STOCK = "stock Prophet"


@dataclass(frozen=True)
class Question:
    """What is asked of every customer.

    Attributes:
        horizons: in steps; the usual ones of the customer's frequency where empty.
        stock: ask stock Prophet too.
    """

    settings: TrainSettings
    horizons: tuple[int, ...] = ()
    stock: bool = False


@dataclass(frozen=True)
class _Answer:
    frequency: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    failure: str | None = None


@dataclass
class Judgement:
    """What came of it, by frequency.

    Attributes:
        unjudged: customers that are irregular, or too short for a single origin.
        failed: customers whom an error kept from being judged, and which.
    """

    outcomes: dict[str, list[Outcome]] = field(default_factory=lambda: defaultdict(list))
    judged: int = 0
    unjudged: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def take(self, customer_id: str, answer: _Answer) -> None:
        """Add a customer."""
        if answer.failure is not None:
            self.failed[customer_id] = answer.failure
        elif answer.outcomes:
            self.judged += 1
            self.outcomes[answer.frequency] += answer.outcomes
        else:
            self.unjudged += 1

    def tables(self) -> dict[str, list[dict[str, object]]]:
        """Return for each frequency a row per horizon and method, in that order."""
        return {name: _rows(summary(outcomes)) for name, outcomes in sorted(self.outcomes.items())}


def judge(
    customers: Iterable["CustomerRows"],
    question: Question,
    processes: int,
    note_done: Callable[[int], object],
) -> Judgement:
    """Ask the question of every customer, in so many processes."""
    # Each worker is one core's, as in the training container.
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    workers: Workers[CustomerRows, _Answer] = Workers(partial(_judge, question=question), processes)
    found: dict[str, _Answer] = {}
    with closing(workers.answers(customers)) as answers:
        for customer, answer in answers:
            found[customer.customer_id] = answer or _Answer(failure="its process died")
            note_done(1)
    judgement = Judgement()
    # In the order of the ids, whoever was done first: sums of floats depend on it.
    for customer_id, answer in sorted(found.items()):
        judgement.take(customer_id, answer)
    return judgement


def _judge(customers: Sequence["CustomerRows"], question: Question) -> list[_Answer]:
    return [_judge_one(customer, question) for customer in customers]


def _judge_one(customer: "CustomerRows", question: Question) -> _Answer:
    try:
        series = Series.from_arrays(customer.customer_id, customer.timestamps, customer.values)
        return _Answer(series.frequency, _outcomes(series, question))
    except SeriesError:
        return _Answer()
    except Exception as error:  # noqa: BLE001 - one customer's surprise must not cost the others
        return _Answer(failure=f"{type(error).__name__}: {error}")


def _outcomes(series: Series, question: Question) -> list[Outcome]:
    outcomes = evaluate(series, question.settings, horizons=question.horizons, methods=METHODS)
    if question.stock and outcomes:
        settings = replace(question.settings, engine="prophet")
        asked = evaluate(series, settings, horizons=question.horizons, methods=(PROPHET_DEFAULTS,))
        outcomes += [replace(outcome, method=STOCK) for outcome in asked]
    return outcomes


def _rows(figures: Mapping[tuple[str, int], Mapping[str, float]]) -> list[dict[str, object]]:
    order = (*METHODS[:3], STOCK, *METHODS[3:])
    wanted = sorted(figures, key=lambda key: (key[1], order.index(key[0])))
    return [{"method": method, "steps": steps, **figures[method, steps]} for method, steps in wanted]
