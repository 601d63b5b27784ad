from __future__ import annotations

from pathlib import Path

import pytest

from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import AppFactory
from tests.conformance import redbot
from tests.conformance.places import NotRun


def test_there_is_an_answer_of_each_kind(app_factory: AppFactory) -> None:
    with HttpClient(app_factory(conf=redbot.CONF)) as client:
        found = {path: client.get(path).status for path in redbot.PATHS}
    assert found.pop("/missing") == 404
    assert (found.pop("/away"), found.pop("/files"), found.pop("/nothing")) == (303, 308, 204)
    assert set(found.values()) == {200}


@pytest.mark.parametrize(
    ("told", "passed"),
    [
        ([("GOOD", "well done"), ("WARN", "hm")], True),
        ([("GOOD", "well done"), ("BAD", "oh")], False),
        ([], False),
    ],
)
def test_what_counts_as_passed(told: list[tuple[str, str]], passed: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert redbot.report({"/x": told}) == passed
    printed = capsys.readouterr().out
    assert all((text in printed) == (level != "GOOD") for level, text in told)


def test_notes_are_read_from_what_it_writes() -> None:
    archive = {"log": {"entries": [{"_red_messages": [{"level": "GOOD", "summary": "well done", "category": "GENERAL"}]}]}}
    assert redbot.notes(archive) == [("GOOD", "well done")]
    assert not redbot.report({})


def test_what_cannot_be_had_is_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tests.conformance.redbot.sys.executable", "/bin/false")
    with pytest.raises(NotRun, match="a virtual environment cannot be had"):
        redbot.install(tmp_path)
