"""The files of ``docs/deploy``, with other paths and ports in them, and the programs that they are for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.support import wait_until

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "docs/deploy"
PATIENCE = 20.0
_PATH = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def program(name: str) -> str:
    """Where it is installed; the test is skipped when it is not."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        pytest.skip(f"{name} is not installed: see debian_for_deploy in scripts/_lib.sh")
    return found


def run(*command: str | Path, env: Mapping[str, str] = {}) -> str:
    """What a command that must succeed prints."""
    done = subprocess.run(
        command, env={**os.environ, **env}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def changed(name: str, folder: Path, changes: Mapping[str, str]) -> Path:
    """A copy of one of the files with other texts in it; each of ``changes`` must be there."""
    text = (DEPLOY / name).read_text()
    for old, new in changes.items():
        assert old in text, f"{name} has no {old!r}"
        text = text.replace(old, new)
    (folder / name).write_text(text)
    return folder / name


@contextmanager
def running(command: Sequence[str | Path], log: Path, env: Mapping[str, str] = {}) -> Iterator[subprocess.Popen[bytes]]:
    """A program until the end of the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def shop(folder: Path, settings: Mapping[str, str] = {}, command: Sequence[str] = (), env: Mapping[str, str] = {}) -> Iterator[Gunicorn]:
    """The application of this folder with the conf of ``docs/deploy``; not started yet."""
    before = {name: os.environ.get(name) for name in env}
    os.environ.update(env)
    try:
        service = Gunicorn(
            ROOT / "conf/gunicorn.conf.py",
            DEPLOY / "app.toml",
            1,
            {"include.0": "tests.deploy.apps.shop", **settings},
            folder / "shop.log",
            command,
        )
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    try:
        yield service
    finally:
        service.stop()


def until(predicate: Callable[[], object], what: str, log: Path) -> None:
    """Wait; what does not come about is told with the log."""
    try:
        wait_until(predicate, PATIENCE)
    except AssertionError:
        raise AssertionError(f"{what}:\n{log.read_text(errors='replace')}") from None


def values(name: str, key: str) -> list[str]:
    """All values of a key in a unit file, without comments."""
    return re.findall(rf"^{key}=(.*)$", (DEPLOY / name).read_text(), re.MULTILINE)
