"""Draws judged signals with their expected band and the anomalies: a PNG, or one HTML file that loads nothing else.

`aegis detect --plot` calls it. It never asks the network for anything and escapes every name it shows.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aegis.detection.frame import Floats
from aegis.kit.clock import from_epoch
from aegis.kit.errors import Invalid

POINTS = 1200
PANELS = 12
WIDTH, HEIGHT, LEFT, BOTTOM = 960, 150, 70, 18


@dataclass(frozen=True, slots=True)
class Panel:
    """One signal: `values`, `low`, `high` (n,) over the shared times."""

    name: str
    values: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class Plot:
    title: str
    times: Floats
    panels: Sequence[Panel]
    spans: Sequence[tuple[float, float]]


def check_plot_path(path: Path) -> None:
    """Raise `Invalid` early, before minutes of work, when the plot could not be written."""
    if path.suffix.lower() not in (".png", ".html"):
        raise Invalid("plot_extension", f"{path.name} is neither .png nor .html.")
    if not path.parent.is_dir():
        raise Invalid("plot_folder", f"There is no folder {path.parent}.")


def draw(plot: Plot, path: Path) -> None:
    shown = Plot(plot.title, plot.times, plot.panels[:PANELS], plot.spans)
    if path.suffix.lower() == ".png":
        _draw_png(shown, path)
    else:
        path.write_text(_page(shown), encoding="utf-8")


def _draw_png(plot: Plot, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # heavy: only a plot needs it
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 1.2 + 1.8 * len(plot.panels)), layout="constrained")
    FigureCanvasAgg(figure)
    hours = (plot.times - plot.times[0]) / 3600
    for index, panel in enumerate(plot.panels):
        axes = figure.add_subplot(len(plot.panels), 1, index + 1)
        axes.fill_between(hours, panel.low, panel.high, color="#9ecae1", alpha=0.6, linewidth=0, label="expected")
        axes.plot(hours, panel.values, color="#222222", linewidth=0.8, label="seen")
        for start, stop in plot.spans:
            axes.axvspan((start - plot.times[0]) / 3600, (stop - plot.times[0]) / 3600, color="#d62728", alpha=0.2)
        axes.set_title(_literal(panel.name), fontsize=9, loc="left")
        axes.margins(x=0)
        axes.set_ylim(*_limits(panel))
    figure.axes[0].legend(fontsize=8, loc="upper right")
    figure.axes[-1].set_xlabel(f"hours after {_clock(plot.times[0])} UTC")
    figure.suptitle(_literal(plot.title), fontsize=11)
    figure.savefig(path, dpi=100)


def _literal(text: str) -> str:
    """Matplotlib reads `$…$` as a formula."""
    return text.replace("$", r"\$")


def _page(plot: Plot) -> str:
    panels = "".join(_svg(plot, panel) for panel in plot.panels)
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        '<meta name="viewport" content="width=device-width">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{html.escape(plot.title)}</title><style>"
        "body{font:14px system-ui,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#222}"
        "svg{width:100%;height:auto}h2{font-size:1em;margin:1.2em 0 .2em}text{font-size:11px;fill:#555}"
        "@media(prefers-color-scheme:dark){body{background:#0e1318;color:#e2e8ee}text{fill:#9aa8b6}}"
        "</style></head><body>"
        f"<h1>{html.escape(plot.title)}</h1><p>Line: seen. Blue band: expected. Red: anomaly. "
        f"{_clock(plot.times[0])} to {_clock(plot.times[-1])} UTC.</p>{panels}</body></html>\n"
    )


def _svg(plot: Plot, panel: Panel) -> str:
    bottom, top = _limits(panel)
    span = max(float(plot.times[-1] - plot.times[0]), 1e-9)

    def x(time: float) -> float:
        return LEFT + (time - float(plot.times[0])) / span * (WIDTH - LEFT)

    def y(value: float) -> float:
        return (HEIGHT - BOTTOM) * (1 - (min(max(value, bottom), top) - bottom) / (top - bottom))

    seen = _sampled(panel.values)
    band = [index for index in _sampled(panel.low) if np.isfinite(panel.high[index])]
    upper = [f"{x(plot.times[i]):.1f},{y(panel.high[i]):.1f}" for i in band]
    lower = [f"{x(plot.times[i]):.1f},{y(panel.low[i]):.1f}" for i in reversed(band)]
    line = " ".join(f"{x(plot.times[i]):.1f},{y(panel.values[i]):.1f}" for i in seen)
    spans = "".join(
        f'<rect x="{x(start):.1f}" y="0" width="{max(1.5, x(stop) - x(start)):.1f}" height="{HEIGHT - BOTTOM}" '
        f'fill="#d62728" fill-opacity=".22"><title>{_clock(start)} to {_clock(stop)}</title></rect>'
        for start, stop in plot.spans
    )
    return (
        f'<h2>{html.escape(panel.name)}</h2><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{html.escape(panel.name)} with its expected band">{spans}'
        f'<polygon points="{" ".join(upper + lower)}" fill="#6baed6" fill-opacity=".45"/>'
        f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-width="1"/>'
        f'<text x="0" y="11">{top:.4g}</text><text x="0" y="{HEIGHT - BOTTOM}">{bottom:.4g}</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 4}">{_clock(plot.times[0])}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT - 4}" text-anchor="end">{_clock(plot.times[-1])}</text></svg>'
    )


def _sampled(values: Floats) -> list[int]:
    """Indices that keep the shape: the lowest and highest finite sample of each of POINTS / 2 stretches."""
    known = np.flatnonzero(np.isfinite(values))
    if len(known) <= POINTS:
        return [int(index) for index in known]
    kept: list[int] = []
    for part in np.array_split(known, POINTS // 2):
        kept += sorted({int(part[np.argmin(values[part])]), int(part[np.argmax(values[part])])})
    return kept


def _limits(panel: Panel) -> tuple[float, float]:
    known = np.concatenate([panel.values, panel.low, panel.high])
    known = known[np.isfinite(known)]
    if len(known) == 0:
        return 0.0, 1.0
    bottom, top = float(known.min()), float(known.max())
    room = 0.05 * (top - bottom) or max(abs(top), 1.0) * 0.05
    return bottom - room, top + room


def _clock(epoch: float) -> str:
    return from_epoch(float(epoch)).strftime("%Y-%m-%d %H:%M:%S")
