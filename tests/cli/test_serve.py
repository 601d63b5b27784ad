from __future__ import annotations

import os
import signal
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from greenimi.cli import serve
from greenimi.cli.options import UsageError
from greenimi.testing.support import wait_until
from tests.cli.support import PATIENCE, ROOT, Project

FIRST = {"text": "first"}
WORKERS = """
import os
from greenimi import get, http

@http
class Workers:
    @get("/hello")
    def hello(self) -> dict[str, str]:
        return {"text": "first"}

    @get("/parent")
    def parent(self) -> int:
        return os.getppid()
"""


@pytest.mark.live
def test_with_workers_until_term(project: Project) -> None:
    project.write("app.py", WORKERS)
    served = project.serve("--workers", "2")
    served.until(FIRST)
    assert served.ask("/parent") == served.process.pid
    served.until_written("Booting worker", times=2)
    served.send(signal.SIGTERM)
    assert served.wait() == 0


@pytest.mark.live
@pytest.mark.parametrize("start", [(str(ROOT / "greenimi/__main__.py"),), ("-m", "greenimi")])
def test_a_new_master_takes_over(project: Project, start: tuple[str, ...]) -> None:
    """USR2: Gunicorn starts itself anew, by the path of our main file."""
    project.write("app.py", WORKERS)
    served = project.serve(start=start)
    served.until(FIRST)
    served.send(signal.SIGUSR2)
    served.until_written("Booting worker", times=2)
    served.send(signal.SIGTERM)
    assert served.wait() == 0
    master = served.ask("/parent")
    os.kill(master, signal.SIGTERM)
    assert master != served.process.pid
    wait_until(lambda: not Path(f"/proc/{master}").exists(), PATIENCE)


@pytest.mark.live
def test_the_environment_and_keys_of_the_command_line_reach_the_workers(project: Project) -> None:
    project.write("conf/night.toml", '[shop]\nname = "owl"\n')
    project.write(
        "app.py",
        """
from typing import Annotated
from dataclasses import dataclass
from greenimi import get, http
from greenimi.container import ConfigValue
@http
@dataclass
class Hello:
    name: Annotated[str, ConfigValue("shop.name")]
    size: Annotated[int, ConfigValue("shop.size")]
    @get("/hello")
    def hello(self) -> list[object]:
        return [self.name, self.size]
""",
    )
    served = project.serve("--env", "night", "--set", "shop.size=3")
    served.until(["owl", 3])
    assert served.ask() == ["owl", 3]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--single", "--workers", "2"], "leave --workers out"),
        (["--reload", "--workers", "2"], "leave --workers out"),
        (["--workers", "0"], "expected a number from 1"),
        (["--bind", "shop=:1"], "there is no server shop; servers of the application: web"),
    ],
)
def test_wrong_usage(project: Project, arguments: list[str], text: str) -> None:
    done = project.run("serve", *arguments)
    assert done.returncode == 2
    assert text in done.stderr


@pytest.mark.parametrize("arguments", [[], ["--single"], ["--reload"]])
def test_without_conf_it_ends_with_1(project: Project, arguments: list[str]) -> None:
    (project.folder / "conf/app.toml").unlink()
    done = project.run("serve", *arguments)
    assert done.returncode == 1
    assert "greenimi: there is no conf/app.toml" in done.stderr
    assert "Traceback" not in done.stderr


HTTP, TCP = {"kind": "http"}, {"kind": "tcp"}


@pytest.mark.parametrize(
    ("text", "servers", "assignment"),
    [
        (":80", {"web": {}}, "servers.web.bind=:80"),
        (":80", {"web": HTTP, "till": TCP}, "servers.web.bind=:80"),
        (":80", {"till": TCP}, "servers.till.bind=:80"),
        ("till=[::1]:80", {"web": HTTP, "till": TCP}, "servers.till.bind=[::1]:80"),
        ("unix:/run/a.sock", {"web": HTTP}, "servers.web.bind=unix:/run/a.sock"),
    ],
)
def test_bind_means_the_server_that_is_named_or_the_only_one(text: str, servers: dict[str, Any], assignment: str) -> None:
    assert serve._bind(text, servers) == assignment


@pytest.mark.parametrize("servers", [{}, {"a": HTTP, "b": HTTP}, {"a": TCP, "b": TCP}])
def test_bind_without_a_name_must_be_clear(servers: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="which server"):
        serve._bind(":80", servers)


def test_workers_and_addresses_become_keys_of_the_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[Any] = []

    class Launcher:
        def __init__(self, conf: str | None, argv: list[str]) -> None:
            started.append((conf, argv))

        def run(self) -> None:
            started.append("run")

    monkeypatch.setattr("greenimi.deploy.Launcher", Launcher)
    conf = tmp_path / "a.toml"
    conf.write_text("[servers.web]\n")
    options = Namespace(conf=str(conf), sets=["a=1"], bind=[":80"], workers=3, single=False, reload=False)
    assert serve.run(options) == 0
    argv = ["--set", "a=1", "--set", "servers.web.bind=:80", "--set", "workers.count=3"]
    assert started == [(str(conf), argv), "run"]
