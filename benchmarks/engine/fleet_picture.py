"""Time per customer against the size of the fleet, on the terminal and as an SVG beside the figures."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import plotext

_WIDTH, _HEIGHT, _MARGIN = 640, 300, 60
_TITLE = "ms per customer, from raw CSV to stored model, against the number of customers"

Point = Mapping[str, float]


def draw(points: Sequence[Point]) -> str:
    """Return the picture as text."""
    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(80, 14)
    figure.title(_TITLE)
    sizes = [math.log10(point["customers"]) for point in points]
    signal = figure.signal(sizes, [point["ms per customer"] for point in points])
    if len(points) > 1:
        signal.lines()
    figure.draw(signal)
    figure.ruler("x").ticks(sizes, [f"{point['customers']:,.0f}" for point in points])
    return str(figure.build().string(colorless=True)).rstrip()


def save_svg(points: Sequence[Point], path: Path) -> None:
    """Write the picture; the axis of times begins at zero, so that what looks level is."""
    top = 1.25 * max(point["ms per customer"] for point in points)
    places = [(_across(point["customers"], points), _down(point["ms per customer"], top)) for point in points]
    marks = [
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="4"/>'
        f'<text x="{x:.0f}" y="{y - 10:.0f}">{point["ms per customer"]:.3f} ms</text>'
        f'<text x="{x:.0f}" y="{_HEIGHT - _MARGIN + 20}">{point["customers"]:,.0f}</text>'
        f'<text x="{x:.0f}" y="{_HEIGHT - _MARGIN + 38}" class="small">'
        f"{point['peak MiB of all processes']:,.0f} MiB</text>"
        for (x, y), point in zip(places, points, strict=True)
    ]
    line = " ".join(f"{x:.0f},{y:.0f}" for x, y in places)
    floor = _HEIGHT - _MARGIN
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        'font-size="13" text-anchor="middle">\n'
        "<style>text{fill:#333}.small{fill:#777}</style>\n"
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>\n'
        f'<text x="{_WIDTH // 2}" y="24" font-size="15">{_TITLE}</text>\n'
        f'<path d="M{_MARGIN} {floor}H{_WIDTH - _MARGIN}" stroke="#999"/>\n'
        f'<polyline points="{line}" fill="none" stroke="#1769aa" stroke-width="2"/>\n'
        f'<g fill="#1769aa">{"".join(marks)}</g>\n</svg>\n'
    )


def _across(customers: float, points: Sequence[Point]) -> float:
    first, last = (math.log10(points[place]["customers"]) for place in (0, -1))
    share = (math.log10(customers) - first) / (last - first) if last > first else 0.5
    return 2 * _MARGIN + share * (_WIDTH - 4 * _MARGIN)


def _down(value: float, top: float) -> float:
    return _HEIGHT - _MARGIN - value / top * (_HEIGHT - 2 * _MARGIN)
