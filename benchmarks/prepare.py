"""Make what a run needs: the peers' virtual environment, the load clients, a certificate, wrk, nginx.  What is there is left alone."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.paths import BUILD, CERTIFICATE, FAN, FILE, HERE, KEY, LOAD, NGINX, PACED, PEERS, VISIT, BenchError
from benchmarks.servers import Row

OPENSSL_HEADER = Path("/usr/include/openssl/ssl.h")
COMPILER = ("gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra")


def prepare(rows: Sequence[Row]) -> None:
    BUILD.mkdir(exist_ok=True)
    for tool in ("taskset", "setpriv"):
        if shutil.which(tool) is None:
            raise BenchError(f"{tool} is missing; it comes with util-linux, please install that")
    if any(row.load in ("wrk", "reload") for row in rows):
        need("wrk", found=shutil.which("wrk") is not None)
    if any(row.load == "h2load" for row in rows):
        need("nghttp2-client", found=shutil.which("h2load") is not None)
    if any(row.load == "upload" for row in rows):
        need("curl", found=shutil.which("curl") is not None)
    if any(server.needs == (NGINX,) for row in rows for server in row.servers):
        need("nginx", found=NGINX.exists())
    if any(row.protocol in ("https", "wss") for row in rows):
        make_certificate(CERTIFICATE, KEY)
    if any(row.file for row in rows):
        make_file(FILE)
    for client in {client for row in rows for client in clients(row)}:
        build(client)
    build_peers()


def make_file(path: Path) -> None:
    """One MiB that nothing can make smaller."""
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        path.write_bytes(os.urandom(1 << 20))


def clients(row: Row) -> Sequence[Path]:
    """The load clients of ours that measure it."""
    if row.load in ("visits", "churn") or (row.load == "memory" and row.protocol != "ws"):
        return [VISIT]
    if row.load in ("client", "memory"):
        return [LOAD]
    if row.load in ("fan", "push", "crowd"):
        return [FAN]
    return [PACED] if row.load in ("reload", "upload") else []


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


def is_built(product: Path, stamp: Path, *sources: Path) -> bool:
    """Whether `product` was made from `sources` as they are now."""
    return product.exists() and stamp.exists() and stamp.read_text() == digest(*sources)


def digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def build_peers() -> None:
    source, stamp = HERE / "requirements.txt", BUILD / "venv.stamp"
    if is_built(PEERS / "bin/python", stamp, source):
        return
    stamp.unlink(missing_ok=True)
    run([sys.executable, "-m", "venv", "--clear", PEERS], doing="making the virtual environment of the peers", seconds=120)
    pip: list[str | Path] = [PEERS / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", source]
    run(pip, doing="installing the peers", seconds=900)
    stamp.write_text(digest(source))


def build(client: Path) -> None:
    """A load client, from the C file of its name."""
    sources, stamp = (HERE / f"{client.name}.c", HERE / "client.h"), BUILD / f"{client.name}.stamp"
    if is_built(client, stamp, *sources):
        return
    libraries = []
    if client in (VISIT, FAN):
        need("libssl-dev", found=OPENSSL_HEADER.exists())
        libraries = ["-lssl", "-lcrypto"]
    run([*COMPILER, "-o", client, sources[0], *libraries], doing=f"compiling {client.name}.c", seconds=120)
    stamp.write_text(digest(*sources))


def make_certificate(certificate: Path, key: Path) -> None:
    """For localhost and 127.0.0.1, ECDSA on P-256, signed by itself."""
    if certificate.exists() and key.exists():
        return
    command: list[str | Path] = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "3650", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    run([*command, "-keyout", key, "-out", certificate], doing="making a certificate", seconds=60)


def need(package: str, *, found: bool) -> None:
    """Install a Debian package unless what it holds was found."""
    if found:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise BenchError(f"{package} is missing; please install it (Debian: apt-get install {package}) or choose other rows: see --list")
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", package]
    try:
        run(install, doing=f"installing {package}", seconds=300)
    except BenchError:
        run(["apt-get", "update", "--quiet"], doing="refreshing the package lists", seconds=300)
        run(install, doing=f"installing {package}", seconds=300)
