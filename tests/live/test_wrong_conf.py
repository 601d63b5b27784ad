"""A service that cannot start says why in one sentence, and stops: wrong keys, wrong types, addresses that others have."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from greenimi.testing.support import free_port
from tests.cli.support import MAIN, ROOT, environment

pytestmark = pytest.mark.live

PATIENCE = 20.0
WAYS = {
    "serve": [sys.executable, MAIN, "serve", "conf/app.toml"],
    "single": [sys.executable, MAIN, "serve", "--single", "conf/app.toml"],
    "gunicorn": [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "conf/gunicorn.conf.py")],
}
APP = """
from greenimi import get, http

@http(server="web")
class Hello:
    @get("/hello")
    def hello(self) -> str:
        return "x"
"""
WEB = 'include = ["app"]\n\n[servers.web]\nkind = "http"\nbind = "{}"\n'


def start(folder: Path, way: str, conf: str, **env: str) -> tuple[int, str]:
    """Start with this conf, which must end by itself.  Its exit status and what it wrote."""
    (folder / "conf").mkdir(exist_ok=True)
    (folder / "conf/app.toml").write_text(conf)
    (folder / "app.py").write_text(APP)
    process = subprocess.Popen(
        WAYS[way],
        cwd=folder,
        env=environment({"GREENIMI_CONF": "conf/app.toml", **env}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        raise AssertionError(f"it serves, or waits:\n{output}") from None
    return process.returncode, output


def web(more: str = "") -> str:
    return WEB.format(f"127.0.0.1:{free_port()}") + more


KEYS = {
    "unknown key": ("max_haed = 3\n", "app.toml:6", "unknown key max_haed in [servers.web]; did you mean max_head?"),
    "text for a number": ('max_head = "big"\n', "app.toml:6", "servers.web.max_head: expected int, got str 'big'"),
    "fraction for a whole number": ("max_head = 1.5\n", "app.toml:6", "servers.web.max_head: expected int"),
    "text for a list": ('layers = "one"\n', "app.toml:6", "servers.web.layers: expected"),
    "unknown key of workers": ("[workers]\ncuont = 1\n", "app.toml:7", "unknown key cuont in [workers]; did you mean count?"),
    "unknown section": ('[server.till]\nkind = "tcp"\n', "app.toml:6", "unknown section [server]; did you mean [servers]?"),
    "no TOML": ("x = [1,\ny = 2\n", "app.toml", "line 7"),
}
TILL = '[servers.till]\nkind = "tcp"\nbind = "127.0.0.1:0"\n'
VALUES = {
    "kind": ('[servers.till]\nkind = "tpc"\n', "app.toml:7", "did you mean tcp?"),
    "address": ('[servers.till]\nkind = "tcp"\nbind = "nowhere"\n', "app.toml:8", "'nowhere' is no address to listen on"),
    "framing": (TILL + 'framing = "lines"\n', "app.toml:9", "did you mean line?"),
    "payload": (TILL + 'payload = "jsn"\n', "app.toml:9", "did you mean json?"),
}


def missing(folder: Path, way: str, more: str, *wanted: str) -> str:
    """What it wrote, when it did not say all that is wanted, or said it with a traceback."""
    status, output = start(folder, way, web(more))
    return "" if status and all(text in output for text in wanted) and "Traceback" not in output else f"exit status {status}\n{output}"


@pytest.mark.parametrize("way", ["serve", "gunicorn"])
@pytest.mark.parametrize(("more", "place", "text"), KEYS.values(), ids=KEYS)
def test_a_wrong_key_or_type_is_named_with_its_place(tmp_path: Path, way: str, more: str, place: str, text: str) -> None:
    assert missing(tmp_path, way, more, place, text) == ""


@pytest.mark.parametrize("way", ["serve", "gunicorn"])
@pytest.mark.parametrize(("more", "place", "text"), VALUES.values(), ids=VALUES)
def test_a_value_that_means_nothing_is_named_with_its_place(tmp_path: Path, way: str, more: str, place: str, text: str) -> None:
    assert missing(tmp_path, way, more, place, text) == ""


@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_key_from_the_environment_is_told_apart_from_one_of_the_file(tmp_path: Path, way: str) -> None:
    status, output = start(tmp_path, way, web(), GREENIMI__SERVERS__WEB__MAX_HAED="3")
    assert status != 0
    assert "environment: unknown key max_haed in [servers.web]; did you mean max_head?" in output, output
    assert "Traceback" not in output, output


@contextmanager
def taken(kind: int) -> Iterator[str]:
    """An address of 127.0.0.1 that this process has."""
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        yield "{}:{}".format(*holder.getsockname())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["http", "tcp", "udp"])
def test_an_address_in_use_is_told_in_one_sentence(tmp_path: Path, way: str, kind: str) -> None:
    with taken(socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as address:
        conf = WEB.format(address) if kind == "http" else web(f'[servers.other]\nkind = "{kind}"\nbind = "{address}"\n')
        status, output = start(tmp_path, way, conf)
    assert status != 0
    told = [line for line in output.splitlines() if "in use" in line]
    assert len(told) == 1, output
    assert f"{address} is in use" in told[0], output
    assert "Traceback" not in output, output
