from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.conformance import __main__ as conformance
from tests.conformance.places import NotRun


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["conformance", *arguments])
    return conformance.main()


def test_list(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--list") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(conformance.SUITES)


def test_what_cannot_be_had_is_not_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def suite(cache: Path) -> int:
        raise NotRun("no such thing here")

    monkeypatch.setitem(conformance.SUITES, "autobahn", ("", suite))
    assert run(monkeypatch, "autobahn", "--cache", str(tmp_path / "new")) == conformance.NOT_RUN
    assert capsys.readouterr().out == "not run: no such thing here\n"


@pytest.mark.parametrize(("arguments", "text"), [([], "name a suite"), (["nothing"], "autobahn")])
def test_wrong_usage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, *arguments)
    assert text in capsys.readouterr().err
