from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from greenimi.config import load
from greenimi.config.tree import Source, Tree, split
from greenimi.errors import ConfigError


@dataclass(frozen=True)
class CacheSettings:
    driver: str = "memory"
    ttl: float = 60.0
    size: int = 100
    tags: tuple[str, ...] = ()


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    folder = tmp_path / "conf"
    folder.mkdir()
    return folder


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_variables_reach_keys_of_any_case_and_items_of_lists(conf: Path) -> None:
    app = write(conf / "app.toml", '[servers.Web]\nport = 1\n[[nodes]]\nhost = "a"\n')
    env = {"GREENIMI__SERVERS__WEB__PORT": "2", "GREENIMI__NODES__1__HOST": "c", "GREENIMI__NODES__0__HOST": "b", "OTHER__X": "1"}
    assert load([app], env=env).get("") == {
        "servers": {"Web": {"port": "2"}},
        "nodes": [{"host": "b"}, {"host": "c"}],
        "environment": "development",
    }


def test_items_of_a_list_are_set_in_their_order_whatever_the_order_of_the_variables() -> None:
    env = {f"GREENIMI__LIST__{number}": str(number) for number in (10, 3, 2, 0, 1, 11, 5, 4, 9, 7, 8, 6)}
    assert load([], env=env).get("list") == [str(number) for number in range(12)]


def test_an_item_beyond_the_end_of_a_list_is_an_error(conf: Path) -> None:
    app = write(conf / "app.toml", "list = [1]\n")
    with pytest.raises(ConfigError, match=r"environment: '2' in list\.2 is not an item: the list has 1"):
        load([app], env={"GREENIMI__LIST__2": "x"})


def test_a_variable_without_a_path_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"environment: 'a\.\.b' is not a path"):
        load([], env={"GREENIMI__A____B": "x"})


def test_set_on_the_command_line() -> None:
    config = load([], env={}, argv=["--port", "1", "--set", "a.b=x=y", "--set=a.c="])
    assert config.get("a") == {"b": "x=y", "c": ""}
    for argv in (["--set"], ["--set", "a"], ["--set", "=1"]):
        with pytest.raises(ConfigError, match="expected --set path=value"):
            load([], env={}, argv=argv)


def test_text_of_the_environment_becomes_the_declared_type() -> None:
    env = {"GREENIMI__CACHE__SIZE": "5", "GREENIMI__CACHE__TTL": "1.5", "GREENIMI__CACHE__TAGS": "a, b", "GREENIMI__CACHE__DRIVER": "7"}
    assert load([], env=env).settings("cache", CacheSettings) == CacheSettings("7", 1.5, 5, ("a", "b"))


def test_merge_below_a_path_and_remember_who_won() -> None:
    tree = Tree()
    tree.merge({"a": 1, "b": {"c": 1, "d": 1}}, Source("one"))
    tree.merge({"c": 2}, Source("two", at=("b",)))
    tree.merge({"x": 3}, Source("three", at=("a", "deep")))
    assert tree.data == {"a": {"deep": {"x": 3}}, "b": {"c": 2, "d": 1}}
    assert [tree.place(split(path)) for path in ("a.deep.x", "b.c", "b.d", "b.c.more", "none")] == ["three", "two", "one", "two", ""]


def test_a_number_is_a_key_where_there_is_a_table() -> None:
    tree = Tree()
    tree.merge({"a": {"x": 1}}, Source("one"))
    tree.put(("a", "0"), 2, Source("two"))
    assert tree.data == {"a": {"x": 1, "0": 2}}


def test_a_value_in_the_way_of_a_path_makes_room() -> None:
    tree = Tree()
    tree.merge({"a": 1}, Source("one"))
    tree.put(("a", "b"), 2, Source("two"))
    assert tree.data == {"a": {"b": 2}}
