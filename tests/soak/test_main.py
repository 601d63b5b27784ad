from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.soak import __main__ as soak
from tests.soak.places import NotRun, Verdict


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["soak", *arguments])
    return soak.main()


def test_list(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--list") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(soak.SOAKS)


def test_every_soak_is_told_of(pytestconfig: pytest.Config) -> None:
    page = (pytestconfig.rootpath / "docs/soak.md").read_text()
    assert [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")] == list(soak.SOAKS)


@pytest.mark.parametrize(
    ("bars", "status", "summary"),
    [((True, True), 0, "2 bars met, 0 missed"), ((True, False), 1, "1 bars met, 1 missed"), ((), 1, "0 bars met, 0 missed")],
)
def test_the_exit_status_tells_whether_every_bar_was_met(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, bars: tuple[bool, ...], status: int, summary: str
) -> None:
    def judge(folder: Path, verdict: Verdict) -> None:
        assert folder == tmp_path / "faults"
        for bar in bars:
            verdict.check(bar, "a figure")

    monkeypatch.setitem(soak.SOAKS, "faults", ("", judge))
    assert run(monkeypatch, "faults", "--cache", str(tmp_path)) == status
    lines = capsys.readouterr().out.splitlines()
    assert lines == [*(f"   {'met' if bar else 'MISSED'}: a figure" for bar in bars), f"faults: {summary}"]


def test_what_is_not_possible_is_not_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def judge(folder: Path, verdict: Verdict) -> None:
        raise NotRun("no such thing here")

    monkeypatch.setitem(soak.SOAKS, "few-files", ("", judge))
    assert run(monkeypatch, "few-files", "--cache", str(tmp_path)) == soak.NOT_RUN
    assert capsys.readouterr().out == "not run: no such thing here\n"


@pytest.mark.parametrize(("arguments", "text"), [([], "name a soak"), (["nothing"], "slow-http")])
def test_wrong_usage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, *arguments)
    assert text in capsys.readouterr().err
