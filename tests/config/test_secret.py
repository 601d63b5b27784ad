from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from greenimi.config import Config, ConfigChanged, Secret, load
from greenimi.errors import ConfigError


@dataclass(frozen=True)
class DbSettings:
    user: str = ""
    password: str = ""
    dsn: str = ""
    api_keys: tuple[str, ...] = ()
    token_ttl: int = 0


def test_a_secret_works_as_text_but_does_not_show() -> None:
    settings = Config({"db": {"user": "u", "password": "hunter2"}}).settings("db", DbSettings)
    assert settings.password == "hunter2"
    assert f"{settings.user}:{settings.password}" == "u:hunter2"
    assert "hunter2" not in repr(settings)
    assert "password='***'" in repr(settings)
    assert "user='u'" in repr(settings)


@pytest.mark.parametrize("key", ["password", "db_passwd", "Secret", "access_token", "key", "api_key", "passphrase"])
def test_keys_that_hold_secrets(key: str) -> None:
    assert "hunter2" not in repr(Config({"a": {key: "hunter2", f"{key}s_of": 1}}).get(""))


@pytest.mark.parametrize("key", ["monkey", "keyboard", "driver"])
def test_keys_that_do_not(key: str) -> None:
    assert "shown" in repr(Config({key: "shown"}).get(key))


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("mysql://u:hunter2@db/x", "mysql://u:***@db/x"),
        ("redis://:hunter2@db", "redis://:***@db"),
        ("http://host:80/a@b", "http://host:80/a@b"),
        ("mysql://u:hun/ter?2#@db/x", "mysql://u:***@db/x"),
    ],
)
def test_of_an_address_only_the_password_is_hidden(dsn: str, shown: str) -> None:
    config = Config({"dsn": dsn})
    assert config.get("dsn") == dsn
    assert repr(config.get("dsn")) == repr(shown)
    assert list(config.entries()) == [("dsn", shown, "given")]


def test_a_listing_masks_and_names_the_place(tmp_path: Path) -> None:
    app = tmp_path / "app.toml"
    app.write_text('[db]\npassword = "hunter2"\nports = [1, { token = "t" }]\nempty = []\n')
    assert list(load([app], env={"GREENIMI__DB__USER": "u"}).entries())[:-1] == [
        ("db.password", "***", f"{app}:2"),
        ("db.ports.0", 1, f"{app}:3"),
        ("db.ports.1.token", "***", f"{app}:3"),
        ("db.empty", [], f"{app}:4"),
        ("db.user", "u", "environment"),
    ]


def test_a_number_under_a_secret_name_still_binds_from_text() -> None:
    assert load([], env={"GREENIMI__DB__TOKEN_TTL": "60"}).settings("db", DbSettings).token_ttl == 60


def test_a_change_does_not_show_the_secret() -> None:
    config = Config({"db": {"password": "old-one"}})
    told: list[ConfigChanged] = []
    config.on_change.append(told.append)
    config.set("db.password", "new-one")
    assert told == [ConfigChanged("db.password", "old-one", "new-one")]
    assert "one" not in repr(told)


def test_a_wrong_secret_is_not_in_the_error() -> None:
    with pytest.raises(ConfigError) as caught:
        Config({"db": {"token_ttl": "hunter2"}}).settings("db", DbSettings)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("content", "value"), [("x\n", "x"), ("x\n\n", "x\n"), ("x\r\n", "x"), (" x ", " x "), ("", "")])
def test_a_secret_comes_from_a_file(tmp_path: Path, content: str, value: str) -> None:
    file = tmp_path / "db"
    file.write_bytes(content.encode())
    (tmp_path / "app.toml").write_text(f'[db]\npassword = {{ file = "{file}" }}\n')
    found = load([tmp_path / "app.toml"], env={}).settings("db", DbSettings).password
    assert found == value
    assert isinstance(found, Secret)


def test_a_variable_may_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("mysql://u:p@h/x\n")
    config = load([], env={"GREENIMI__DB__DSN__FILE": str(tmp_path / "db")})
    assert config.get("db.dsn") == "mysql://u:p@h/x"
    assert ("db.dsn", "***", "environment") in config.entries()


def test_a_later_source_may_take_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "app.toml").write_text('[db]\npassword = { file = "/no/such/file" }\n')
    assert load([tmp_path / "app.toml"], env={"GREENIMI__DB__PASSWORD": "x"}).get("db.password") == "x"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "app.toml").write_text('[db]\npassword = { file = "/no/such/file" }\n')
    with pytest.raises(ConfigError, match=r"app.toml:2: db.password: cannot read the secret file /no/such/file: No such file"):
        load([tmp_path / "app.toml"], env={})
    (tmp_path / "db").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"cannot read the secret file .*utf-8"):
        load([], env={"GREENIMI__DB__PASSWORD__FILE": str(tmp_path / "db")})
    (tmp_path / "db").write_bytes(b"x" * (1 << 20) + b"y")
    with pytest.raises(ConfigError, match="over 1048576 bytes"):
        load([], env={"GREENIMI__DB__PASSWORD__FILE": str(tmp_path / "db")})


def test_file_under_another_key_is_an_ordinary_key() -> None:
    assert load([], env={"GREENIMI__LOCK__FILE": "/no/such/file"}).get("lock") == {"file": "/no/such/file"}
