from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from zope.interface.verify import verifyObject

from greenimi.config import Config, ConfigChanged, Env, current_server, includeme, load
from greenimi.container import Scope, Setup
from greenimi.errors import ConfigError
from greenimi.interfaces import IConfig


@dataclass(frozen=True)
class CacheSettings:
    driver: str = "memory"
    size: int = 100


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    folder = tmp_path / "conf"
    folder.mkdir()
    return folder


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


# -- order ---------------------------------------------------------------------------------------------------------


def test_each_source_wins_over_those_before_it(conf: Path) -> None:
    app = write(conf / "app.toml", 'a = "file"\nb = "file"\nc = "file"\nd = "file"\ne = "file"\n')
    test = write(conf / "test.toml", 'b = "test"\nc = "test"\nd = "test"\ne = "test"\n')
    dotenv = write(conf.parent / ".env", "GREENIMI__C=dotenv\nGREENIMI__D=dotenv\n@app.e=dotenv\nNAME=x\n")
    config = load([app], env={"GREENIMI__D": "env", "GREENIMI__E": "env"}, argv=["serve", "--set", "e=argv"], environment="test")
    assert [config.get(key) for key in "abcde"] == ["file", "test", "dotenv", "env", "argv"]
    assert [config.where(key) for key in "abcde"] == [str(app), str(test), str(dotenv), "environment", "command line"]
    assert config.where("missing") == "default"
    assert config.env.str("NAME") == "x"


def test_tables_merge_key_by_key_and_everything_else_is_replaced(conf: Path) -> None:
    app = write(conf / "app.toml", "[a]\nx = 1\ny = 2\nlist = [1, 2]\n[b]\nx = 1\n")
    write(conf / "development.toml", "b = 5\n[a]\ny = 3\nlist = [9]\n")
    config = load([app], env={})
    assert config.get("") == {"a": {"x": 1, "y": 3, "list": [9]}, "b": 5, "environment": "development"}


def test_the_environment_file_of_another_environment_is_not_read(conf: Path) -> None:
    app = write(conf / "app.toml", "a = 1\n")
    write(conf / "production.toml", "a = 2\n")
    assert load([app], env={}).get("a") == 1


def test_a_process_variable_wins_over_one_of_dotenv(conf: Path) -> None:
    app = write(conf / "app.toml", "")
    write(conf.parent / ".env", "NAME=dotenv\n")
    assert load([app], env={"NAME": "process"}).env.str("NAME") == "process"


def test_the_environment_is_there_to_read_but_no_file_sets_it(conf: Path) -> None:
    app = write(conf / "app.toml", "")
    config = load([app], env={}, environment="test")
    assert config.get("environment") == "test"
    config.check()
    write(conf / "app.toml", '\nenvironment = "production"\n')
    with pytest.raises(ConfigError, match=r"app.toml:2: environment chooses the files to read"):
        load([app], env={})


# -- sub-files -----------------------------------------------------------------------------------------------------


def test_a_sub_file_wins_over_the_inline_value(conf: Path) -> None:
    app = write(conf / "app.toml", 'configs = { cache = "cache.toml" }\n[cache]\ndriver = "inline"\nsize = 3\n')
    write(conf / "cache.toml", 'driver = "loaded"\n')
    config = load([app], env={})
    assert config.get("cache") == {"driver": "loaded", "size": 3}
    assert config.where("cache.driver") == str(conf / "cache.toml")


def test_sub_files_nest_below_a_dotted_name(conf: Path) -> None:
    app = write(conf / "app.toml", 'configs = { "a.b" = "one.toml" }\n')
    write(conf / "one.toml", 'x = 1\nconfigs = { c = "two.toml" }\n')
    write(conf / "two.toml", "\n\ny = 'no number'\n")
    config = load([app], env={})
    assert config.get("a.b") == {"x": 1, "c": {"y": "no number"}}
    with pytest.raises(ConfigError, match=r"two.toml:3: unknown key y in \[a.b.c\]"):
        config.settings("a.b.c", CacheSettings)


def test_sub_files_that_name_each_other_are_an_error(conf: Path) -> None:
    app = write(conf / "app.toml", 'configs = { a = "app.toml" }\n')
    with pytest.raises(ConfigError, match="more than 8 files deep"):
        load([app], env={})


def test_configs_of_another_shape_are_an_error(conf: Path) -> None:
    app = write(conf / "app.toml", "a = 1\nconfigs = { a = 1 }\n")
    with pytest.raises(ConfigError, match=r"app.toml:2: configs: expected a table of file names"):
        load([app], env={})


