from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance import autobahn
from tests.conformance.places import NotRun


def index(**cases: tuple[str, str]) -> dict[str, object]:
    return {"greenimi": {name.replace("_", ".")[1:]: {"behavior": one, "behaviorClose": two} for name, (one, two) in cases.items()}}


def test_cases_come_in_their_order() -> None:
    found = autobahn.verdicts(index(_10_1=("OK", "OK"), _2_1=("OK", "OK"), _2_11=("OK", "OK"), _2_2=("OK", "OK")))
    assert [name for name, *_ in found] == ["2.1", "2.2", "2.11", "10.1"]


@pytest.mark.parametrize(
    ("case", "behavior", "close", "passed"),
    [
        ("1.2", "OK", "OK", True),
        ("7.1.6", "INFORMATIONAL", "INFORMATIONAL", True),
        ("1.2", "INFORMATIONAL", "OK", False),
        ("1.2", "NON-STRICT", "OK", False),
        ("1.2", "FAILED", "OK", False),
        ("1.2", "OK", "UNCLEAN", False),
        ("1.2", "OK", "FAILED BY CLIENT", False),
        ("1.2", "UNIMPLEMENTED", "OK", False),
    ],
)
def test_the_bar(case: str, behavior: str, close: str, passed: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert autobahn.report([("1.1", "OK", "OK"), (case, behavior, close)]) == passed
    assert (f"{case}:" in capsys.readouterr().out) == (behavior != "OK" or close != "OK")


def test_no_verdicts_are_no_pass() -> None:
    assert not autobahn.report([])


def test_without_python_2_it_is_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotRun, match=r"no Python 2\.7"):
        autobahn.find_python()
