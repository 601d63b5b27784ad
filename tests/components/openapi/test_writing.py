from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from greenimi.cli.main import main
from greenimi.testing.plugin import Serve
from tests.components.openapi.test_serving import ask

CONF = """
include = ["tests.components.openapi.everything", "greenimi.components.openapi"]
[servers.web]
"""


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "app.toml"
    file.write_text(CONF)
    monkeypatch.setenv("GREENIMI_CONF", str(file))
    return file


def test_files_stdout_and_what_is_served_are_the_same(conf: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], serve: Serve) -> None:
    assert main(["openapi", "-o", str(tmp_path / "api.json")]) == 0
    assert main(["openapi", "--output", str(tmp_path / "api.yaml"), "--server", "web"]) == 0
    assert capfd.readouterr().out == ""
    assert main(["openapi"]) == 0
    written = (tmp_path / "api.json").read_text()
    assert capfd.readouterr().out == written
    assert json.loads(written) == yaml.safe_load((tmp_path / "api.yaml").read_text())
    address = serve((), conf).addresses["web"]
    assert ask(address, "/openapi.json")[2].decode() == written
    assert ask(address, "/openapi.yaml")[2] == (tmp_path / "api.yaml").read_bytes()


@pytest.mark.parametrize(
    ("servers", "arguments", "text"),
    [
        ("[servers.admin]", [], "name one of the HTTP servers by --server: web, admin"),
        ("", ["--server", "wev"], "there is no HTTP server 'wev'"),
        ("", ["-o", "/nothing/here/api.json"], "No such file or directory"),
    ],
)
def test_what_cannot_be_written(conf: Path, capfd: pytest.CaptureFixture[str], servers: str, arguments: list[str], text: str) -> None:
    conf.write_text(CONF + servers)
    assert main(["openapi", *arguments]) == 1
    assert text in capfd.readouterr().err


def test_production_serves_none_but_the_command_writes_it(
    conf: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREENIMI_ENV", "development")  # --env changes it, and that is taken back
    assert main(["--env", "production", "openapi"]) == 0
    assert json.loads(capfd.readouterr().out)["paths"]
