"""A forecast and its interval, drawn with characters."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import plotext

from fleetcast_cli.output import clean

_HEIGHT = 16
_NARROWEST, _WIDEST = 40, 110
_LABELS = 6


def draw_forecast(answer: dict[str, Any], width: int, *, colours: bool) -> str:
    """Return the plot as text: the forecast as a line, the bounds of its interval dotted."""
    steps = answer["forecast"]
    figure = _figure(answer, width)
    _add_forecast(figure, steps)
    _label(figure, [step["timestamp"] for step in steps])
    return str(figure.build().string(colorless=not colours)).rstrip()


def draw_history(past: Sequence[float], answer: Mapping[str, Any], width: int, *, colours: bool) -> str:
    """Return the plot as text: what was metered last, then the forecast and the bounds of its interval."""
    steps = answer["forecast"]
    figure = _figure(answer, width)
    if past:
        _add(figure, past, "braille", "white", -len(past))
    _add_forecast(figure, steps)
    places = [-len(past), -1, len(steps) - 1] if past else [0, len(steps) - 1]
    names = [f"{len(past)} steps before", "data ends"] if past else [_short(steps[0]["timestamp"])]
    figure.ruler("x").ticks(places, [*names, _short(steps[-1]["timestamp"])])
    return str(figure.build().string(colorless=not colours)).rstrip()


def _figure(answer: Mapping[str, Any], width: int) -> Any:
    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(min(max(width, _NARROWEST), _WIDEST), _HEIGHT)
    share = answer.get("interval")
    bounds = f" and its {share:.0%} interval" if share else ""
    figure.title(clean(f"Customer {answer['customer_id']}: forecast{bounds}"))
    return figure


def _add_forecast(figure: Any, steps: Sequence[Mapping[str, Any]]) -> None:
    for name, colour, marker in (
        ("yhat_lower", "cyan", "dot"),
        ("yhat_upper", "cyan", "dot"),
        ("yhat", "green", "braille"),
    ):
        _add(figure, [step[name] for step in steps], marker, colour)


def _add(figure: Any, values: Sequence[float], marker: str, colour: str, first: int = 0) -> None:
    places = list(range(first, first + len(values)))
    signal = figure.signal(places, list(values), marker=plotext.marker(marker, colour))
    if len(values) > 1:
        signal.lines()
    figure.draw(signal)


def _label(figure: Any, timestamps: Sequence[str]) -> None:
    last = len(timestamps) - 1
    count = min(_LABELS, last + 1)
    places = sorted({round(number * last / max(count - 1, 1)) for number in range(count)})
    figure.ruler("x").ticks(places, [_short(timestamps[place]) for place in places])


def _short(timestamp: str) -> str:
    moment = datetime.fromisoformat(timestamp)
    midnight = (moment.hour, moment.minute) == (0, 0)
    return f"{moment:%d %b}" if midnight else f"{moment:%d %b %H:%M}"
