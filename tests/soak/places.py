"""Where things stand, the service that is put under strain, and the verdict on it."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from greenimi.testing.gunicorn import Gunicorn

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache/soak"
CONF = Path(__file__).parent / "apps/soak.toml"
ROOMS = Path(__file__).parent / "apps/rooms.toml"


class NotRun(Exception):
    """The soak is not possible on this machine; the text says why.  Never to be taken for passed."""


class Verdict:
    """Counts the bars that were met and missed, and prints each.  ``quick``: take less of everything, for a first look."""

    def __init__(self, *, quick: bool = False) -> None:
        self.quick = quick
        self.met = 0
        self.missed = 0

    def say(self, text: str) -> None:
        print(f"   {text}", flush=True)

    def part(self, title: str) -> None:
        print(f"== {title}", flush=True)

    def check(self, ok: object, text: str) -> bool:
        """One bar, and the figures by which it was met or missed."""
        self.met += bool(ok)
        self.missed += not ok
        self.say(f"{'met' if ok else 'MISSED'}: {text}")
        return bool(ok)

    @property
    def summary(self) -> str:
        return f"{self.met} bars met, {self.missed} missed"

    @property
    def status(self) -> int:
        return 0 if self.met and not self.missed else 1


@contextmanager
def serving(folder: Path, settings: Mapping[str, str] = {}, workers: int = 1, conf: Path = CONF) -> Iterator[Gunicorn]:
    """The application of the soaks under Gunicorn.  ``settings``: keys of conf; the log stands in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    gunicorn = Gunicorn(ROOT / "conf/gunicorn.conf.py", conf, workers, settings, folder / "gunicorn.log")
    try:
        gunicorn.start()
        yield gunicorn
    finally:
        gunicorn.stop()


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """What is started inside has these variables, too."""
    with ExitStack() as ends:
        for name, value in variables.items():
            before = os.environ.get(name)
            if before is None:
                ends.callback(os.environ.pop, name, None)
            else:
                ends.callback(os.environ.__setitem__, name, before)
            os.environ[name] = value
        yield


@contextmanager
def most_files(number: int) -> Iterator[None]:
    """What is started inside may have that many files open: ``ulimit -n``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def need(*programs: str) -> None:
    """NotRun unless all of them are installed."""
    for program in programs:
        if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
            raise NotRun(f"{program} is not installed")
