"""`aegis detect FILE`: find what is unusual in a person's own table, say why, and draw it.

Learns from the first part of the file and judges the rest sample by sample, with the past only, as the engine would.
It talks to no server and changes nothing but the plot it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from aegis.cli import tables
from aegis.cli.plot import Panel, Plot, check_plot_path, draw
from aegis.cli.table import Source, read_table
from aegis.cli.tables import console
from aegis.cli.terminal import print_json, visible
from aegis.detection.detector import MIN_ROWS, EntityModel, Monitor, fit
from aegis.detection.frame import Floats
from aegis.detection.reading import Reading, Severity
from aegis.detection.settings import Settings
from aegis.kit.clock import from_epoch, rfc3339

ORDER = list(Severity)
EVIDENCE = 3
SEVERITY_STYLE = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}


@dataclass(frozen=True, slots=True)
class Evidence:
    signal: str
    value: float | None
    expected: float
    low: float
    high: float
    share: float


@dataclass(slots=True)
class Anomaly:
    """One episode; `evidence` is taken at its most severe sample. Times are Unix seconds."""

    since: float
    until: float
    severity: Severity
    confidence: float
    p_value: float
    evidence: list[Evidence]


@dataclass(frozen=True, slots=True)
class Judged:
    """`low`, `high`, `shares` (n, c) of the judged rows."""

    anomalies: list[Anomaly]
    low: Floats
    high: Floats


def register(app: typer.Typer) -> None:
    """Add the command to the `aegis` application."""
    app.command(
        rich_help_panel="Your own data",
        epilog="Exit codes: 0 done · 1 anomalies were found and --fail was given · 2 wrong usage · "
        "3 the file's content cannot be used · 5 no such file.",
    )(detect)


def detect(
    file: Annotated[Path, typer.Argument(help="A .csv or .parquet table: one time column, numeric columns.")],
    plot: Annotated[
        Path | None, typer.Option(help="Draw the signals with their expected band (.png or .html).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    budget: Annotated[str, typer.Option(help="False alerts a day that you accept.", metavar="N/day")] = "1/day",
    time_column: Annotated[str | None, typer.Option(help="The column of times, if it is not found.")] = None,
    train_fraction: Annotated[
        float, typer.Option(min=0.1, max=0.9, help="The first part of the file to learn from.")
    ] = 0.5,
    fail: Annotated[bool, typer.Option("--fail", help="Exit with 1 when anomalies are found.")] = False,
) -> None:
    """Find what is unusual in FILE, with the evidence; nothing leaves this machine."""
    found = _run(file, plot, as_json, _budget(budget), time_column, train_fraction)
    if found and fail:
        raise typer.Exit(1)


def _run(file: Path, plot: Path | None, as_json: bool, budget: float, time_column: str | None, fraction: float) -> bool:
    if plot is not None:
        check_plot_path(plot)
    source = read_table(file, time_column)
    start = max(MIN_ROWS, int(len(source.frame) * fraction))
    model = fit(source.frame.rows(0, start), Settings(budget_per_day=budget, context=()))
    judged = _judge(source, model, start)
    if plot is not None:
        draw(_plot(file, source, judged, start), plot)
    document = _document(file, source, judged, start)
    if as_json:
        print_json(document)
    else:
        _print(visible(document), plot)
    return bool(judged.anomalies)


def _budget(text: str) -> float:
    number, _, unit = text.partition("/")
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if unit not in ("", "day", "d") or not 0 < value <= 1000:
        raise typer.BadParameter(f"{text!r} is not a budget; write for example 1/day or 0.2/day")
    return value


def _judge(source: Source, model: EntityModel, start: int) -> Judged:
    frame = source.frame
    monitor = Monitor(model)
    monitor.warm(frame.rows(max(0, start - 600), start))
    anomalies: list[Anomaly] = []
    low, high = np.full(frame.values.shape, np.nan), np.full(frame.values.shape, np.nan)
    bar = Progress(
        TextColumn("Judging"), BarColumn(), TextColumn("{task.completed}/{task.total} samples"), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task("judging", total=len(frame) - start)
        for index in range(start, len(frame)):
            reading = monitor.step(float(frame.times[index]), frame.values[index])
            low[index], high[index] = reading.low, reading.high
            if reading.abnormal:
                _note(anomalies, reading, float(frame.times[index]), frame.names, frame.values[index])
            if index % 256 == 0 or index == len(frame) - 1:
                bar.update(task, completed=index + 1 - start)
    return Judged(anomalies, low, high)


def _note(anomalies: list[Anomaly], reading: Reading, time: float, names: tuple[str, ...], values: Floats) -> None:
    """Begin an anomaly or prolong the last one; its evidence is that of the worst sample so far."""
    since = reading.since if reading.since is not None else time
    if not anomalies or anomalies[-1].since != since:
        anomalies.append(Anomaly(since, time, Severity.LOW, 0.0, 1.0, []))
    current = anomalies[-1]
    current.until = reading.until if reading.until is not None else time
    worse = ORDER.index(reading.severity) > ORDER.index(current.severity)
    if worse or not current.evidence:
        current.evidence = _evidence(reading, names, values)
    current.severity = max(current.severity, reading.severity, key=ORDER.index)
    current.confidence = max(current.confidence, reading.confidence)
    current.p_value = min(current.p_value, reading.p_value)


def _evidence(reading: Reading, names: tuple[str, ...], values: Floats) -> list[Evidence]:
    order = [int(index) for index in np.argsort(-reading.shares)[:EVIDENCE] if reading.shares[index] > 0.01]
    return [
        Evidence(
            names[index],
            float(values[index]) if np.isfinite(values[index]) else None,
            float(reading.expected[index]),
            float(reading.low[index]),
            float(reading.high[index]),
            float(reading.shares[index]),
        )
        for index in order
    ]


def _document(file: Path, source: Source, judged: Judged, start: int) -> dict[str, Any]:
    frame = source.frame
    count = len(judged.anomalies)
    found = "Nothing unusual" if count == 0 else "1 anomaly" if count == 1 else f"{count} anomalies"
    return {
        "file": str(file),
        "sentence": f"{found} in {len(frame) - start} samples from {_clock(frame.times[start])}, "
        f"judged by the {start} samples before.",
        "rows": source.rows,
        "interval_seconds": frame.interval,
        "learnt_samples": start,
        "judged_samples": len(frame) - start,
        "notes": list(source.notes),
        "anomalies": [
            {
                "since": rfc3339(from_epoch(anomaly.since)),
                "until": rfc3339(from_epoch(anomaly.until)),
                "severity": anomaly.severity.value,
                "confidence": round(anomaly.confidence, 3),
                "p_value": anomaly.p_value,
                "evidence": [
                    {name: getattr(item, name) for name in ("signal", "value", "expected", "low", "high", "share")}
                    for item in anomaly.evidence
                ],
            }
            for anomaly in judged.anomalies
        ],
    }


def _print(document: dict[str, Any], plot: Path | None) -> None:
    out = console()
    for note in document["notes"]:
        out.print(Text(note, style="dim"))
    if document["anomalies"]:
        rows = [
            (
                _short(row["since"]),
                _short(row["until"]),
                Text(row["severity"], style=SEVERITY_STYLE[row["severity"]]),
                f"{row['confidence']:.2f}",
                "\n".join(_told(item) for item in row["evidence"]),
            )
            for row in document["anomalies"]
        ]
        tables.show(out, ("from (UTC)", "to", "severity", "confidence", "evidence"), rows, text=("evidence",))
    out.print(Text(document["sentence"]))
    if plot is not None:
        out.print(Text(visible(f"Plot: {plot}")))


def _told(item: dict[str, Any]) -> str:
    value = "missing" if item["value"] is None else f"{item['value']:.4g}"
    return f"{item['signal']} {value}, expected {item['low']:.4g} to {item['high']:.4g} ({item['share']:.0%})"


def _plot(file: Path, source: Source, judged: Judged, start: int) -> Plot:
    """Signals with the most evidence first."""
    frame = source.frame
    weight = dict.fromkeys(frame.names, 0.0)
    for anomaly in judged.anomalies:
        for item in anomaly.evidence:
            weight[item.signal] += item.share
    order = sorted(range(len(frame.names)), key=lambda index: -weight[frame.names[index]])
    panels = [Panel(frame.names[i], frame.values[:, i], judged.low[:, i], judged.high[:, i]) for i in order]
    spans = [(anomaly.since, max(anomaly.until, anomaly.since + frame.interval)) for anomaly in judged.anomalies]
    return Plot(f"{file.name}: expected and seen", frame.times, panels, spans)


def _clock(epoch: float) -> str:
    return from_epoch(float(epoch)).strftime("%Y-%m-%d %H:%M:%S")


def _short(text: str) -> str:
    return text[:19].replace("T", " ")