@pytest.mark.parametrize(("text", "said"), [(b"a = 1\na = = 1", "line 2"), (b"a = '\xff'", "utf-8"), (None, "No such file")])
def test_a_file_that_cannot_be_read_is_named(conf: Path, text: bytes | None, said: str) -> None:
    if text is not None:
        (conf / "app.toml").write_bytes(text)
    with pytest.raises(ConfigError, match=rf"app\.toml.*{said}"):
        load([conf / "app.toml"], env={})


# -- paths ---------------------------------------------------------------------------------------------------------


def test_the_interface_is_kept() -> None:
    assert verifyObject(IConfig, Config())


def test_dotted_paths_step_into_tables_and_lists() -> None:
    config = Config({"a": {"b": [{"c": 1}, {"c": 2}]}})
    assert config.get("a.b.1.c") == 2
    assert config.get("a.b.2.c", "none") == "none"
    assert config.get("a.b.c.d", None) is None
    with pytest.raises(ConfigError, match=r"there is no a\.x in the configuration"):
        config.get("a.x")


def test_what_is_read_is_a_copy() -> None:
    config = Config({"a": {"b": [1]}})
    config.get("a")["b"].append(2)
    assert config.get("a.b") == [1]


def test_the_spellings_with_an_at_sign() -> None:
    server: str | None = "web"
    config = Config(
        {"port": 1, "name": "app", "servers": {"web": {"port": 2}, "tcp": {"port": 3}}},
        current_server=lambda: server,
    )
    assert config.get("@app.port") == 1
    assert config.get("@server.tcp.port") == 3
    assert config.get("@currentServer.port") == 2
    assert config.get("@currentServer.name") == "app"
    assert config.get("@server.tcp.name", "no fallback") == "no fallback"
    server = None
    assert config.get("@currentServer.port") == 1
    with pytest.raises(ConfigError, match="is not a path"):
        config.get("@other.port")


def test_section_is_a_table() -> None:
    config = Config({"a": {"x": 1}, "b": 2})
    assert config.section("a") == {"x": 1}
    assert config.section("missing") == {}
    with pytest.raises(ConfigError, match="b is not a table"):
        config.section("b")


# -- sections nobody reads -----------------------------------------------------------------------------------------


def test_check_names_what_nobody_reads(conf: Path) -> None:
    app = write(conf / "app.toml", 'include = ["x"]\ninclud = 1\n[cache.default]\nsize = 1\n[cahce]\n[cache.other]\n[mine]\n')
    config = load([app], env={"GREENIMI__SHOPP__NAME": "x"})
    config.settings("cache.default", CacheSettings)
    config.settings("shop", CacheSettings)
    assert config.known == {"cache.default": CacheSettings, "shop": CacheSettings}
    with pytest.raises(ConfigError) as caught:
        config.check(["include", "mine"])
    assert sorted(str(caught.value).split("\n")) == [
        f"{app}:2: unknown key includ; did you mean include?",
        f"{app}:5: unknown section [cahce]; did you mean [cache]?",
        f"{app}:6: unknown section [cache.other]",
        "environment: unknown section [shopp]; did you mean [shop]?",
    ]


def test_check_passes_when_everything_is_read() -> None:
    config = Config({"cache": {"default": {"size": 1}}, "mine": {"x": 1}})
    config.settings("cache", dict[str, CacheSettings])
    config.check(["mine"])
    with pytest.raises(ConfigError, match=r"unknown section \[mine\]"):
        config.check()


# -- run time ------------------------------------------------------------------------------------------------------


def test_set_changes_the_value_and_tells() -> None:
    config = Config({"a": {"b": 1}})
    told: list[ConfigChanged] = []
    config.on_change.append(told.append)
    config.set("@app.a.b", 2)
    config.set("c.d", [1])
    assert config.get("") == {"a": {"b": 2}, "c": {"d": [1]}}
    assert told == [ConfigChanged("a.b", 1, 2), ConfigChanged("c.d", None, [1])]
    assert config.where("a.b") == "run time"


def test_set_for_the_current_server() -> None:
    config = Config({"servers": {"web": {"port": 1}}, "port": 9}, current_server=lambda: "web")
    config.set("@currentServer.port", 2)
    assert config.get("@server.web.port") == 2
    assert config.get("port") == 9


# -- as a component ------------------------------------------------------------------------------------------------


class _Server:
    name = "web"


class _Connection:
    server = _Server()


def test_the_current_server_is_that_of_the_message() -> None:
    config = Config({"port": 1, "servers": {"web": {"port": 2}}})
    setup = Setup(config)
    setup.include(includeme)
    assert setup.container.get(Config) is config
    assert setup.container.get(Env) is config.env
    assert (current_server(), config.get("@currentServer.port")) == (None, 1)
    with Scope(setup.container, _Connection()):  # type: ignore[arg-type]
        assert (current_server(), config.get("@currentServer.port")) == ("web", 2)
    with Scope(setup.container):
        assert current_server() is None
