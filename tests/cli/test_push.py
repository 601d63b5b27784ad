"""``greenimi push`` to clients of a running service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from greenimi.app import App
from greenimi.cli import push
from greenimi.errors import StartError
from greenimi.hub import Hub
from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.plugin import ServeGunicorn

CONF = """
include = ["tests.apps.lobby"]
[servers.web]
kind = "http"
[servers.till]
kind = "tcp"
[hub.groups.lobby]
history = 10
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def service(serve_gunicorn: ServeGunicorn, tmp_path: Path) -> Gunicorn:
    """Two workers."""
    conf = tmp_path / "conf/app.toml"
    conf.parent.mkdir()
    conf.write_text(CONF)
    return serve_gunicorn(conf, workers=2)


@pytest.fixture
def run(service: Gunicorn, tmp_path: Path) -> Run:
    def run(*arguments: str, input: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "greenimi", "push", *arguments]
        env = {**os.environ, "GREENIMI__WORKERS__CONTROL": str(service.control), "PYTHONPATH": str(Path(__file__).parents[2])}
        return subprocess.run(command, cwd=tmp_path, env=env, input=input, capture_output=True, text=True, timeout=30, check=False)

    return run


@pytest.fixture
def clients(service: Gunicorn) -> Iterator[list[ClientConnection]]:
    host, port = service.addresses["web"]
    with ExitStack() as stack:
        yield [stack.enter_context(connect(f"ws://{host}:{port}/lobby")) for _ in range(4)]


def heard(client: ClientConnection) -> Any:
    return json.loads(client.recv(timeout=5))


def asked(client: ClientConnection, **message: Any) -> Any:
    client.send(json.dumps({**message, "id": 1}))
    return heard(client)["result"]


def test_it_reaches_clients_of_all_workers(run: Run, clients: list[ClientConnection]) -> None:
    for client in clients:
        assert asked(client, action="$ping") is None  # they are in now
    found = run("--group", "lobby", '{"x": 1}', "--event", "news")
    assert (found.returncode, found.stdout, found.stderr) == (0, "delivered to 4 connections\n", "")
    assert [heard(client) for client in clients] == [{"event": "news", "data": {"x": 1}, "group": "lobby", "offset": 1}] * 4
    assert asked(clients[0], action="be", name="bob")
    assert json.loads(run("--user", "bob", "--json", "-", input='"hello"').stdout) == {"delivered": 1, "published": 1, "unknown": 0}
    assert heard(clients[0]) == "hello"
    assert run("--everyone", "--text", "plain").stdout == "delivered to 4 connections\n"
    assert [client.recv(timeout=5) for client in clients] == ["plain"] * 4
    assert run("--everyone", "till", "1").stdout == "delivered to 0 connections\n"
    unknown = run("--everyone", "tll", "1")
    assert unknown.returncode == 1
    assert "there is no server 'tll'; servers in conf: web, till" in unknown.stderr
    assert run("--connection", "17", "1").stdout == "delivered to 0 connections\n"
    assert run("--everyone", "{}").stdout == "delivered to 4 connections\n"
    assert "wants the id of a connection" in run("--connection", "bob", "1").stderr


def test_a_script_reaches_them_too(
    clients: list[ClientConnection], service: Gunicorn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for client in clients:
        assert asked(client, action="$ping") is None
    monkeypatch.setenv("GREENIMI__WORKERS__CONTROL", str(service.control))
    with App.from_file(tmp_path / "conf/app.toml").running() as app:
        assert app.container.get(Hub).group("lobby").send("from a script").delivered == 4
    assert [heard(client)["data"] for client in clients] == ["from a script"] * 4
    assert "GREENIMI_HUB" not in os.environ


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"data": "no json"}, "DATA is not JSON"),
        ({"data": None, "everyone": None}, "DATA is missing"),
        ({"data": None, "everyone": "web"}, "DATA is not JSON"),
        ({"data": None, "everyone": "hello", "text": True}, "DATA is missing"),
        ({"data": "x", "text": True, "event": "e"}, "no place for --event"),
    ],
)
def test_data_that_cannot_be_sent(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(StartError, match=text):
        push._data(Namespace(**{"text": False, "event": None, **arguments}))
