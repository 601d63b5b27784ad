"""The machine and the versions a run was made with.  No dates, no names of hosts."""

from __future__ import annotations

import os
import platform
import re
import ssl
import subprocess
from pathlib import Path

from benchmarks.paths import HERE, NGINX, PROJECT

PACKAGES = ("greenimi", "gevent", "greenlet", "gunicorn", "httptools", "zope.interface")
VERSIONS = "import sys, importlib.metadata as m\nfor n in sys.argv[1:]:\n try: print(n, m.version(n))\n except m.PackageNotFoundError: pass"


def describe() -> dict[str, str]:
    return {
        "cpu": f"{cpu_model()}, {os.cpu_count()} CPUs",
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
        "greenimi runs with": ", ".join(project_versions()) or "not installed",
        "peers": ", ".join(peer_versions()),
        "TLS": f"{ssl.OPENSSL_VERSION} in Python; {nginx_version()}",
        "load": f"{wrk_version()}; own clients, benchmarks/*.c",
    }


class Steal:
    """The part of all CPU time since now that went to other machines on the same hardware."""

    def __init__(self) -> None:
        self._start = self._read()

    @staticmethod
    def _read() -> tuple[int, int]:
        ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return ticks[7], sum(ticks)

    def part(self) -> float:
        stolen, total = (now - then for now, then in zip(self._read(), self._start, strict=True))
        return stolen / total if total else 0.0


def cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def project_versions() -> list[str]:
    python = PROJECT / "bin/python"
    if not python.exists():
        return []
    done = subprocess.run([python, "-c", VERSIONS, *PACKAGES], capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.splitlines()


def peer_versions() -> list[str]:
    """The servers themselves: the first block of the requirements, up to the empty line."""
    block = (HERE / "requirements.txt").read_text().split("\n\n")[0]
    return [line.replace("==", " ") for line in block.splitlines() if "==" in line]


def nginx_version() -> str:
    """Its name, its version and the OpenSSL it runs with."""
    if not NGINX.exists():
        return "no nginx"
    text = subprocess.run([NGINX, "-V"], capture_output=True, text=True, timeout=20, check=False).stderr
    version = re.search(r"nginx/([\d.]+)", text)
    library = re.search(r"running with (OpenSSL [\w.]+)", text) or re.search(r"built with (OpenSSL [\w.]+)", text)
    return f"nginx {version[1] if version else '?'} with {library[1] if library else '?'}"


def wrk_version() -> str:
    try:
        words = subprocess.run(["wrk", "--version"], capture_output=True, text=True, timeout=20, check=False).stdout.split()
    except FileNotFoundError:
        return "no wrk"
    return " ".join(words[:2])
