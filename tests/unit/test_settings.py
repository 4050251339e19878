"""What a function is told by its environment."""

import dataclasses

import pytest

from fleetcast.errors import SettingError
from fleetcast.settings import ForecastCustomerSettings

ENVIRON = {
    "ENDPOINT_NAME": "fleetcast",
    "POINTER_TABLE": "pointers",
    "POINTER_CACHE_SECONDS": "30",
    "OTHER": "x",
}


def test_settings_are_typed_and_frozen() -> None:
    settings = ForecastCustomerSettings.from_environ(ENVIRON)

    assert settings == ForecastCustomerSettings("fleetcast", "pointers", 30)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.endpoint_name = "other"  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_variable_is_named(value: str | None) -> None:
    environ = {name: text for name, text in ENVIRON.items() if name != "POINTER_TABLE"}

    with pytest.raises(SettingError, match="environment variable POINTER_TABLE is not set"):
        ForecastCustomerSettings.from_environ(
            environ if value is None else {**environ, "POINTER_TABLE": value}
        )


def test_a_wrong_variable_is_named_with_its_value() -> None:
    with pytest.raises(SettingError, match="POINTER_CACHE_SECONDS is 'soon', but must be a whole number"):
        ForecastCustomerSettings.from_environ({**ENVIRON, "POINTER_CACHE_SECONDS": "soon"})
