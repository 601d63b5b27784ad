"""``scripts/services`` starts, shows and ends."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from greenimi.testing.services import KINDS, __main__
from greenimi.testing.services.kept import Kept


def run(notes: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    status = __main__.main([*words, "--notes", str(notes)])
    return status, capsys.readouterr().out


def test_up_status_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, capsys, "status") == (1, "nothing runs; scripts/services up starts all\n")
    try:
        status, out = run(tmp_path, capsys, "up", "mosquitto", "redis")
        redis = Kept.find("redis", tmp_path)
        assert redis is not None
        assert status == 0
        assert f"redis serves at {redis.urls[0]} (" in out
        assert "mosquitto serves at mqtt://127.0.0.1:" in out
        assert tomllib.loads(out.partition("# For conf/app.toml:")[2]) == {"redis": {"default": {"url": redis.urls[0]}}}
        assert "redis runs already\n" in run(tmp_path, capsys, "up", "redis")[1]
        status, out = run(tmp_path, capsys, "status")
        assert status == 0
        assert f"redis            runs  {redis.urls[0]}\n" in out
        assert f"processes {redis.processes[0].pid} in {redis.folders[0]}" in out

        redis.processes[0].kill()
        status, out = run(tmp_path, capsys, "status")
        assert status == 1
        assert "redis            DEAD" in out
        assert run(tmp_path, capsys, "up", "redis")[0] == 0
        again = Kept.find("redis", tmp_path)
        assert again is not None
        assert again.runs
        assert not Path(redis.folders[0]).exists()
        assert run(tmp_path, capsys, "down", "redis") == (0, "redis ended\n")
        assert run(tmp_path, capsys, "down", "redis") == (0, "redis does not run\n")
        assert run(tmp_path, capsys, "status", "redis", "mosquitto")[0] == 1
    finally:
        status, out = run(tmp_path, capsys, "down")
    assert (status, out) == (0, "mosquitto ended\n")
    assert list(tmp_path.iterdir()) == []


def test_help_teaches_and_mistakes_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        __main__.main(["--help"])
    out = capsys.readouterr().out
    assert all(f"  {kind} " in out for kind in KINDS)
    assert "scripts/services down redis" in out
    assert __main__.ABOUT.keys() == KINDS.keys()
    with pytest.raises(SystemExit, match="2"):
        __main__.main(["up", "oracle"])
    assert "no service is called oracle; there are: mariadb, " in capsys.readouterr().err


def test_a_program_that_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenimi.testing.services.processes.PROGRAM_FOLDERS", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert __main__.main(["up", "mosquitto", "--notes", str(tmp_path)]) == 1
    assert "on Debian: apt-get install mosquitto" in capsys.readouterr().err
