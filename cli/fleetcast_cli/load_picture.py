"""A load test as an SVG: answers per second, users and instances over time, one above the other."""

from collections.abc import Callable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from fleetcast_cli.load_figures import Moment
from fleetcast_cli.output import format_seconds

_WIDTH, _LEFT, _RIGHT, _TOP = 760, 70, 20, 50
_PANEL, _GAP = 110, 34

Series = Callable[[Moment], float | None]
_PANELS: tuple[tuple[str, str, Series], ...] = (
    ("Answers per second", "#1769aa", lambda moment: moment.rate),
    (
        "Errors per second",
        "#b3261e",
        lambda moment: moment.errors / moment.seconds if moment.seconds else None,
    ),
    ("p99, ms", "#7a4fa3", lambda moment: moment.p99),
    ("Users", "#555555", lambda moment: float(moment.users)),
    ("Instances", "#2e7d32", lambda moment: moment.instances),
)


def save_svg(moments: Sequence[Moment], title: str, path: Path) -> None:
    """Write the picture; every axis begins at zero, and a panel that nothing is known of is left out."""
    panels = [panel for panel in _PANELS if any(panel[2](moment) is not None for moment in moments)]
    end = max((moment.at for moment in moments), default=1.0)
    drawn = [
        _panel(name, colour, [(m.at / end, series(m)) for m in moments], _TOP + place * (_PANEL + _GAP))
        for place, (name, colour, series) in enumerate(panels)
    ]
    height = _TOP + len(panels) * (_PANEL + _GAP) + 16
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        'font-size="12">\n<style>text{fill:#333}.small{fill:#777}</style>\n'
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>\n'
        f'<text x="{_WIDTH // 2}" y="22" font-size="15" text-anchor="middle">{escape(title)}</text>\n'
        f"{''.join(drawn)}"
        f'<text x="{_LEFT}" y="{height - 12}" class="small">0 s</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{height - 12}" class="small" text-anchor="end">'
        f"{format_seconds(end)}</text>\n</svg>\n",
        encoding="utf-8",
    )


def _panel(name: str, colour: str, points: Sequence[tuple[float, float | None]], top: int) -> str:
    known = [(share, value) for share, value in points if value is not None]
    most = max(value for _, value in known) or 1.0
    floor = top + _PANEL
    places = " ".join(
        f"{_LEFT + share * (_WIDTH - _LEFT - _RIGHT):.1f},{floor - value / most * (_PANEL - 20):.1f}"
        for share, value in known
    )
    return (
        f'<text x="{_LEFT}" y="{top + 10}">{escape(name)}</text>\n'
        f'<path d="M{_LEFT} {floor}H{_WIDTH - _RIGHT}" stroke="#999"/>'
        f'<text x="{_LEFT - 8}" y="{top + 24}" class="small" text-anchor="end">{most:,.4g}</text>'
        f'<text x="{_LEFT - 8}" y="{floor}" class="small" text-anchor="end">0</text>\n'
        f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.5"/>\n'
    )
