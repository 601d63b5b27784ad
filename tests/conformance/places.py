"""Where things stand, and the server that is judged."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from greenimi.testing.gunicorn import Gunicorn

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache/conformance"
CONF = Path(__file__).parent / "apps/anything.toml"

_DOWNLOAD = 300
"""Seconds that fetching something may take."""


class NotRun(Exception):
    """The suite cannot be had on this machine; the text says why.  Never to be taken for passed."""


@contextmanager
def serving(folder: Path, workers: int = 1) -> Iterator[Gunicorn]:
    """The application that says yes, under Gunicorn.  Its log stands in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    gunicorn = Gunicorn(ROOT / "conf/gunicorn.conf.py", CONF, workers, {}, folder / "gunicorn.log")
    try:
        gunicorn.start()
        yield gunicorn
    finally:
        gunicorn.stop()


def fetch(*command: str, what: str) -> None:
    """Run one command that downloads.  NotRun with its last line when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotRun(f"{what} cannot be had: {error}") from None
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
        raise NotRun(f"{what} cannot be had: {lines[-1]}")


def fetch_sdist(name: str, version: str, cache: Path) -> Path:
    """The source distribution of a package, which carries the tests that wheels lack.  NotRun when it cannot be had."""
    file = cache / f"{name}-{version}.tar.gz"
    if not file.is_file():
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet")
        fetch(
            *pip,
            "--no-deps",
            "--no-binary",
            ":all:",
            "--dest",
            str(cache),
            f"{name}=={version}",
            what=f"the source distribution of {name} {version}",
        )
    return file
