"""What may be said about how a model is chosen."""

import time
from dataclasses import dataclass, field

from fleetcast_engine.choice.families import ALL, PROPHET, parse_families
from fleetcast_engine.errors import BadSettings
from fleetcast_engine.prophet.fitting import ENGINES, MAP, Engine

MOST_ORIGINS = 100
# A year of hours.
LONGEST_HORIZON = 8784


@dataclass(frozen=True)
class TrainSettings:
    """How a model is chosen.

    Attributes:
        run_id: the run that the model will belong to.
        horizon: steps that the forecast is tuned for; never fewer than the frequency's own (28 days of days, 7 days
            of hours), never more than four times as many, and at most half the history.
        origins: how many cuts of the history the candidates are compared at; half as many older ones follow. With 0
            nothing is compared, and the naive is served; rows without regular steps are compared once at least.
        trained_at: seconds since 1970 in UTC.
        engine: "map" for the exact maximum of Prophet's posterior, "prophet" for Prophet's own optimiser, which
            restricts the choice to Prophet and the naive.
        families: "prophet" for Prophet alone, or names separated by commas: all, naive, profile, ar, yearly, prophet,
            and a user's own as `package.module:attribute`. Rows without regular steps have only naive and prophet.

    Raises:
        BadSettings: a value is out of bounds.
        UnknownFamily: there is no such family.
    """

    run_id: str = ""
    horizon: int = 28
    origins: int = 26
    trained_at: int = field(default_factory=lambda: int(time.time()))
    engine: Engine = MAP
    families: str = ALL

    def __post_init__(self) -> None:
        for name, least, most in (("horizon", 1, LONGEST_HORIZON), ("origins", 0, MOST_ORIGINS)):
            value = getattr(self, name)
            if not least <= value <= most:
                raise BadSettings(f"{name} must be from {least} to {most}, not {value}")
        if self.engine not in ENGINES:
            raise BadSettings(f"engine must be one of {', '.join(ENGINES)}, not {self.engine!r}")
        parse_families(self.families)

    @property
    def competing(self) -> tuple[str, ...]:
        """The names of the families, each once."""
        return parse_families(self.families)

    @property
    def prophet_only(self) -> bool:
        """Whether a model has to be Prophet's, and not a mean of several."""
        return self.competing == (PROPHET,)
