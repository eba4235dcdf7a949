"""`aegis detect` from file to answer: what it prints, draws and exits with."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from tests.unit.detection.support_service import NAMES, changed, healthy
from typer.testing import CliRunner

from aegis.cli.app import main
from aegis.cli.detect import register

FAULT = 1200


@pytest.fixture(scope="module")
def app() -> typer.Typer:
    app = typer.Typer()
    register(app)
    app.command("other")(lambda: None)  # a second command, so that `detect` is named as in `aegis`
    return app


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = changed(healthy(1500, seed=3), "latency_p95", FAULT, 4.0, factor=True)
    path = tmp_path_factory.mktemp("data") / "shop.csv"
    rows = np.column_stack([frame.times, frame.values])
    np.savetxt(path, rows, delimiter=",", header="time," + ",".join(NAMES), comments="", fmt="%.10g")
    return path


def test_a_fault_is_found_with_its_evidence(app: typer.Typer, table: Path) -> None:
    result = CliRunner().invoke(app, ["detect", str(table), "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert len(document["anomalies"]) == 1
    anomaly = document["anomalies"][0]
    assert anomaly["since"] == "2023-11-14T23:53:20.000000Z"
    assert anomaly["severity"] == "high"
    evidence = anomaly["evidence"][0]
    assert evidence["signal"] == "latency_p95"
    assert evidence["low"] < 0.08 < evidence["high"] < evidence["value"]
    assert document["sentence"].startswith("1 anomaly in 750 samples")


def test_the_table_names_time_severity_and_evidence(app: typer.Typer, table: Path, tmp_path: Path) -> None:
    plot = tmp_path / "out.html"
    result = CliRunner().invoke(app, ["detect", str(table), "--plot", str(plot), "--budget", "0.5/day"])
    assert result.exit_code == 0, result.output
    for words in ("latency_p95", "high", "expected", "1 anomaly"):
        assert words in result.stdout
    assert "latency_p95" in plot.read_text()


def test_a_quiet_table_says_so(app: typer.Typer, tmp_path: Path) -> None:
    path = tmp_path / "quiet.csv"
    frame = healthy(700, seed=8)
    np.savetxt(
        path,
        np.column_stack([frame.times, frame.values[:, :5]]),
        delimiter=",",
        header="time," + ",".join(NAMES[:5]),
        comments="",
        fmt="%.10g",
    )
    result = CliRunner().invoke(app, ["detect", str(path), "--fail"])
    assert result.exit_code == 0, result.output
    assert "Nothing unusual in 350 samples" in result.stdout


def aegis(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of `aegis …`."""
    monkeypatch.setattr(sys, "argv", ["aegis", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--fail"], 1),
        (["--budget", "often"], 2),
        (["--budget", "-1/day"], 2),
        (["--train-fraction", "1.5"], 2),
        (["--train-fraction", "nan"], 2),
        (["--plot", "out.pdf"], 3),
        (["--time-column", "none"], 3),
    ],
)
def test_exit_codes_are_those_of_every_command(
    table: Path, arguments: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert aegis(monkeypatch, "detect", str(table), *arguments) == code
    assert "Traceback" not in capsys.readouterr().err


def test_a_missing_file_is_one_sentence_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert aegis(monkeypatch, "detect", str(tmp_path / "none\x1b[31m.csv")) == 5
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("aegis: There is no file ")
    assert said.err.count("\n") == 1
    assert "\x1b" not in said.err


def test_text_from_a_file_does_nothing_to_the_terminal(tmp_path: Path, app: typer.Typer) -> None:
    frame = changed(healthy(700, seed=3), "latency_p95", 500, 4.0, factor=True)
    path = tmp_path / "t.csv"
    names = [f"\x1b[31m{name}\x9b2J\u202e" for name in NAMES[:5]] + list(NAMES[5:])
    rows = np.column_stack([frame.times, frame.values])
    header = "time," + ",".join(names)
    np.savetxt(path, rows, delimiter=",", header=header, comments="", fmt="%.10g", encoding="utf-8")
    plain = CliRunner().invoke(app, ["detect", str(path)])
    as_json = CliRunner().invoke(app, ["detect", str(path), "--json"])
    assert "\\x1b[31m" in plain.stdout
    assert json.loads(as_json.stdout)["anomalies"][0]["evidence"][0]["signal"] in names
    for shown in (plain.stdout, as_json.stdout):
        assert not {"\x1b", "\x9b", "\u202e"} & set(shown)


def test_the_help_documents_the_exit_codes(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["detect", "--help"])
    assert "Exit codes" in result.stdout
