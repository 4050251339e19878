"""One customer's history, cleaned of what no model can use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fleetcast_engine.errors import NotASeries, NoValidRows
from fleetcast_engine.history.clock import to_utc
from fleetcast_engine.history.columns import Stamps, read_timestamps, read_values
from fleetcast_engine.history.timeline import Floats, Ints, Mask, Timeline, find_timeline

# Beyond this a reading is a broken meter, and squares of it overflow.
_ABSURD = 1e15
# Below this the square of a reading is no longer a number; no meter measures so little.
_NOTHING = 1e-150
# Prophet's calendar arithmetic is in nanoseconds, which end in 1677 and 2262.
EARLIEST = -6_000_000_000
LATEST = 7_000_000_000

# Their numbers are what people hand over in place of seconds.
_FINER: Mapping[str, int] = MappingProxyType(
    {"milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
)

# What becomes of rows with the same time, given their values in the order of delivery and where each time starts.
_POLICIES: Mapping[str, Callable[[Floats, Ints], Floats]] = MappingProxyType(
    {
        "last": lambda values, starts: values[np.append(starts[1:], len(values)) - 1],
        "first": lambda values, starts: values[starts],
        "mean": lambda values, starts: (
            np.add.reduceat(values, starts) / np.diff(np.append(starts, len(values)))
        ),
        "sum": np.add.reduceat,
        "largest": np.maximum.reduceat,
    }
)
DUPLICATES = tuple(_POLICIES)


@dataclass(frozen=True)
class Series:
    """A customer's rows: sorted, one per timestamp, every value finite. Gaps stay gaps.

    Attributes:
        timestamps: seconds since 1970 in UTC, shape (rows,).
        values: shape (rows,), as they were delivered.
        unusable: rows dropped because their value or their time cannot be true.
        duplicates: rows that shared their time with another one and were settled into it.
    """

    customer_id: str
    timestamps: Ints
    values: Floats
    timeline: Timeline
    unusable: int = 0
    duplicates: int = 0

    @classmethod
    def from_arrays(
        cls,
        customer_id: str,
        timestamps: npt.ArrayLike,
        values: npt.ArrayLike,
        *,
        time_zone: str = "UTC",
        duplicates: str = "last",
    ) -> Self:
        """Build a series from rows in any order.

        Dropped, and counted, are rows whose value is missing, infinite or beyond 1e15, whose time lies outside the
        years 1780 to 2191, or whose wall-clock time the clock skipped.

        Args:
            customer_id: whose rows they are.
            timestamps: seconds since 1970 in UTC, datetimes or ISO 8601 text, shape (rows,). Fractions of a second
                are cut off.
            values: numbers, shape (rows,).
            time_zone: of the datetimes and texts that name none themselves.
            duplicates: what counts of rows with the same time: their `last` or `first` in the order given, their
                `mean` or `sum`, or the `largest`.

        Raises:
            NotASeries: these are not rows, a time is missing, or there is no such policy or time zone.
            NoValidRows: no row has a usable value and time.
        """
        if duplicates not in _POLICIES:
            raise NotASeries(f"duplicates is {duplicates!r}; it can be {', '.join(DUPLICATES)}")
        stamps, what = read_timestamps(timestamps), read_values(values)
        if len(stamps.seconds) != len(what):
            raise NotASeries(
                f"{len(stamps.seconds)} timestamps and {len(what)} values; each row has one of both"
            )
        when, usable = _usable(stamps, what, time_zone)
        if not usable.any():
            raise NoValidRows(_why_unusable(stamps, what))
        unusable = len(what) - int(np.count_nonzero(usable))
        if unusable:
            when, what = when[usable], what[usable]
        rows = len(when)
        when, what = _settled(when, what, duplicates)
        return cls(customer_id, when, what, find_timeline(when), unusable, rows - len(when))

    @classmethod
    def from_frame(  # noqa: PLR0913 - a frame has many columns, and they have many names
        cls,
        frame: Any,
        *,
        customer_id: str,
        timestamp: str = "timestamp",
        value: str = "consumption",
        time_zone: str = "UTC",
        duplicates: str = "last",
    ) -> Self:
        """Build a series from two columns of one customer's frame, such as one of pandas; see `from_arrays`.

        Raises:
            NotASeries: a column is absent, or its content is not rows.
            NoValidRows: no row has a usable value and time.
        """
        names = list(getattr(frame, "columns", frame))
        for name in (timestamp, value):
            if name not in names:
                raise NotASeries(f"the frame has no column {name!r}; it has {', '.join(map(repr, names))}")
        when = frame[timestamp]
        if getattr(getattr(when, "dtype", None), "tz", None) is not None:
            # As objects, a million times with a zone take seconds to read.
            when, time_zone = when.to_numpy(dtype=f"datetime64[{when.dtype.unit}]"), "UTC"
        return cls.from_arrays(customer_id, when, frame[value], time_zone=time_zone, duplicates=duplicates)

    @property
    def frequency(self) -> str:
        """The name of the frequency: 15min, 30min, hourly, daily, weekly, monthly or irregular."""
        return self.timeline.frequency

    @property
    def nonnegative(self) -> bool:
        """Whether no reading was ever below zero; forecasts then are not either."""
        return bool(self.values.min() >= 0)

    def __len__(self) -> int:
        return len(self.values)

    def head(self, rows: int) -> "Series":
        """Return the first `rows` rows, as if the rest had not happened yet; what was dropped is not among them."""
        timestamps = self.timestamps[:rows]
        timeline = Timeline(
            self.timeline.frequency, self.timeline.seconds, int(timestamps[-1]), self.timeline.month_day
        )
        return Series(self.customer_id, timestamps, self.values[:rows], timeline)


def _usable(stamps: Stamps, values: Floats, time_zone: str) -> tuple[Ints, Mask]:
    """Return the times in UTC, and which rows can be used."""
    when = stamps.seconds
    usable = (np.abs(values) <= _ABSURD) & (when > EARLIEST) & (when < LATEST)
    if time_zone != "UTC" and stamps.wall_clock.any():
        # Of an ambiguous hour the first row that can be used is the first passing.
        rows = np.flatnonzero(stamps.wall_clock & usable)
        when = when.copy()
        when[rows], skipped = to_utc(when[rows], time_zone)
        usable[rows[skipped]] = False
    return when, usable


def _why_unusable(stamps: Stamps, values: Floats) -> str:
    sound = np.flatnonzero(np.abs(values) <= _ABSURD)
    if len(sound) == 0:
        return f"none of {len(values)} rows has a usable value"
    second, wall_clock = int(stamps.seconds[sound[0]]), stamps.wall_clock[sound[0]]
    reason = (
        f"none of {len(sound)} rows with a usable value has a usable time: each lies outside 1780 to 2191"
    )
    if EARLIEST < second < LATEST:
        return f"{reason} or in an hour that the clock skipped"
    unit = next((unit for unit, parts in _FINER.items() if abs(second) < parts * LATEST), None)
    return reason if wall_clock or unit is None else f"{reason}; are they {unit} since 1970, and not seconds?"


def _settled(timestamps: Ints, values: Floats, policy: str) -> tuple[Ints, Floats]:
    """Return the rows in the order of time, one for each."""
    values = np.where(np.abs(values) < _NOTHING, 0.0, values)
    steps = np.diff(timestamps)
    if (steps > 0).all():
        return timestamps, values
    if (steps < 0).any():
        order = np.argsort(timestamps, kind="stable")
        timestamps, values = timestamps[order], values[order]
    starts = np.flatnonzero(np.diff(timestamps, prepend=timestamps[0] - 1))
    if len(starts) == len(timestamps):
        return timestamps, values
    return timestamps[starts], _POLICIES[policy](values, starts)
