"""Reading a JSON object that nobody vouches for: each field by its type and its bounds."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn, Self

import numpy as np

from fleetcast_engine.artifact.limits import MAX_NUMBER, MAX_SECONDS, MAX_TEXT
from fleetcast_engine.errors import BadParameters
from fleetcast_engine.history.series import EARLIEST, LATEST
from fleetcast_engine.history.timeline import Floats


class Fields:
    """A JSON object whose fields are asked for; an unexpected one raises BadParameters with its name."""

    def __init__(self, document: Mapping[str, Any], path: str = "") -> None:
        self._document = document
        self._path = path

    def text(self, name: str, most: int = MAX_TEXT) -> str:
        value = self._document.get(name)
        if not isinstance(value, str) or len(value) > most:
            self._refuse(name, "a short text")
        return value

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name)
        if value not in allowed:
            self._refuse(name, f"one of {', '.join(allowed)}")
        return value

    def flag(self, name: str) -> bool:
        value = self._document.get(name)
        if not isinstance(value, bool):
            self._refuse(name, "true or false")
        return value

    def integer(self, name: str, least: int, most: int) -> int:
        value = self._document.get(name)
        if type(value) is not int or not least <= value <= most:
            self._refuse(name, f"a whole number from {least} to {most}")
        return value

    def number(self, name: str, least: float = -math.inf) -> float:
        value: Any = self._document.get(name)
        if not _is_number(value) or value < least:
            self._refuse(name, "a finite number" if least == -math.inf else f"a finite number from {least}")
        return float(value)

    def positive(self, name: str) -> float:
        value = self.number(name)
        if value <= 0:
            self._refuse(name, "a finite number above 0")
        return value

    def values(self, name: str, most: int) -> list[Any]:
        values = self._document.get(name)
        if not isinstance(values, list) or len(values) > most:
            self._refuse(name, f"a list of at most {most}")
        return values

    def integers(self, name: str, most: int) -> list[int]:
        values = self.values(name, most)
        if any(type(value) is not int or abs(value) > MAX_SECONDS for value in values):
            self._refuse(name, f"a list of at most {most} whole numbers")
        return values

    def numbers(self, name: str, most: int) -> Floats:
        values = self._document.get(name)
        if not isinstance(values, list) or len(values) > most or not all(map(_is_number, values)):
            self._refuse(name, f"a list of at most {most} finite numbers")
        return np.array(values, np.float64)

    def matrix(self, name: str, most: int) -> Floats:
        """Return rows of finite numbers, all of one length."""
        rows = self._document.get(name)
        if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
            self._refuse(name, "a list of rows")
        if len({len(row) for row in rows}) != 1 or len(rows) * len(rows[0]) > most:
            self._refuse(name, f"a table of at most {most} numbers")
        if not all(_is_number(value) for row in rows for value in row):
            self._refuse(name, "a table of finite numbers")
        return np.array(rows, np.float64)

    def nothing(self, name: str) -> None:
        """Refuse a field that is there and means something."""
        if self._document.get(name) is not None:
            self._refuse(name, "absent or null")

    def nothing_but(self, *names: str) -> None:
        """Refuse fields of other names."""
        if foreign := sorted(self._document.keys() - set(names)):
            raise BadParameters(
                f"the model has {self._path}{foreign[0][:MAX_TEXT]}, which it should not have"
            )

    def time(self, name: str) -> int:
        try:
            seconds = int(datetime.strptime(self.text(name), "%Y-%m-%dT%H:%M:%S%z").timestamp())
        except (ValueError, OverflowError):
            self._refuse(name, "a time such as 2026-01-31T00:00:00Z")
        if not EARLIEST < seconds < LATEST:
            self._refuse(name, "a time of this age")
        return seconds

    def object(self, name: str) -> Self:
        value = self._document.get(name)
        if not isinstance(value, dict):
            self._refuse(name, "an object")
        return type(self)(value, f"{self._path}{name}.")

    def objects(self, name: str, most: int) -> list[Self]:
        values = self._document.get(name)
        if not isinstance(values, list) or len(values) > most:
            self._refuse(name, f"a list of at most {most} objects")
        if not all(isinstance(value, dict) for value in values):
            self._refuse(name, "a list of objects")
        return [type(self)(value, f"{self._path}{name}.") for value in values]

    def _refuse(self, name: str, expected: str) -> NoReturn:
        raise BadParameters(f"the model's {self._path}{name} is not {expected}")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= MAX_NUMBER
