"""The table of parameters: typed, bounded, and clear about what is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcast.adapters.clients import client
from fleetcast.adapters.parameter_store import read_parameters
from fleetcast.domain.parameters import BY_NAME, PARAMETERS, Parameter, parse_parameters
from fleetcast.errors import SettingError

DEFAULTS = {parameter.name: str(parameter.default) for parameter in PARAMETERS}
NUMBERS = [p for p in PARAMETERS if p.low is not None and p.high is not None]


def test_defaults_are_valid_and_typed() -> None:
    values = parse_parameters(DEFAULTS)

    assert values == {parameter.name: parameter.default for parameter in PARAMETERS}
    assert all(type(values[p.name]) is type(p.default) for p in PARAMETERS)


@pytest.mark.parametrize("parameter", NUMBERS, ids=lambda p: p.name)
def test_both_bounds_are_allowed_and_nothing_beyond(parameter: Parameter) -> None:
    assert parameter.low is not None
    assert parameter.high is not None
    parameter.parse(str(parameter.low))
    parameter.parse(str(parameter.high))
    for beyond in (parameter.low - 1, parameter.high + 1):
        with pytest.raises(SettingError):
            parameter.parse(str(beyond))


@pytest.mark.parametrize(
    "text", ["", " ", "nan", "inf", "-inf", "1,5", "seven", "0x10", "true", "1e400", "NULL"]
)
@pytest.mark.parametrize("parameter", NUMBERS, ids=lambda p: p.name)
def test_what_is_no_number_is_refused(parameter: Parameter, text: str) -> None:
    with pytest.raises(SettingError):
        parameter.parse(text)


@pytest.mark.parametrize("text", ["28.0", "2.8e1", "28.5"])
def test_a_whole_number_has_no_fraction(text: str) -> None:
    with pytest.raises(SettingError, match="must be a whole number from 1 to 8784"):
        BY_NAME["training/horizon"].parse(text)


def test_the_sentence_names_parameter_value_and_bounds() -> None:
    with pytest.raises(SettingError) as raised:
        BY_NAME["training/max_runtime_seconds"].parse("9999999")

    assert str(raised.value) == (
        "parameter training/max_runtime_seconds is '9999999', but must be a whole number from 1 to 2419200"
    )


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("TRUE", True), ("false", False), (" False ", False)]
)
def test_a_switch_knows_two_words(text: str, value: object) -> None:
    assert BY_NAME["training/use_spot"].parse(text) is value


@pytest.mark.parametrize("text", ["yes", "1", "0", "on", ""])
def test_a_switch_knows_no_others(text: str) -> None:
    with pytest.raises(SettingError, match="must be true or false"):
        BY_NAME["training/use_spot"].parse(text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("training/instance_type", "m5.large"),
        ("training/engine", "prophets"),
        ("data/time_zone", "Europe/Berlin; rm"),
        ("data/customer_column", "x" * 129),
        ("schedule/state", "enabled"),
        ("schedule/expression", "every day"),
    ],
)
def test_a_text_must_match_as_a_whole(name: str, text: str) -> None:
    with pytest.raises(SettingError):
        BY_NAME[name].parse(text)


@given(st.sampled_from(PARAMETERS), st.text(max_size=40))
def test_any_text_is_a_valid_value_or_a_setting_error(parameter: Parameter, text: str) -> None:
    try:
        value = parameter.parse(text)
    except SettingError as error:
        assert parameter.name in str(error)  # noqa: PT017  # whether it is raised is what Hypothesis varies
    else:
        assert type(value) is type(parameter.default)


def test_a_missing_parameter_is_named() -> None:
    texts = {name: text for name, text in DEFAULTS.items() if name != "gate/max_error_ratio"}

    with pytest.raises(SettingError, match="parameters are missing: gate/max_error_ratio"):
        parse_parameters(texts)


def test_a_parameter_of_a_later_version_is_no_error() -> None:
    assert parse_parameters({**DEFAULTS, "gate/from_the_future": "1"}).keys() == BY_NAME.keys()


@pytest.mark.parametrize(
    "change",
    [
        {"serving/min_instances": "3", "serving/initial_instances": "2"},
        {"serving/initial_instances": "11"},
        {"training/max_runtime_seconds": "30000"},
    ],
)
def test_parameters_that_contradict_each_other_are_refused(change: dict[str, str]) -> None:
    with pytest.raises(SettingError, match=r"is .*, above .*, which is"):
        parse_parameters({**DEFAULTS, **change})


def test_the_waiting_time_does_not_matter_without_spot() -> None:
    parse_parameters({**DEFAULTS, "training/use_spot": "false", "training/max_runtime_seconds": "30000"})


def test_parameters_are_read_below_the_path_of_the_stack(aws: None) -> None:
    for name, text in DEFAULTS.items():
        client("ssm").put_parameter(Name=f"/fleetcast/mine/{name}", Value=text, Type="String")
    client("ssm").put_parameter(Name="/fleetcast/mine-too/training/horizon", Value="1", Type="String")

    assert read_parameters("/fleetcast/mine/")["training/horizon"] == 28


def test_a_stack_without_parameters_says_what_to_do(aws: None) -> None:
    with pytest.raises(SettingError, match="deploy the stack again to restore them"):
        read_parameters("/fleetcast/mine/")
