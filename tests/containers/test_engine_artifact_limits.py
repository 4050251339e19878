"""What an artifact can hold: whatever is stored is read again, and the rest is refused on the day it is made."""

from dataclasses import replace

import numpy as np
import pytest
from tests.containers.artifact_support import ask
from tests.containers.engine_models import fitted, mix, of_each_kind, prophet, remixed
from tests.containers.engine_support import START

from fleetcast_engine import FittedModel, pack, unpack
from fleetcast_engine.choice.mix import MixModel
from fleetcast_engine.errors import BadParameters
from fleetcast_engine.history.timeline import DAY
from fleetcast_engine.prophet.model import Holiday, Regressor, Seasonality

KINDS = of_each_kind()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_a_model_with_impossible_numbers_is_not_stored(value: float) -> None:
    with pytest.raises(BadParameters, match=r"params\.delta is not a list of finite numbers"):
        pack(fitted("prophet", prophet(delta=np.array([0.0, value, 0.0]))))
    with pytest.raises(BadParameters, match="cannot be written"):
        pack(replace(KINDS["naive"], metrics=replace(KINDS["naive"].metrics, mae=np.nan)))


def _with(seasons: tuple[Seasonality, ...]) -> FittedModel:
    return fitted("prophet", prophet(seasons))


def _season(name: str = "s", period: float = 10.0, order: int = 2) -> Seasonality:
    return Seasonality(name, period, order, multiplicative=False)


def unreadable() -> dict[str, tuple[FittedModel, str]]:
    """Return models that could be written, but not read again, and why."""
    model, many = KINDS["prophet"], np.arange(2001)
    changes = prophet(changepoints=START + DAY * many, delta=many / 1e6)
    regressor = Regressor("r", 0.0, 1e-31, multiplicative=False)
    days = [Holiday(f"h{i}", 0, tuple(range(20000, 22000)), multiplicative=False) for i in range(30)]
    return {
        "changepoints": (fitted("prophet", changes), r"params\.changepoints is not .* to 2000"),
        "order": (_with((_season(order=101),)), "order is not a whole number from 1 to 100"),
        "seasonalities": (_with(tuple(_season(f"s{i}") for i in range(11))), "a list of at most 10"),
        "period": (_with((_season(period=1e-4),)), r"period is not a finite number from 0\.001"),
        "name": (_with((_season(name="x" * 1001),)), "name is not a short text"),
        "regressor": (
            fitted("prophet", prophet(beta=np.ones(7), regressors=(regressor,))),
            "deviation is not a finite number from 1e-30",
        ),
        "days": (
            fitted("prophet", prophet(beta=np.ones(36), holidays=tuple(days))),
            "at most 262144 are read",
        ),
        "customer": (replace(model, customer_id="x" * 1001), "customer_id is not a short text"),
        "run": (replace(model, run_id="x" * 1001), "run_id is not a short text"),
        "year 2223": (replace(model, trained_at=8_000_000_000), "trained_at is not a time of this age"),
        "no year": (replace(model, trained_at=10**18), "cannot be written"),
        "no time": (replace(model, trained_at=10**30), "cannot be written"),
        "member": (
            fitted("mix", remixed(mix(), members=(("x" * 301,),))),
            "not a list of lists of short texts",
        ),
        "members": (
            fitted("mix", remixed(mix(), members=(("x",) * 21,))),
            "not a list of lists of short texts",
        ),
    }


@pytest.mark.parametrize(("model", "message"), unreadable().values(), ids=unreadable().keys())
def test_what_could_not_be_read_again_is_not_stored(model: FittedModel, message: str) -> None:
    with pytest.raises(BadParameters, match=message):
        pack(model)


def test_long_names_and_many_changepoints_are_stored() -> None:
    changes = prophet(changepoints=START + DAY // 4 * np.arange(2000), delta=np.zeros(2000))
    family = "a_package.of_a_team.its_families:" + "x" * 267
    mixed = replace(fitted("mix", remixed(mix(28, changes), members=((family,),))), customer_id="ü" * 128)

    again = unpack(pack(mixed))

    assert again.model.customer_id == "ü" * 128
    assert isinstance(again.model.parameters, MixModel)
    assert again.model.parameters.members == ((family,),)
    assert len(ask(again)) == 40
