from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from greenimi.cli.new import KINDS, make
from greenimi.errors import StartError
from greenimi.testing.support import free_port, wait_until
from tests.cli.support import PATIENCE, Project, Served, environment

Port = int
SAID = '{"action": "echo", "text": "hello"}'


def ask_http(port: Port) -> Any:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    link.request("GET", "/hello/World")
    answer = json.loads(link.getresponse().read())
    link.close()
    return answer


def ask_websocket(port: Port) -> Any:
    with connect(f"ws://127.0.0.1:{port}/echo") as client:
        client.send(SAID)
        return json.loads(client.recv(PATIENCE))


def ask_chat(port: Port) -> Any:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    for path in ("/", "/page.js", "/greenimi.js"):
        link.request("GET", path)
        answer = link.getresponse()
        assert answer.status == 200, path
        answer.read()
    link.close()
    with connect(f"ws://127.0.0.1:{port}/chat") as client:
        client.send('{"action": "enter", "id": 1, "name": "Ann"}')
        client.send('{"action": "say", "text": "hello"}')
        while "offset" not in (message := json.loads(client.recv(PATIENCE))):
            pass  # the answer, and that Ann is here
        return message["data"]


def ask_tcp(port: Port) -> Any:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.sendall(f"{SAID}\n".encode())
        return json.loads(client.makefile().readline())


def ask_udp(port: Port) -> Any:
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.sendto(SAID.encode(), ("127.0.0.1", port))
        return json.loads(client.recv(65536))


ASK: dict[str, tuple[str, Callable[[Port], Any], Any]] = {
    "http": ("web", ask_http, {"message": "Hello, World!"}),
    "websocket": ("web", ask_websocket, {"text": "hello", "count": 1}),
    "chat": ("web", ask_chat, {"name": "Ann", "text": "hello"}),
    "tcp": ("tcp", ask_tcp, {"text": "hello"}),
    "udp": ("udp", ask_udp, {"text": "hello"}),
}


@pytest.fixture
def made(project: Project, kind: str) -> Project:
    assert project.run("new", "shop", "--kind", kind).returncode == 0
    project.folder /= "shop"
    return project


every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_its_own_tests_pass(made: Project) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "greenimi.testing.plugin", "-W", "error"]
    env = environment({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})  # an installed greenimi would bring the plugin a second time
    done = subprocess.run(command, cwd=made.folder, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.live
@every_kind
def test_it_answers_real_clients_at_every_door(made: Project, kind: str) -> None:
    doors = [door for door in ASK if door != "chat"] if kind == "full" else [kind]
    servers = {ASK[door][0] for door in doors}
    ports = {server: free_port(socket.SOCK_DGRAM if server == "udp" else socket.SOCK_STREAM) for server in servers}
    served = made.serve("--single", *(f"--bind={server}=127.0.0.1:{port}" for server, port in ports.items()), bind=False)
    wait_until(lambda: all(f"{server}: " in running(served) for server in servers), PATIENCE)
    assert {door: ASK[door][1](ports[ASK[door][0]]) for door in doors} == {door: ASK[door][2] for door in doors}


def running(served: Served) -> str:
    """What it wrote; an assertion that it still runs."""
    assert served.process.poll() is None, served.output
    return served.output


@every_kind
def test_it_is_clean_by_our_own_rules(made: Project, kind: str) -> None:
    done = made.run("check")
    assert done.returncode == 0, done.stderr
    assert tomllib.loads((made.folder / "conf/app.toml").read_text())["app"]["name"] == "shop"
    readme = (made.folder / "README.md").read_text()
    assert readme.startswith("# shop\n")
    assert KINDS[kind].ask in readme
    assert not any("$" in file.read_text() for file in made.folder.rglob("*.*") if file.suffix in (".py", ".toml", ".md"))


def test_http_is_what_one_gets_without_asking(project: Project) -> None:
    done = project.run("new", "deep/shop")
    assert done.returncode == 0
    assert "cd deep/shop\n  greenimi serve --reload\n" in done.stdout
    assert "@http" in (project.folder / "deep/shop/app.py").read_text()


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/mine").write_text("mine")
    with pytest.raises(StartError, match="exists and is not an empty folder"):
        make(tmp_path / "shop", "http")
    assert [file.name for file in (tmp_path / "shop").iterdir()] == ["mine"]


def test_a_file_of_that_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("mine")
    with pytest.raises(StartError, match="exists and is not an empty folder"):
        make(tmp_path / "shop", "http")


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    make(tmp_path / "shop", "tcp")
    assert (tmp_path / "shop/conf/app.toml").is_file()


@pytest.mark.parametrize("name", ["-x", "1a", "a b", 'a"b', "a$b", "ä", "a" * 101])
def test_a_name_that_will_not_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(StartError, match="cannot be the name of an application"):
        make(tmp_path / name, "http")
    assert list(tmp_path.iterdir()) == []


def test_exit_status_of_wrong_calls(project: Project) -> None:
    assert project.run("new", "conf").returncode == 1
    done = project.run("new", "shop", "--kind", "mqtt")
    assert done.returncode == 2
    assert "invalid choice: 'mqtt'" in done.stderr
