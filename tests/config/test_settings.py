from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from greenimi.config import Config, load, option
from greenimi.config.settings import bind
from greenimi.errors import ConfigError


@dataclass(frozen=True)
class CacheSettings:
    driver: str = option("memory", "Which cache.")
    ttl: float = option(60.0, "Seconds.")
    size: int = 100
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShopSettings:
    name: str
    cache: CacheSettings = field(default_factory=CacheSettings)
    servers: dict[str, CacheSettings] = field(default_factory=dict)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    folder = tmp_path / "conf"
    folder.mkdir()
    return folder


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_an_absent_table_gives_the_defaults() -> None:
    assert Config().settings("cache", CacheSettings) == CacheSettings()


def test_tables_within_and_tables_by_name() -> None:
    config = Config({"shop": {"name": "x", "cache": {"size": 1}, "servers": {"web": {"size": 2}}}})
    assert config.settings("shop", ShopSettings) == ShopSettings("x", CacheSettings(size=1), {"web": CacheSettings(size=2)})
    assert config.settings("shop.servers", dict[str, CacheSettings]) == {"web": CacheSettings(size=2)}


def test_problems_name_place_key_and_suggestion(conf: Path) -> None:
    text = """
[cache.default]  # [cache.other]
drvier = "memory"
size = "large"

[cache.default.more]
"""
    app = write(conf / "app.toml", text)
    config = load([app], env={"GREENIMI__CACHE__DEFAULT__TTL": "long"})
    with pytest.raises(ConfigError) as caught:
        config.settings("cache.default", CacheSettings)
    assert sorted(str(caught.value).split("\n")) == [
        f"{app}:3: unknown key drvier in [cache.default]; did you mean driver?",
        f"{app}:4: cache.default.size: expected int, got str 'large'",
        f"{app}:6: unknown key more in [cache.default]",
        "environment: cache.default.ttl: expected float, got str 'long'",
    ]


def test_a_missing_key_is_named_at_its_table(conf: Path) -> None:
    app = write(conf / "app.toml", "\n[shop]\ncache = { size = 1 }\n")
    with pytest.raises(ConfigError, match=r"app.toml:2: shop.name: is missing"):
        load([app], env={}).settings("shop", ShopSettings)
    with pytest.raises(ConfigError, match=r"^shop.name: is missing"):
        Config().settings("shop", ShopSettings)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[[shop.list]]\nname = "a"\n[[shop.list]]\nname = 1\n', 4),
        ('[[shop.list]]\nname = "a"\n[[shop.list]]\n[shop.list.more]\n\n[x]\nname = 1\n', 3),
        ("shop.list = [\n { name = 1 } ]", 1),
        ('[ "shop" ]\n# list = 1\n"list" = 1\n', 3),
    ],
)
def test_the_line_is_found_in_every_spelling(conf: Path, text: str, line: int) -> None:
    @dataclass(frozen=True)
    class Item:
        name: str
        more: Any = None

    @dataclass(frozen=True)
    class Settings:
        list: tuple[Item, ...]

    Settings.__annotations__["list"] = tuple[Item, ...]
    app = write(conf / "app.toml", text)
    with pytest.raises(ConfigError, match=rf"app.toml:{line}: shop.list"):
        load([app], env={}).settings("shop", Settings)


def test_settings_must_be_frozen() -> None:
    @dataclass
    class Loose:
        a: int = 1

    with pytest.raises(TypeError, match="Loose must be a frozen dataclass"):
        Config().settings("loose", Loose)


def test_option_copies_its_default_for_each_object() -> None:
    @dataclass(frozen=True)
    class Settings:
        names: list[str] = option([], "Names.")

    assert Settings().names is not Settings().names


def test_what_was_made_of_a_kind_is_used_again() -> None:
    known: dict[Any, Any] = {}
    first = bind(CacheSettings, {"size": 3}, "cache", lambda path: "", known)
    (made,) = known.values()
    assert bind(CacheSettings, {"size": 4}, "other", lambda path: "", known).size == 4
    assert (first.size, list(known.values())) == (3, [made])
