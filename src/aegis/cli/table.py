"""Reads a person's own CSV or Parquet table into times and numbers, or says in one sentence why it cannot.

`aegis detect` calls it. It never guesses a value: text among numbers is an error that names row and column, and every
repair (sorting, dropping repeated times, leaving out a text column) is told in `notes`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from aegis.detection.counters import is_counter, to_rates
from aegis.detection.frame import Floats, Frame, on_grid
from aegis.kit.clock import from_epoch
from aegis.kit.errors import Invalid, NotFound

MAX_BYTES = 256 << 20
MAX_GRID = 2_000_000
TIME_NAMES = ("timestamp", "time", "datetime", "date", "ts", "at", "ds", "t", "_time", "@timestamp")
# Unix times are told apart by size: later than 1973 in the finer unit, earlier than 5138 in the coarser one.
UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3), (0.0, 1.0))
EARLIEST, LATEST = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (1, 9999))
LEAST_ROWS = 70
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True, slots=True)
class Source:
    """A readable table on a regular grid, and what had to be done to it."""

    frame: Frame
    rows: int
    notes: tuple[str, ...]


def read_table(path: Path, time_column: str | None = None, *, max_bytes: int = MAX_BYTES) -> Source:
    """The table in `path`; raises `NotFound` or `Invalid` with one sentence and, where it helps, a hint."""
    _check_file(path, max_bytes)
    table = _read(path)
    if table.num_rows == 0:
        raise Invalid("no_rows", f"{path.name} has a header but no rows.")
    _refuse_other_separators(path, table)
    name = _time_name(table, time_column)
    times = _times(table, name)
    notes: list[str] = []
    names, values = _numbers(table, name, notes)
    if table.num_rows == 1:
        raise Invalid("one_row", f"{path.name} has one row; one sample has no history to compare with.")
    times, values = _ordered(times, values, notes)
    if len(times) < LEAST_ROWS:
        raise Invalid("too_few_rows", f"{path.name} has {len(times)} rows; at least {LEAST_ROWS} are needed to learn.")
    counters = np.array([is_counter(column) for column in values.T])
    if counters.any():
        notes.append("Taken as counters and turned into rates per second: " + _listed(names, counters) + ".")
        values = to_rates(times, values, counters)
    frame = _grid(times, values, names, notes)
    return Source(frame, int(table.num_rows), tuple(notes))


def _check_file(path: Path, max_bytes: int) -> None:
    if not path.exists():
        raise NotFound("no_file", f"There is no file {path}.")
    if not path.is_file():
        raise Invalid("not_a_file", f"{path} is not a file.")
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise Invalid("wrong_extension", f"{path.name} is neither .csv nor .parquet.")
    size = path.stat().st_size
    if size == 0:
        raise Invalid("empty_file", f"{path.name} is empty.")
    if size > max_bytes:
        raise Invalid(
            "too_large",
            f"{path.name} has {size / 2**20:.0f} MiB; at most {max_bytes / 2**20:.0f} MiB are read.",
            hint="Cut it by time or average it to a coarser interval.",
        )


def _read(path: Path) -> Any:
    import pyarrow as pa  # heavy: only this command needs it
    from pyarrow import csv, parquet

    try:
        if path.suffix.lower() == ".csv":
            return csv.read_csv(path)
        return parquet.read_table(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Invalid("unreadable", f"{path.name} cannot be read as {path.suffix[1:].lower()}: {detail}") from None


def _refuse_other_separators(path: Path, table: Any) -> None:
    """Where columns end with a semicolon, a comma often begins the decimals: what is meant is not guessed."""
    header = str(table.column_names[0])
    found = next((name for name in SEPARATORS if table.num_columns == 1 and name in header), None)
    if found is not None:
        raise Invalid(
            "other_separator",
            f"The columns of {path.name} are separated by {SEPARATORS[found]}; a .csv is read with commas.",
            hint="Save it with commas between the columns and points in the numbers.",
        )


def _time_name(table: Any, asked: str | None) -> str:
    names: list[str] = table.column_names
    if len(set(names)) != len(names):
        raise Invalid("repeated_column", "Two columns have the same name: " + ", ".join(names) + ".")
    if asked is not None:
        if asked not in names:
            raise Invalid("no_time_column", f"There is no column {asked!r}; the columns are {', '.join(names)}.")
        return asked
    import pyarrow as pa

    for wanted in TIME_NAMES:
        for name in names:
            if name.strip().lower() == wanted:
                return name
    for field in table.schema:
        if pa.types.is_temporal(field.type):
            return str(field.name)
    raise Invalid(
        "no_time_column",
        f"No column holds times; the columns are {', '.join(names)}.",
        hint="Name it with --time-column.",
    )


def _times(table: Any, name: str) -> Floats:
    """Unix seconds of the time column; a time without a zone is taken as UTC."""
    import pyarrow as pa

    column = table.column(name)
    cells = (
        column.to_pylist() if not pa.types.is_timestamp(column.type) else column.cast(pa.timestamp("us")).to_pylist()
    )
    times = np.empty(len(cells))
    for row, cell in enumerate(cells):
        moment = _moment(cell)
        if moment is None:
            raise Invalid("bad_time", f"Row {row + 1}, column {name!r}: {_shown(cell)} is not a time.")
        times[row] = moment
    if isinstance(cells[0], int | float):
        largest = float(np.abs(times).max())
        times /= next(divisor for least, divisor in UNITS if largest >= least)
    outside = np.flatnonzero((times < EARLIEST) | (times > LATEST))
    if len(outside):
        row = int(outside[0])
        hint = "Name the column of times with --time-column."
        raise Invalid("bad_time", f"Row {row + 1}, column {name!r}: {_shown(cells[row])} is in no calendar.", hint=hint)
    return times


def _moment(cell: Any) -> float | None:
    if isinstance(cell, bool) or cell is None:
        return None
    if isinstance(cell, int | float):
        return float(cell) if math.isfinite(cell) else None
    try:
        moment = cell if isinstance(cell, datetime) else datetime.fromisoformat(str(cell).strip())
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _numbers(table: Any, time_name: str, notes: list[str]) -> tuple[tuple[str, ...], Floats]:
    """The numeric columns; a column without any number is left out, one with both is an error."""
    names, columns, text = [], [], []
    for name in table.column_names:
        if name == time_name:
            continue
        column = _column(table.column(name), name)
        if column is None:
            text.append(name)
        else:
            names.append(name)
            columns.append(column)
    if text:
        notes.append("Left out, because they hold no numbers: " + ", ".join(text) + ".")
    if not columns:
        raise Invalid("no_numbers", f"Beside {time_name!r} no column holds numbers.")
    return tuple(names), np.stack(columns, axis=1)


def _column(column: Any, name: str) -> Floats | None:
    import pyarrow as pa

    kind = column.type
    if (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
    ):
        values = np.array([math.nan if cell is None else float(cell) for cell in column.to_pylist()])
        return np.where(np.isfinite(values), values, np.nan)
    cells = [None if cell is None or str(cell).strip() == "" else str(cell) for cell in column.to_pylist()]
    parsed = [math.nan if cell is None else _number(cell) for cell in cells]
    if all(value is None or math.isnan(value) for value in parsed):
        return None
    for row, value in enumerate(parsed):
        if value is None:
            raise Invalid("text_in_numbers", f"Row {row + 1}, column {name!r}: {_shown(cells[row])} is not a number.")
    return np.array(parsed, dtype=np.float64)


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else math.nan


def _ordered(times: Floats, values: Floats, notes: list[str]) -> tuple[Floats, Floats]:
    if bool((np.diff(times) < 0).any()):
        notes.append("The rows were not in the order of time; they were sorted.")
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
    last = np.append(np.diff(times) > 0, True)
    repeated = int((~last).sum())
    if repeated > len(times) // 2:
        raise Invalid(
            "several_series",
            f"{repeated} of {len(times)} rows repeat a time; a table has one row per time.",
            hint="Give each series its own column or its own file.",
        )
    if repeated:
        notes.append(f"{repeated} rows repeat a time; the last row of each time was used.")
    return times[last], values[last]


def _grid(times: Floats, values: Floats, names: tuple[str, ...], notes: list[str]) -> Frame:
    steps = np.diff(times)
    interval = float(np.median(steps))
    if (times[-1] - times[0]) / interval > MAX_GRID:
        raise Invalid(
            "irregular_times",
            f"The times reach over {(times[-1] - times[0]) / 86400:.0f} days in steps of about {interval:g} s; "
            f"more than {MAX_GRID} samples are not judged at once.",
            hint="Cut the file, or average it to a coarser interval.",
        )
    gaps = np.flatnonzero(steps > 1.5 * interval)
    if len(gaps):
        longest = gaps[np.argmax(steps[gaps])]
        notes.append(
            f"{len(gaps)} gaps; the longest, {steps[longest]:g} s, begins at {_clock(times[longest])}. "
            "Missing samples are neither unusual nor healthy."
        )
    still = np.array([len(np.unique(column[np.isfinite(column)])) <= 1 for column in values.T])
    if still.all():
        notes.append("Every column keeps one value in the whole file, so nothing in it could be unusual.")
    elif still.any():
        notes.append("Never changing: " + _listed(names, still) + ".")
    return on_grid(times, values, names, interval)


def _listed(names: tuple[str, ...], chosen: Any) -> str:
    return ", ".join(name for name, use in zip(names, chosen, strict=True) if use)


def _clock(epoch: float) -> str:
    return from_epoch(epoch).strftime("%Y-%m-%d %H:%M:%S")


def _shown(cell: Any) -> str:
    return "an empty cell" if cell is None else repr(str(cell)[:40])
