"""Make what a run needs: the peers' virtual environment, the load client, wrk.  What is there already is left alone."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.paths import BUILD, HERE, LOAD, PEERS, BenchError
from benchmarks.servers import Row


def prepare(rows: Sequence[Row]) -> None:
    BUILD.mkdir(exist_ok=True)
    for tool in ("taskset", "setpriv"):
        if shutil.which(tool) is None:
            raise BenchError(f"{tool} is missing; it comes with util-linux, please install that")
    if any(row.load == "wrk" for row in rows):
        need_wrk()
    if any(row.load != "wrk" for row in rows):
        build_load()
    build_peers()


def run(command: Sequence[str | Path], *, doing: str, seconds: float) -> None:
    """Run a command silently; what it wrote is shown only when it fails."""
    print(f"{doing} ...", file=sys.stderr, flush=True)
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise BenchError(f"{doing}: {command[0]} is missing, please install it") from error
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{doing}: not done after {seconds:.0f} s") from error
    if done.returncode:
        raise BenchError(f"{doing} failed:\n{(done.stdout + done.stderr)[-3000:]}")


def is_built(product: Path, source: Path, stamp: Path) -> bool:
    """Whether `product` was made from `source` as it is now."""
    return product.exists() and stamp.exists() and stamp.read_text() == digest(source)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def build_peers() -> None:
    source, stamp = HERE / "requirements.txt", BUILD / "venv.stamp"
    if is_built(PEERS / "bin/python", source, stamp):
        return
    stamp.unlink(missing_ok=True)
    run([sys.executable, "-m", "venv", "--clear", PEERS], doing="making the virtual environment of the peers", seconds=120)
    pip: list[str | Path] = [PEERS / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", source]
    run(pip, doing="installing the peers", seconds=900)
    stamp.write_text(digest(source))


def build_load() -> None:
    source, stamp = HERE / "load.c", BUILD / "load.stamp"
    if is_built(LOAD, source, stamp):
        return
    run(["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-o", LOAD, source], doing="compiling the load client", seconds=120)
    stamp.write_text(digest(source))


def need_wrk() -> None:
    if shutil.which("wrk"):
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise BenchError("wrk is missing; please install it (Debian: apt-get install wrk) or choose rows without it: see --list")
    try:
        run(["apt-get", "install", "--yes", "--quiet", "wrk"], doing="installing wrk", seconds=300)
    except BenchError:
        run(["apt-get", "update", "--quiet"], doing="refreshing the package lists", seconds=300)
        run(["apt-get", "install", "--yes", "--quiet", "wrk"], doing="installing wrk", seconds=300)
