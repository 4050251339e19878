"""A model's numbers, one after the other in one block of bytes, each checked to be one."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fleetcast_engine.artifact.limits import MAX_NUMBER
from fleetcast_engine.errors import BadParameters
from fleetcast_engine.history.timeline import Floats

Singles = npt.NDArray[np.float32]

_DOUBLE = np.dtype("<f8")
_SINGLE = np.dtype("<f4")


# A number's last byte is its sign and the upper part of its exponent: with one of these it is below 1e30 for sure.
_SMALL_DOUBLES = bytes([sign + exponent for sign in (0, 0x80) for exponent in range(0x46)])
_SMALL_SINGLES = bytes([sign + exponent for sign in (0, 0x80) for exponent in range(0x71)])


class Numbers:
    """Numbers that nobody vouches for, taken off the front of their block, doubles first, and checked all at once.

    The arrays are views of the block: a model keeps its numbers in these bytes, and nowhere else.
    """

    __slots__ = ("_at", "_singles", "_taken", "block")

    def __init__(self, block: bytes) -> None:
        self.block = block
        self._at = 0
        self._singles = 0
        self._taken: list[tuple[str, npt.NDArray[Any]]] = []

    def doubles(self, name: str, count: int) -> Floats:
        """Return the next ones in double precision; nobody has looked at them before `finish`.

        Raises:
            BadParameters: they are not there; the text has the name.
        """
        values = self._take(name, count, _DOUBLE)
        self._singles = self._at
        return values

    def singles(self, name: str, count: int) -> Singles:
        """Return the next ones in single precision, as `doubles` does."""
        return self._take(name, count, _SINGLE)

    def finish(self) -> None:
        """Check what was taken, and refuse what is left.

        Raises:
            BadParameters: a number is not finite, or too large, or there are more; the text says which.
        """
        if self._at != len(self.block):
            raise BadParameters(
                "the model's params and numbers do not belong together: there are more numbers"
            )
        # Bytes are looked through in a third of the time that arrays take. Where one is doubtful, numbers are asked.
        doubles, singles = self.block[7 : self._singles : 8], self.block[self._singles + 3 :: 4]
        if doubles.translate(None, _SMALL_DOUBLES) or singles.translate(None, _SMALL_SINGLES):
            for name, values in self._taken:
                check(name, values)

    def _take(self, name: str, count: int, kind: np.dtype[Any]) -> npt.NDArray[Any]:
        try:
            values = np.frombuffer(self.block, kind, count, self._at)
        except ValueError:
            raise BadParameters(
                f"the model's params and numbers do not belong together: {name} are not there"
            ) from None
        self._at += values.nbytes
        self._taken.append((name, values))
        return values


def doubles(name: str, values: npt.ArrayLike) -> bytes:
    """Return numbers as they are stored in double precision.

    Raises:
        BadParameters: one of them could not be read again.
    """
    return _stored(name, values, _DOUBLE)


def singles(name: str, values: npt.ArrayLike) -> bytes:
    """Return numbers as they are stored in single precision; errors as there."""
    return _stored(name, values, _SINGLE)


def _stored(name: str, values: npt.ArrayLike, kind: np.dtype[Any]) -> bytes:
    stored = np.ascontiguousarray(values, kind).reshape(-1)
    check(name, stored)
    return stored.tobytes()


def check(name: str, values: npt.NDArray[Any], most: float = MAX_NUMBER) -> None:
    """Refuse numbers that are not finite or lie beyond `most`.

    Raises:
        BadParameters: one does; the text has the name.
    """
    # What is not a number is not below anything.
    if not (np.abs(values) <= most).all():
        raise BadParameters(f"the model's {name} is not a list of finite numbers up to {most:g}")
