"""Draw a report as one SVG: a panel of horizontal bars for each row, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.results import Report, RowResult
from benchmarks.servers import OURS, RATES

WIDTH, NAMES, VALUES = 760, 150, 110  # the chart; room for the names at the left, for the values at the right
BAR, STEP, TITLE, GAP = 14, 20, 26, 18

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f; }
  .title { font-weight: 600; font-size: 13px; }
  .name { text-anchor: end; }
  .bar { fill: #9aa5b1; }
  .ours { fill: #1a7f37; }
  @media (prefers-color-scheme: dark) {
    text { fill: #d7dde3; }
    .bar { fill: #6b7682; }
    .ours { fill: #3fb950; }
  }
"""


@dataclass(frozen=True)
class Panel:
    """Bars for the servers that have this figure, longest first or shortest first: the best is at the top."""

    title: str
    unit: str
    form: str
    bars: Sequence[tuple[str, float]]

    @property
    def height(self) -> int:
        return TITLE + STEP * len(self.bars) + GAP


def panels(report: Report) -> list[Panel]:
    found = []
    for row in report.rows:
        if row.row == "memory":
            found.append(panel(row, "worker_mib", "Memory: a worker after start (less is better)", "MiB", ",.1f", best_first=False))
            found.append(panel(row, "connection_kib", "Memory: an idle WebSocket (less is better)", "KiB", ",.1f", best_first=False))
        elif row.load in ("memory", "crowd"):
            found.append(panel(row, "connection_kib", f"{row.title} (less is better)", "KiB", ",.1f", best_first=False))
        elif row.load == "idle":
            found.append(panel(row, "cpu_percent", f"{row.title} (less is better)", "% of a core", ",.2f", best_first=False))
        elif row.load in RATES:
            found.append(panel(row, "rate", row.title, "/s", ",.0f", best_first=True))
    return [one for one in found if one.bars]


def panel(row: RowResult, figure: str, title: str, unit: str, form: str, *, best_first: bool) -> Panel:
    bars = [(outcome.server, outcome.figures[figure]) for outcome in row.outcomes if figure in outcome.figures]
    return Panel(title, unit, form, sorted(bars, key=lambda bar: bar[1], reverse=best_first))


def draw(report: Report) -> str:
    parts, top = [], GAP
    for one in panels(report):
        parts.append(draw_panel(one, top))
        top += one.height
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}" role="img">'
    title = "<title>greenimi and other servers: requests a second and memory</title>"
    return "\n".join([head, title, f"<style>{STYLE}</style>", *parts, "</svg>", ""])


def draw_panel(one: Panel, top: int) -> str:
    longest = max(max(value for _, value in one.bars), 1e-9)
    lines = [f'<text class="title" x="8" y="{top + 10}">{escape(one.title)}</text>']
    for index, (server, value) in enumerate(one.bars):
        y = top + TITLE + index * STEP
        width = max(1.0, (WIDTH - NAMES - VALUES) * max(value, 0) / longest)
        kind = "bar ours" if server == OURS else "bar"
        lines.append(f'<text class="name" x="{NAMES - 8}" y="{y + 11}">{escape(server)}</text>')
        lines.append(f'<rect class="{kind}" x="{NAMES}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2"/>')
        lines.append(f'<text x="{NAMES + width + 6:.1f}" y="{y + 11}">{value:{one.form}} {escape(one.unit)}</text>')
    return "\n".join(lines)
