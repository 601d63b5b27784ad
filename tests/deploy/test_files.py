"""Every file of ``docs/deploy`` is accepted by the program it is for, and agrees with the others."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.support import DEPLOY, ROOT, changed, program, run, values

SOCKETS = {"shop-web.socket": "web", "shop-till.socket": "till", "shop-beacon.socket": "beacon"}
EXPOSURE = "30"
"""What ``systemd-analyze security`` may find at most, of 100."""


@pytest.fixture(scope="module")
def conf() -> dict[str, Any]:
    return tomllib.loads((DEPLOY / "app.toml").read_text())


def test_every_file_is_told_of() -> None:
    page = (DEPLOY / "README.md").read_text()
    missing = [path.name for path in DEPLOY.iterdir() if path.name != "README.md" and path.name not in page]
    assert not missing


def test_the_conf_is_accepted() -> None:
    assert "all is well" in run(
        sys.executable,
        ROOT / "greenimi/__main__.py",
        "check",
        DEPLOY / "app.toml",
        "--set",
        "include.0=tests.deploy.apps.shop",
        env={"PYTHONPATH": str(ROOT)},
    )


# -- systemd ---------------------------------------------------------------------------------------------------------
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    python = Path(sys.executable).resolve()
    commands = {"/srv/shop/.venv/bin/greenimi": str(python), "User=shop\nGroup=shop\n": ""}
    units = [changed("shop.service", tmp_path, commands)]
    units += [changed(name, tmp_path, {}) for name in SOCKETS]
    assert run(analyze, "verify", "--man=no", *units) == ""


def test_the_service_is_shut_off_from_the_rest() -> None:
    told = run(program("systemd-analyze"), "security", "--offline=yes", f"--threshold={EXPOSURE}", "--no-pager", DEPLOY / "shop.service")
    assert "Overall exposure level" in told


def test_units_and_conf_agree(conf: dict[str, Any]) -> None:
    for name, server in SOCKETS.items():
        assert values(name, "FileDescriptorName") == [server]
        assert values(name, "Listen(?:Stream|Datagram)") == [conf["servers"][server]["bind"]]
        assert bool(values(name, "ListenDatagram")) == (conf["servers"][server]["kind"] == "udp")
    assert int(values("shop.service", "TimeoutStopSec")[0]) > conf["workers"]["graceful_timeout"] + 2
    assert values("shop.service", "KillMode") == ["mixed"]


# -- proxies ---------------------------------------------------------------------------------------------------------
def test_nginx_accepts_its_configuration(tmp_path: Path) -> None:
    paths = {"/run/nginx.pid": f"{tmp_path}/nginx.pid", "/var/log/nginx": str(tmp_path)}
    assert "test is successful" in run(program("nginx"), "-t", "-c", changed("nginx.conf", tmp_path, paths))


def test_haproxy_accepts_its_configuration() -> None:
    assert "Warning" not in run(program("haproxy"), "-c", "-f", DEPLOY / "haproxy.cfg", env={"SHOP": "127.0.0.1"})


def seconds_of(name: str, pattern: str) -> list[int]:
    return [int(found) for found in re.findall(rf"{pattern}\s+(\d+)s", (DEPLOY / name).read_text())]


@pytest.mark.parametrize(
    ("name", "unused", "silent"),
    [
        ("nginx.conf", "keepalive_timeout", "(?:proxy_read_timeout|proxy_timeout)"),
        ("haproxy.cfg", "timeout http-keep-alive", "timeout (?:server|tunnel|client)"),
    ],
)
def test_proxies_are_more_patient_than_the_service(conf: dict[str, Any], name: str, unused: str, silent: str) -> None:
    """But for unused connections, which the proxy ends: else a request could meet the service's goodbye."""
    web = conf["servers"]["web"]
    found = seconds_of(name, silent)
    assert len(found) >= 2
    assert all(seconds > max(web["handler_time"], web["idle"] + 20) for seconds in found)
    assert [seconds < web["keep_alive"] for seconds in seconds_of(name, unused)] == [True]


# -- containers ------------------------------------------------------------------------------------------------------
def test_docker_compose_accepts_its_file(tmp_path: Path) -> None:
    assert "haproxy" in run(program("docker-compose"), "-f", DEPLOY / "compose.yaml", "config", "--services")


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    assert run(program("hadolint"), "--no-color", DEPLOY / "Dockerfile") == ""


def test_the_dockerfile_serves_without_a_shell_and_without_root() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert lines[0] == "FROM python:3.11-slim"
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001"]
    assert [line for line in lines if line.startswith("STOPSIGNAL")] == ["STOPSIGNAL SIGTERM"]
    assert lines[-1] == 'CMD ["greenimi", "serve"]'


def test_the_environment_of_compose_fits_the_conf() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    found = re.findall(r"^ +(GREENIMI__\w+): (?:\"(.*)\"|'(.*)')$", text, re.MULTILINE)
    environment = {name: one or other for name, one, other in found}
    assert len(environment) == 5
    code = (
        "from greenimi.config import read_conf; from greenimi.servers.configured import configured_servers;"
        f"servers = configured_servers(read_conf({str(DEPLOY / 'app.toml')!r}));"
        "print(servers['web'].bind, servers['till'].trusted, servers['health'].bind)"
    )
    assert run(sys.executable, "-c", code, env=environment) == "0.0.0.0:8000 ['10.77.0.0/24'] 0.0.0.0:8080\n"
