"""Which families compete: those that are named, a user's own among them, and no others."""

import re
from pathlib import Path

import numpy as np
import pytest
from tests.containers.engine_support import DAY, START, Floats, consumption, regular

from fleetcast_engine import Series, TrainSettings, choose, train
from fleetcast_engine.choice import backtest, families
from fleetcast_engine.choice.backtest import run_backtest
from fleetcast_engine.errors import BadSettings, UnknownFamily
from fleetcast_engine.history.cleaning import clean


def settings(**changes: str | int) -> TrainSettings:
    return TrainSettings("r20260131020000-0a1b2c", trained_at=1_769_824_800, **changes)


def series_of(values: Floats) -> Series:
    return Series.from_arrays("meter-7", START + DAY * np.arange(len(values)), values)


def without_steps() -> Series:
    moments = np.sort(np.random.default_rng(0).choice(400 * DAY, 500, replace=False)) + START
    return Series.from_arrays("c", moments, consumption(moments))


@pytest.mark.parametrize(
    ("families", "expected"),
    [("naive", {"naive1", "naive4"}), ("ar, naive", {"naive1", "naive4", "ar", "ar_log"})],
)
def test_families_may_be_named(families: str, expected: set[str]) -> None:
    assert {c.name for c in choose(regular(200), settings(families=families)).candidates} == expected


OWN = "tests.containers.engine_families"


def test_a_family_of_ones_own_takes_part() -> None:
    counting = series_of(np.arange(200.0) ** 2 % 1000 + 1)
    days = series_of(1000.0 + np.arange(200))

    served = choose(days, settings(families=f"naive,{OWN}:next_steps"))

    assert served.family == "mix"
    assert served.members[0][0] == f"{OWN}:next_steps"
    assert f"{OWN}:next_steps" not in choose(counting, settings(families="all")).members[0]


def test_a_family_gets_copies_of_what_was_known_and_nothing_else() -> None:
    alone = run_backtest(clean(regular(200)), settings(families="naive"))
    together = run_backtest(clean(regular(200)), settings(families=f"{OWN}:looks_at_the_clock,naive"))

    assert together.absent == {}
    np.testing.assert_array_equal(alone.actual, together.actual)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("too_short", r"it returned the shape \(27,\) instead of \(28,\)"),
        ("nothing", "it returned values that are not finite"),
        ("broken", "it raised ZeroDivisionError: of course"),
        ("leaves", "it raised SystemExit: 3"),
        ("complex_numbers", "it returned complex128 instead of real numbers"),
        ("text", "it returned str32 instead of real numbers"),
        ("masked", "it returned masked values"),
    ],
)
def test_a_family_that_fails_is_out_of_the_race_with_a_reason(name: str, reason: str) -> None:
    model = train(regular(200), settings(families=f"all,{OWN}:{name}"))
    table = choose(regular(200), settings(families=f"profile,{OWN}:{name}")).candidates

    assert model.family == "mix"
    assert model.remark is not None
    remark = table[-1].remark or ""
    assert table[-1].name == f"{OWN}:{name}"
    assert re.fullmatch(reason, remark)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (f"{OWN}:absent", "cannot be loaded"),
        ("no.such.module:family", "cannot be loaded: No module named 'no'"),
        (f"{OWN}:NOT_A_FUNCTION", "is not a function"),
    ],
)
def test_a_family_that_is_not_there_is_the_settings_mistake(name: str, reason: str) -> None:
    with pytest.raises(UnknownFamily, match=reason):
        train(regular(60), settings(families=name))


def test_a_family_that_ends_the_program_when_imported_is_the_settings_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ends_the_program.py").write_text("import sys\nsys.exit(1)\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(UnknownFamily, match="cannot be loaded: SystemExit: 1"):
        train(regular(60), settings(families="ends_the_program:family"))


def test_whoever_interrupts_a_family_is_obeyed() -> None:
    with pytest.raises(KeyboardInterrupt):
        train(regular(60), settings(families=f"{OWN}:interrupted"))


def test_every_built_in_family_has_its_function() -> None:
    assert tuple(backtest._BUILT_IN) == families.BUILT_IN


@pytest.mark.parametrize("text", ["prophet", " prophet", "prophet,prophet", "prophet , prophet"])
def test_prophet_alone_is_prophet_alone_however_it_is_written(text: str) -> None:
    assert train(regular(372), settings(families=text)).family in {"prophet", "prophet_corrected"}


@pytest.mark.parametrize(
    "text", ["", "prophet,", "ALL", "naive1", ":", ":f", "a.b:c:d", "no colon", "a:b c", "a:" + 99 * "b"]
)
def test_a_list_that_names_no_family_is_refused_before_any_data_is_seen(text: str) -> None:
    with pytest.raises(
        UnknownFamily, match="there are all, naive, profile, ar, yearly, prophet, and your own"
    ):
        settings(families=text)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"engine": "Map"}, "engine must be one of map, prophet, not 'Map'"),
        ({"horizon": 0}, "horizon must be from 1 to 8784, not 0"),
        ({"origins": -1}, "origins must be from 0 to 100, not -1"),
        ({"origins": 101}, "origins must be from 0 to 100, not 101"),
    ],
)
def test_a_setting_out_of_bounds_is_refused_with_what_is_allowed(
    changes: dict[str, str | int], reason: str
) -> None:
    with pytest.raises(BadSettings, match=reason):
        settings(**changes)


def test_rows_without_steps_have_only_the_families_that_were_named() -> None:
    naive = choose(without_steps(), settings(families="naive"))
    prophet = choose(without_steps(), settings(families="prophet"))

    assert [candidate.name for candidate in naive.candidates] == ["naive1"]
    assert naive.family == "seasonal_naive"
    assert prophet.family in {"prophet", "prophet_corrected"}


def test_families_that_need_steps_say_so_where_there_are_none() -> None:
    asked = settings(families=f"profile,{OWN}:next_steps")

    table = choose(without_steps(), asked).candidates

    absent = {candidate.name: candidate.remark for candidate in table[1:]}
    assert absent == dict.fromkeys(("profile", f"{OWN}:next_steps"), "it needs regular steps")
    assert train(without_steps(), asked).remark == f"{OWN}:next_steps: it needs regular steps"
