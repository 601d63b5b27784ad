"""Autobahn's fuzzing client (RFC 6455, RFC 7692): 517 cases against the echo of the application that says yes.

It runs on Python 2.7 only, in a virtual environment of its own.  The bar: every case and every close is OK, but the three cases where
whatever a server does is only informational.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.conformance.places import NotRun, fetch, serving

CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*", "12.*", "13.*"]
LONGEST = 3600
"""Seconds that the whole run may take."""

_AGENT = "greenimi"
_VIRTUALENV = "virtualenv==20.21.1"  # the last line of releases that can make environments for Python 2.7
_PACKAGES = (
    "setuptools==44.0.0",
    "incremental==16.10.1",
    "pyOpenSSL==19.1.0",
    "cryptography==3.3.2",
    "Twisted==19.10.0",
    "autobahntestsuite==25.10.1",
)
_INFORMATIONAL = {"7.1.6", "7.13.1", "7.13.2"}


def find_python() -> str:
    """A Python 2.7.  NotRun when there is none."""
    kept = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/2.7*/bin/python2.7"))
    found = str(kept[-1]) if kept else shutil.which("python2.7")
    if found is None:
        raise NotRun("there is no Python 2.7 on this machine")
    return found


def install(cache: Path) -> Path:
    """The ``wstest`` program, installed below ``cache`` the first time.  NotRun when it cannot be."""
    python = find_python()
    home = cache / "autobahn"
    wstest = home / "python2/bin/wstest"
    if not wstest.is_file():
        maker = home / "maker"
        fetch(sys.executable, "-m", "venv", str(maker), what="a virtual environment")
        fetch(str(maker / "bin/python"), "-m", "pip", "install", "--quiet", _VIRTUALENV, what="virtualenv")
        fetch(str(maker / "bin/virtualenv"), "--quiet", "-p", python, str(home / "python2"), what="a virtual environment of Python 2.7")
        fetch(str(home / "python2/bin/pip"), "install", "--quiet", *_PACKAGES, what="the Autobahn test suite")
    return wstest


def verdicts(index: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(case, behavior, behavior at the close) of every case, in order."""
    cases = index[_AGENT]
    names = sorted(cases, key=lambda name: [int(part) for part in name.split(".")])
    return [(name, cases[name]["behavior"], cases[name]["behaviorClose"]) for name in names]


def report(found: list[tuple[str, str, str]]) -> bool:
    """Print counts and every case that was not simply OK; whether the bar is met."""
    behaviors, closes = (dict(Counter(verdict[at] for verdict in found)) for at in (1, 2))
    print(f"{len(found)} cases, behavior: {behaviors}, close: {closes}")
    passed = bool(found)
    for name, behavior, close in found:
        if behavior != "OK" or close != "OK":
            print(f"   {name}: {behavior}, close {close}")
        passed &= (behavior == "OK" or (behavior == "INFORMATIONAL" and name in _INFORMATIONAL)) and close in {"OK", "INFORMATIONAL"}
    return passed


def run(cache: Path, cases: Sequence[str] = CASES) -> int:
    """The whole suite; 0 when it passed."""
    wstest = install(cache)
    folder = cache / "autobahn/run"
    shutil.rmtree(folder, ignore_errors=True)
    with serving(folder) as server:
        host, port = server.addresses["web"]
        plan = {
            "outdir": "./reports",
            "servers": [{"agent": _AGENT, "url": f"ws://{host}:{port}/echo"}],
            "cases": list(cases),
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        (folder / "fuzzing.json").write_text(json.dumps(plan))
        with (folder / "wstest.log").open("wb") as log:
            command = [str(wstest), "-m", "fuzzingclient", "-s", "fuzzing.json"]
            done = subprocess.run(command, cwd=folder, stdout=log, stderr=log, timeout=LONGEST, check=False)
    index = folder / "reports/index.json"
    if done.returncode or not index.is_file():
        print(f"wstest ended with {done.returncode}; see {folder / 'wstest.log'}")
        return 1
    return 0 if report(verdicts(json.loads(index.read_text()))) else 1
