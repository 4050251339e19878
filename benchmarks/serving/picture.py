"""Requests per second of every server, on the terminal and as an SVG beside the figures."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

_MEASURE = "req/s, 64 connections"
_WIDTH, _BAR, _LEFT, _RIGHT, _TOP = 880, 34, 250, 290, 48
_CHARACTERS = 40
_TITLE = "Forecasts of 7 days per second, 1,000 customers at random, 64 connections"

Figures = Mapping[str, Mapping[str, Any]]


def draw(figures: Figures) -> str:
    """Return the picture as text: a bar for each server, and each figure in words."""
    most = max(row[_MEASURE] for row in figures.values())
    widest = max(map(len, figures))
    lines = [
        f"{name:<{widest}}  {'█' * max(1, round(_CHARACTERS * row[_MEASURE] / most)):<{_CHARACTERS}} {_label(row)}"
        for name, row in figures.items()
    ]
    return "\n".join([_TITLE, "", *lines])


def save_svg(figures: Figures, path: Path) -> None:
    """Write the picture; the axis is logarithmic, because the smallest bar would not be seen, and says so."""
    top = math.log10(max(row[_MEASURE] for row in figures.values()))
    bars = []
    for place, (name, row) in enumerate(figures.items()):
        y = _TOP + place * _BAR
        width = (_WIDTH - _LEFT - _RIGHT) * max(math.log10(max(row[_MEASURE], 1)), 0.02) / top
        bars.append(
            f'<text x="{_LEFT - 10}" y="{y + 19}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{_LEFT}" y="{y + 4}" width="{width:.0f}" height="{_BAR - 12}" fill="#1769aa"/>'
            f'<text x="{_LEFT + width + 8:.0f}" y="{y + 19}">{escape(_label(row))}</text>'
        )
    height = _TOP + len(figures) * _BAR + 30
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        'font-size="12">\n<style>text{fill:#333}.small{fill:#777}</style>\n'
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>\n'
        f'<text x="{_WIDTH // 2}" y="24" font-size="15" text-anchor="middle">{_TITLE}</text>\n'
        f"{''.join(bars)}\n"
        f'<text x="{_LEFT}" y="{height - 12}" class="small">the axis is logarithmic</text>\n'
        "</svg>\n"
    )


def _label(row: Mapping[str, Any]) -> str:
    behind = row.get("ours, times as fast")
    told = f" (ours x{behind:,})" if behind else ""
    return f"{row[_MEASURE]:,} req/s, p99 {row['p99 ms, 64 connections']:,} ms{told}"
