from __future__ import annotations

from pathlib import Path

import pytest

from greenimi.config import load
from greenimi.config.sources import read_dotenv
from greenimi.errors import ConfigError


def dotenv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / ".env"
    path.write_text(text)
    return path


def test_both_forms(tmp_path: Path) -> None:
    found = read_dotenv(dotenv(tmp_path, "# comment\n\nNAME=value\nexport OTHER = two words # said\n@app.a.b = 1\n@server.web.port=2\n"))
    assert found.variables == {"NAME": "value", "OTHER": "two words"}
    assert list(found.values) == [(("a", "b"), "1"), (("servers", "web", "port"), "2")]


def test_injection_builds_a_list_of_maps(tmp_path: Path) -> None:
    (tmp_path / "app.toml").write_text("")
    dotenv(tmp_path, "@app.a.0.id=1\n@app.a.0.name=x\n@app.a.1.id=2\n@app.pools.main.resource.host=db\n")
    config = load([tmp_path / "app.toml"], env={})
    assert config.get("a") == [{"id": "1", "name": "x"}, {"id": "2"}]
    assert config.settings("a", list[dict[str, int | str]]) == [{"id": 1, "name": "x"}, {"id": 2}]
    assert config.get("pools.main.resource.host") == "db"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("", ""),
        ("a#b", "a#b"),
        ("a  # b", "a"),
        ("# b", ""),
        ("'a # b'", "a # b"),
        ("'a\\n'", "a\\n"),
        ('"a\\n\\"b\\" \\\\ \\$ \\q"', 'a\n"b" \\ $ \\q'),
        ('"a" # b', "a"),
        ("a=b", "a=b"),
    ],
)
def test_quotes_comments_and_escapes(tmp_path: Path, written: str, value: str) -> None:
    assert read_dotenv(dotenv(tmp_path, f"NAME={written}\n")).variables == {"NAME": value}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("NAME", "expected KEY=VALUE"),
        ("1NAME=x", "'1NAME' is not the name of a variable"),
        ("=x", "'' is not the name"),
        ("NAME='x", "the quoted value does not end"),
        ('NAME="x" y', "the quoted value does not end"),
        ("@currentServer.x=1", "expected @app.path"),
        ("@server.web=1", "expected @app.path"),
        ("@app=1", "expected @app.path"),
    ],
)
def test_a_line_that_is_neither_form_is_named(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"\.env:2: .*{said}"):
        read_dotenv(dotenv(tmp_path, f"A=1\n{line}\n"))


def test_dotenv_stands_beside_the_file_or_above_a_folder_called_conf(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "app.toml").write_text("")
    (tmp_path / "conf" / ".env").write_text("@app.a=inside\n")
    dotenv(tmp_path, "@app.a=above\n")
    (tmp_path / "hello.toml").write_text("")
    assert load([tmp_path / "conf" / "app.toml"], env={}).get("a") == "above"
    assert load([tmp_path / "hello.toml"], env={}).get("a") == "above"
