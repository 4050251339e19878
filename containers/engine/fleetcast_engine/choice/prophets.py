"""Prophet as a family: a few sets of its parameters, each moved by what it lately missed."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np

from fleetcast_engine.choice.past import Past
from fleetcast_engine.choice.profiles import Forecasts
from fleetcast_engine.choice.windows import levels, windows
from fleetcast_engine.history.series import Series
from fleetcast_engine.history.timeline import DAY, Floats, Ints
from fleetcast_engine.prophet.exact import Declined, fit_map
from fleetcast_engine.prophet.model import ProphetModel
from fleetcast_engine.prophet.options import ProphetOptions

VARIANTS: Final[Mapping[str, ProphetOptions]] = MappingProxyType(
    {
        "prophet": ProphetOptions(),
        "prophet_flexible": ProphetOptions(changepoint_prior_scale=0.5, changepoint_range=0.95),
        "prophet_stiff": ProphetOptions(changepoint_prior_scale=0.005),
        "prophet_multiplicative": ProphetOptions(seasonality_mode="multiplicative"),
    }
)
# What a candidate is called that is not moved by what it lately missed.
UNCORRECTED: Final = "_uncorrected"
# Days after which a residual counts half: Prophet mostly gets the level of the last days wrong.
_HALF_LIFE = 3.0
_LOOKED_BACK = 21
# Origins that share the fit made at the oldest of them, so that none knows its future; each has a correction of its
# own. A multiplicative fit takes ten times as long; within a day rows are many and origins close.
_TOGETHER: Final[Mapping[str, int]] = MappingProxyType({"additive": 4, "multiplicative": 13})


def prophets(past: Past, *, uncorrected: bool = False) -> Forecasts:
    """Return the variants with their corrections, and as they are if that is wanted too.

    What the direct solver declines at some origin is NaN there.
    """
    found: dict[str, Floats] = {}
    back = _LOOKED_BACK * past.rhythm.unit
    known = windows(past.values, past.origins, back)
    for name, options in VARIANTS.items():
        together = _TOGETHER[options.seasonality_mode] * (1 + past.rhythm.within_a_day)
        groups = _groups(past.origins, together)
        around = np.stack([each for group in groups for each in _from_one_fit(past, group, options, back)])
        forecasts = around[:, back:]
        corrections = levels(known - around[:, :back], 1, (_HALF_LIFE * past.rhythm.unit,))
        found[name] = forecasts + corrections
        if uncorrected:
            found[name + UNCORRECTED] = forecasts
    return found


def corrected(prophet: ProphetModel, series: Series) -> ProphetModel:
    """Return the model moved by what it missed at the end of the series, recent rows counting most."""
    recent = series.timestamps > series.timeline.end - _LOOKED_BACK * max(DAY, series.timeline.seconds)
    when = series.timestamps[recent]
    left = series.values[recent] - prophet.predict(when, series.timeline)
    days = (series.timeline.end - when) / max(DAY, series.timeline.seconds)
    weights = 0.5 ** (days / _HALF_LIFE)
    total = float(weights.sum())
    return replace(prophet, correction=float(left @ weights) / total) if total else prophet


def _groups(origins: Ints, together: int) -> Iterator[Ints]:
    """Yield neighbouring origins, newest first; the one to forecast from has a fit of its own."""
    yield origins[:1]
    for first in range(1, len(origins), together):
        yield origins[first : first + together]


def _from_one_fit(past: Past, origins: Ints, options: ProphetOptions, back: int) -> Iterator[Floats]:
    """Yield what one fit says of the `back` steps up to each origin and of the horizon after it."""
    rows = int(np.searchsorted(past.series.timestamps, past.timestamps[origins[-1]], side="right"))
    try:
        model = fit_map(past.series.head(rows), options) if rows else None
    except Declined:
        model = None
    if model is None:
        yield from (np.full(back + past.horizon, np.nan) for _ in origins)
        return
    first = int(origins[-1]) - back + 1
    yhat = model.predict(past.timestamps[max(first, 0) : origins[0] + past.horizon + 1], past.series.timeline)
    yhat = np.concatenate([np.full(max(-first, 0), np.nan), yhat])
    for origin in origins - origins[-1]:
        yield yhat[origin : origin + back + past.horizon]
