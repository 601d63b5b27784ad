from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak import data_faults
from tests.soak.places import NotRun, Verdict
from tests.soak.sql_servers import SERVERS


def test_each_fault_is_run_whatever_became_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(verdict: Verdict) -> None:
        raise OSError("broken")

    def left_out(verdict: Verdict) -> None:
        raise NotRun("no such thing here")

    def fine(verdict: Verdict) -> None:
        verdict.check(ok=True, text="fine")

    monkeypatch.setattr(data_faults, "_faults", lambda: [("one", breaks), ("two", left_out), ("three", fine)])
    verdict = Verdict()
    data_faults.run(tmp_path / "soak", verdict)
    out = capsys.readouterr().out
    assert "MISSED: it came to its end (OSError('broken'))" in out
    assert "left out: no such thing here" in out
    assert (verdict.met, verdict.missed) == (4, 1)  # no file stayed open, three times


def test_every_fault_of_databases_is_run_with_every_driver() -> None:
    titles = [title for title, _ in data_faults._faults()]
    assert len(titles) == len(set(titles)) == sum(map(len, data_faults.DATABASE_FAULTS.values())) + len(data_faults.REDIS_FAULTS)
    assert "mysqlclient: a replica is killed" in titles
    assert data_faults.DATABASE_FAULTS.keys() == SERVERS.keys()
