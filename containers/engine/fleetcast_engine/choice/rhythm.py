"""How the steps of a frequency repeat themselves, and how far apart a backtest's origins are."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

# The history before the oldest origin, where there is that much: five weeks of days, say.
_CYCLES_BEFORE = 5
# The horizon is a part of the history, or nothing would be left to learn from.
_SHARE_OF_HISTORY = 2
# Longer horizons than this many natural ones are left to the long run.
_NATURAL_HORIZONS = 4
_ORIGINS_IN_SHORT_HISTORY = 6


@dataclass(frozen=True)
class Rhythm:
    """The steps of one frequency.

    Attributes:
        cycle: steps after which the pattern repeats itself: a week, or a year of weeks or months; 1: never.
        unit: steps over which a level is measured: a day, or one step where steps are longer.
        year: steps of 364 days, after which the weekday is the same; 0 where that is of no use.
        spacing: steps from one origin of the backtest to the next.
        older: the same for the older half, which lets the interval see other seasons of the year.
        blocks: ends of the parts of the horizon for which candidates are chosen apart.
        parts: ends of the parts of the horizon whose intervals are measured apart.
        fading: what an origin counts of the one that is a spacing younger.
        cycles: how many cycles a profile looks back.
        units: how many units a level looks back.
    """

    cycle: int
    unit: int
    year: int
    spacing: int
    older: int
    blocks: tuple[int, ...]
    parts: tuple[int, ...]
    fading: float = 0.95
    cycles: int = 26
    units: int = 112

    @property
    def horizon(self) -> int:
        """Return the last step that the backtest looks at."""
        return self.blocks[-1]

    @property
    def warm_up(self) -> int:
        """Return the steps that should lie before an origin."""
        return _CYCLES_BEFORE * self.cycle if self.cycle <= 7 * self.unit else 2 * self.cycle

    @property
    def within_a_day(self) -> bool:
        """Whether a day has several steps."""
        return self.unit > 1

    def of_history(self, steps: int, season: int, horizon: int) -> "Rhythm":
        """Return the rhythm tuned for a history and for at least `horizon` steps ahead, where it allows.

        Args:
            steps: of the history.
            season: the longest season that fits into it twice.
            horizon: what was asked for.
        """
        rhythm = self
        if season != self.cycle:
            rhythm = replace(rhythm, cycle=season, unit=min(self.unit, season), year=0)
        spacing = max(1, min(self.spacing, steps // _ORIGINS_IN_SHORT_HISTORY))
        longest = max(self.horizon, min(horizon, _NATURAL_HORIZONS * self.horizon))
        longest = max(1, min(longest, steps // _SHARE_OF_HISTORY))
        return replace(
            rhythm,
            spacing=spacing,
            older=self.older * spacing // self.spacing,
            blocks=_ending_at(self.blocks, longest, keep_last=False),
            parts=_ending_at(self.parts, longest, keep_last=True),
            cycles=min(self.cycles, -(-steps // rhythm.cycle)),
        )


def _ending_at(ends: tuple[int, ...], last: int, *, keep_last: bool) -> tuple[int, ...]:
    kept = ends if keep_last else ends[:-1]
    return (*(end for end in kept if end < last), last)


def _within_days(steps: int) -> Rhythm:
    return Rhythm(
        cycle=7 * steps,
        unit=steps,
        year=364 * steps,
        spacing=steps,
        older=8 * steps,
        blocks=(steps, 7 * steps),
        parts=(steps, 2 * steps, 4 * steps, 7 * steps),
        fading=0.97,
        cycles=12,
        units=56,
    )


RHYTHMS: Mapping[str, Rhythm] = MappingProxyType(
    {
        "15min": _within_days(96),
        "30min": _within_days(48),
        "hourly": _within_days(24),
        "daily": Rhythm(7, 1, 364, 7, 14, (7, 28), (7, 14, 21, 28)),
        "weekly": Rhythm(52, 1, 0, 2, 4, (4, 13), (4, 13), cycles=4, units=104),
        "monthly": Rhythm(12, 1, 0, 1, 2, (3, 12), (3, 12), cycles=6, units=60),
    }
)
