"""The folder by which workers meet: one for a master and those that follow it, gone when they are."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path

import pytest

from greenimi.errors import ConfigError
from greenimi.hub.run_folder import VARIABLE, RunFolder
from greenimi.servers.master import run_folder
from greenimi.servers.master.run_folder import MasterFolder
from greenimi.testing.plugin import ServeGunicorn
from greenimi.testing.support import wait_until

PATIENCE = 30.0


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    folder = tmp_path / "control"
    folder.mkdir(mode=0o700)
    return folder


def make(beside: Path, environ: MutableMapping[str, str] | None = None) -> MasterFolder:
    return MasterFolder(beside, os.geteuid(), os.getegid(), {} if environ is None else environ)


@pytest.fixture
def master(beside: Path) -> Iterator[MasterFolder]:
    made = make(beside)
    yield made
    made.close(last=True)


def folders(beside: Path) -> list[Path]:
    return sorted(beside.iterdir())


def test_a_master_makes_one_for_its_workers(beside: Path) -> None:
    environ: dict[str, str] = {}
    made = make(beside, environ)
    assert environ == {VARIABLE: str(made.path)}
    assert folders(beside) == [made.path]
    assert made.path.name.startswith("hub-")
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o700
    (made.path / "store.sqlite").touch()
    made.close(last=True)
    assert folders(beside) == []


def test_two_services_have_two(beside: Path, master: MasterFolder) -> None:
    other = make(beside)
    assert folders(beside) == sorted([master.path, other.path])
    other.close(last=True)
    assert folders(beside) == [master.path]


def test_the_master_of_an_upgrade_takes_it_over(beside: Path) -> None:
    master = make(beside)
    environ = {"GUNICORN_PID": str(os.getppid())}
    master.hand_over(environ)
    after = make(beside, environ)
    assert after.path == master.path
    after.close(last=True)
    assert folders(beside) == [master.path], "the one before it still lives"
    after = make(beside, environ)
    master.close(last=False)
    assert folders(beside) == [master.path]
    after.close(last=True)
    assert folders(beside) == []


@pytest.mark.parametrize("before", ["", "1"])
def test_the_folder_of_a_service_above_this_one_is_not_ours(beside: Path, master: MasterFolder, before: str) -> None:
    environ = {VARIABLE: str(master.path), "GUNICORN_PID": before}
    other = make(beside, environ)
    assert environ[VARIABLE] == str(other.path) != str(master.path)
    other.close(last=True)


def test_a_folder_that_was_removed_meanwhile_is_made_anew(beside: Path) -> None:
    other = make(beside, {VARIABLE: str(beside / "hub-gone"), "GUNICORN_PID": str(os.getppid())})
    assert other.path.is_dir()
    other.close(last=True)


def test_what_killed_masters_left_is_removed(beside: Path, master: MasterFolder) -> None:
    for name in ("hub-stale", "something", "new-hub-other"):
        (beside / name).mkdir()
        (beside / name / "1.lock").touch()
    (beside / "hub-file").touch()
    (beside / "hub-link").symlink_to(beside / "something")
    other = make(beside)
    assert set(folders(beside)) == {
        *(beside / name for name in ("something", "new-hub-other", "hub-file", "hub-link")),
        master.path,
        other.path,
    }
    other.close(last=True)


def test_workers_that_outlive_their_master_keep_it(beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder, "_LAST_WORKERS", 0.05)
    killed = beside / "hub-orphans"
    orphan, _ = RunFolder(killed).enter(0)
    stopped = make(beside)
    worker, _ = RunFolder(stopped.path).enter(0)
    stopped.close(last=True)
    assert folders(beside) == sorted([killed, stopped.path])
    RunFolder(killed).leave(orphan)
    RunFolder(stopped.path).leave(worker)
    make(beside).close(last=True)
    assert folders(beside) == []


def test_workers_on_their_way_out_are_waited_for(beside: Path) -> None:
    made = make(beside)
    lock = made.path / "1.lock"
    lock.touch()
    script = "import fcntl, sys, time; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX); print(flush=True); time.sleep(0.1)"
    with subprocess.Popen([sys.executable, "-c", script, str(lock)], stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        made.close(last=True)
    assert folders(beside) == []


def test_a_worker_lets_go_of_it(beside: Path, master: MasterFolder) -> None:
    pid = os.fork()
    if not pid:
        master.leave()
        signal.pause()
    try:
        other = os.open(master.path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_workers_of_another_user_have_theirs_where_they_can_enter(beside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "greenimi-hub-stale").mkdir()
    os.chown(tmp_path / "greenimi-hub-stale", 4242, 4243)
    (tmp_path / "greenimi-hub-theirs").mkdir()
    made = MasterFolder(beside, 4242, 4243, {})
    found = made.path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (4242, 4243, 0o700)
    assert made.path.parent == tmp_path
    assert not (tmp_path / "greenimi-hub-stale").exists()
    assert (tmp_path / "greenimi-hub-theirs").exists(), "it is another user's"
    made.close(last=True)
    assert not made.path.exists()


def test_where_none_can_be_made_is_told(beside: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be made: No such file or directory[\s\S]*\[workers\] control"):
        make(beside / "nowhere")


# -- with real workers ---------------------------------------------------------------------------------------------------

APP = """
from greenimi import get, http

@http
class Web:
    @get("/")
    def index(self): return "here"
"""


@pytest.mark.live
def test_workers_meet_there_also_those_of_an_upgrade(serve_gunicorn: ServeGunicorn, tmp_path: Path) -> None:
    (tmp_path / "meeting.py").write_text(APP)
    (tmp_path / "app.toml").write_text('include = ["meeting"]\n[servers.web]\nkind = "http"\n')
    gunicorn = serve_gunicorn(tmp_path / "app.toml", workers=2)
    folder = Path(gunicorn.status()["master"]["folder"])
    assert folder.parent == gunicorn.control
    assert len(list(folder.glob("*.lock"))) == 2
    gunicorn.signal(signal.SIGUSR2)
    successor = wait_until(lambda: gunicorn.status()["master"]["successor"], PATIENCE)
    wait_until(lambda: gunicorn.status(successor).get("master", {}).get("complete"), PATIENCE)
    assert gunicorn.status(successor)["master"]["folder"] == str(folder)
    assert len(list(folder.glob("*.lock"))) == 4
    assert gunicorn.process is not None
    gunicorn.signal(signal.SIGTERM)
    gunicorn.process.wait(PATIENCE)
    wait_until(lambda: len(list(folder.glob("*.lock"))) == 2, PATIENCE)
    os.kill(successor, signal.SIGTERM)
    wait_until(lambda: not folder.exists(), PATIENCE)


@pytest.mark.live
def test_a_folder_of_conf_wins_and_stays(serve_gunicorn: ServeGunicorn, tmp_path: Path) -> None:
    (tmp_path / "meeting.py").write_text(APP)
    (tmp_path / "app.toml").write_text(f'include = ["meeting"]\n[hub]\nfolder = "{tmp_path}/mine"\n[servers.web]\nkind = "http"\n')
    gunicorn = serve_gunicorn(tmp_path / "app.toml", workers=2)
    assert gunicorn.status()["master"]["folder"] == f"{tmp_path}/mine"
    assert len(list((tmp_path / "mine").glob("*.lock"))) == 2
    gunicorn.stop()
    assert (tmp_path / "mine" / "numbers").exists()
    assert not list((tmp_path / "mine").glob("*.lock"))
    assert [path.name for path in gunicorn.control.iterdir()] == []
