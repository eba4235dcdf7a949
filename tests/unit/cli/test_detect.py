"""A table that cannot be used is told so in one sentence; every repair is told too."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from aegis.cli.app import app
from aegis.cli.plot import Panel, Plot, check_plot_path, draw
from aegis.cli.table import read_table
from aegis.kit.errors import AegisError, Invalid, NotFound

START = datetime(2026, 1, 1, tzinfo=UTC)


def lines(count: int = 100, header: str = "time,a,b") -> list[str]:
    rows = [f"{(START + timedelta(minutes=i)).isoformat()},{i % 7},{i % 5 + 0.5}" for i in range(count)]
    return [header, *rows]


def write(folder: Path, rows: list[str], name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def refused(path: Path, time_column: str | None = None) -> AegisError:
    with pytest.raises((Invalid, NotFound)) as caught:
        read_table(path, time_column)
    return caught.value


def test_a_plain_table_is_read_with_its_interval(tmp_path: Path) -> None:
    source = read_table(write(tmp_path, lines()))
    assert source.frame.names == ("a", "b")
    assert source.frame.interval == 60
    assert source.frame.times[0] == START.timestamp()
    assert source.notes == ()


def test_a_parquet_table_reads_as_its_csv_does(tmp_path: Path) -> None:
    times = [START + timedelta(minutes=i) for i in range(100)]
    table = pa.table({"at": pa.array(times, pa.timestamp("ns", "UTC")), "a": [float(i % 7) for i in range(100)]})
    parquet.write_table(table, tmp_path / "t.parquet")
    source = read_table(tmp_path / "t.parquet")
    assert source.frame.times[1] == START.timestamp() + 60
    assert source.frame.values[:, 0].tolist() == [float(i % 7) for i in range(100)]


@pytest.mark.parametrize("factor", [1, 1_000, 1_000_000, 1_000_000_000])
def test_unix_times_are_understood_in_any_unit(tmp_path: Path, factor: int) -> None:
    rows = ["ts,a", *[f"{(1_700_000_000 + 60 * i) * factor},{i % 3}" for i in range(100)]]
    frame = read_table(write(tmp_path, rows)).frame
    assert frame.times[0] == pytest.approx(1_700_000_000)
    assert frame.interval == pytest.approx(60)


def test_the_time_column_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, lines(header="when,a,b"))
    assert read_table(path, "when").frame.names == ("a", "b")
    assert "'then'" in refused(path, "then").message


@pytest.mark.parametrize(
    ("rows", "code", "words"),
    [
        ([], "unreadable", "cannot be read"),
        (["time,a"], "no_rows", "no rows"),
        (["x,y", *["1,2"] * 90], "no_time_column", "x, y"),
        (["Time;value", *["2026-01-01T00:00:00Z;1"] * 90], "other_separator", "separated by semicolons"),
        (["time\tvalue", *["2026-01-01T00:00:00Z\t1"] * 90], "other_separator", "separated by tabs"),
        (["time,a", "2026-01-01T00:00:00Z,1"], "one_row", "one row"),
        (lines(20), "too_few_rows", "20 rows"),
        (["time,a", *["2026-01-01T00:00:00Z,1"] * 100], "several_series", "repeat a time"),
        ([*lines(80), "2026-02-01T00:00:00+00:00,many,1"], "text_in_numbers", "Row 81, column 'a': 'many'"),
        ([*lines(80), "yesterday,1,1"], "bad_time", "Row 81, column 'time': 'yesterday'"),
        ([*lines(80), ",1,1"], "bad_time", "Row 81"),
        (["ts,a", *[f"{10**22 + i},{i % 3}" for i in range(80)]], "bad_time", "in no calendar"),
        (["time,host", *[f"{i},web" for i in range(90)]], "no_numbers", "no column holds numbers"),
        (["time,a,a", *[f"{i},1,2" for i in range(90)]], "repeated_column", "same name"),
        ([*lines(80), "1,2,3,4,5"], "unreadable", "Expected 3 columns"),
        (["time,a", *[f"{i},{i % 3}" for i in range(90)], "900000000,1"], "irregular_times", "not judged at once"),
    ],
)
def test_an_unusable_table_is_refused_with_its_reason(tmp_path: Path, rows: list[str], code: str, words: str) -> None:
    error = refused(write(tmp_path, rows))
    assert error.code == code
    assert words in str(error)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.csv").code == "no_file"
    assert refused(tmp_path).code == "not_a_file"
    assert refused(write(tmp_path, lines(), "t.xlsx")).code == "wrong_extension"
    (tmp_path / "empty.csv").touch()
    assert refused(tmp_path / "empty.csv").code == "empty_file"
    (tmp_path / "fake.parquet").write_bytes(gzip.compress(b"not parquet"))
    assert refused(tmp_path / "fake.parquet").code == "unreadable"
    (tmp_path / "latin.csv").write_bytes(b"time,a\n" + b"\xff\xfe,1\n" * 90)
    assert refused(tmp_path / "latin.csv").code in ("bad_time", "unreadable")


def test_a_file_that_is_too_large_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        read_table(write(tmp_path, lines()), max_bytes=100)
    assert caught.value.code == "too_large"


def test_disorder_repeats_gaps_text_and_constants_are_told(tmp_path: Path) -> None:
    rows = lines(200, "time,a,b")
    body = [row.rsplit(",", 1)[0] + ",4,web" for row in rows[1:]]
    body[3], body[50] = body[50], body[3]
    del body[100:110]
    body.append(body[-1])
    source = read_table(write(tmp_path, ["time,a,still,host", *body]))
    told = " ".join(source.notes)
    for words in ("sorted", "1 rows repeat a time", "1 gaps; the longest, 660 s", "host", "Never changing: still"):
        assert words in told
    assert len(source.frame) == 200
    assert np.isnan(source.frame.values[100:110]).all()


def test_empty_cells_are_missing_and_not_zero(tmp_path: Path) -> None:
    rows = lines()
    rows[6] = rows[6].split(",")[0] + ",,NaN"
    assert np.isnan(read_table(write(tmp_path, rows)).frame.values[5]).all()


def test_a_table_without_any_change_is_told_so(tmp_path: Path) -> None:
    source = read_table(write(tmp_path, ["time,a", *[f"{i},1" for i in range(90)]]))
    assert "nothing in it could be unusual" in source.notes[0]


def test_a_counter_becomes_a_rate_and_that_is_told(tmp_path: Path) -> None:
    total = np.cumsum(np.random.default_rng(0).poisson(50, 100))
    source = read_table(write(tmp_path, ["time,total", *[f"{10 * i},{v}" for i, v in enumerate(total)]]))
    assert "counters" in source.notes[0]
    assert np.nanmedian(source.frame.values) == pytest.approx(5, rel=0.2)


def example() -> Plot:
    times = np.arange(3000, dtype=np.float64) * 60.0
    values = np.sin(times / 9000)
    values[1500] = np.nan
    panel = Panel("<b>$a_b$</b>", values, values - 1, values + 1)
    return Plot("t<csv>", times, [panel], [(6000.0, 9000.0)])


def test_the_page_loads_nothing_and_escapes_names(tmp_path: Path) -> None:
    draw(example(), tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text()
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert "<b>" not in page
    assert "default-src 'none'" in page
    assert "<polygon" in page
    assert len(page) < 200_000


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    draw(example(), tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_a_plot_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    for path, code in ((tmp_path / "p.pdf", "plot_extension"), (tmp_path / "none" / "p.png", "plot_folder")):
        with pytest.raises(Invalid) as caught:
            check_plot_path(path)
        assert caught.value.code == code


def test_a_spike_and_the_outage_after_it_are_two_anomalies_with_their_true_ends(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    minutes = np.arange(2000)
    day = 1 + 0.2 * np.sin(2 * np.pi * minutes / 1440)
    requests = 100 * day + random.normal(0, 3, 2000)
    latency = 0.07 + 0.03 * day + random.normal(0, 0.004, 2000)
    cpu = 0.4 * day + random.normal(0, 0.015, 2000)
    latency[1600:1630] *= 6
    cpu[1600:1630] *= 2
    requests[1800:1803] = 0
    rows = zip(minutes.tolist(), requests.tolist(), latency.tolist(), cpu.tolist(), strict=True)
    body = [f"{(START + timedelta(minutes=minute)).isoformat()},{r},{lt},{c}" for minute, r, lt, c in rows]
    path = write(tmp_path, ["time,requests,latency,cpu", *body])
    result = CliRunner().invoke(app, ["detect", str(path), "--json"])
    told = [(row["since"][:19], row["until"][:19]) for row in json.loads(result.stdout)["anomalies"]]
    assert told == [("2026-01-02T02:40:00", "2026-01-02T03:09:00"), ("2026-01-02T06:00:00", "2026-01-02T06:02:00")]
