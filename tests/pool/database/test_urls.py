"""Addresses of databases."""

from __future__ import annotations

import pytest

from greenimi.errors import ConfigError
from greenimi.pool.database.settings import DatabaseSettings
from greenimi.pool.database.urls import Address, addresses, driver_of, nodes, replica_addresses
from greenimi.pool.settings import PoolSettings


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("mysql://ann:p%40ss@db1:3307/shop", Address("db1", 3307, "", "ann", "p@ss", "shop")),
        ("mysql://db1", Address("db1", 3306, "", "me", "mine", "orders")),
        ("mariadb://[::1]/shop", Address("::1", 3306, "", "me", "mine", "shop")),
        ("mysqlclient:///shop?socket=/run/mysql.sock", Address("", 3306, "/run/mysql.sock", "me", "mine", "shop")),
        ("postgresql://db1/shop?weight=3", Address("db1", 5432, "", "me", "mine", "shop", 3)),
        ("sqlite:///data/shop.db", Address(database="data/shop.db")),
        ("sqlite:////var/shop.db", Address(database="/var/shop.db")),
        ("sqlite://", Address(database=":memory:")),
        ("sqlite:///:memory:", Address(database=":memory:")),
    ],
)
def test_urls(url: str, found: Address) -> None:
    assert addresses(DatabaseSettings(url=url, user="me", password="mine", database="orders")) == [found]


def test_single_keys() -> None:
    settings = DatabaseSettings(driver="mysql", host="db1", user="ann", password="secret", database="shop")
    assert addresses(settings) == [Address("db1", 3306, "", "ann", "secret", "shop")]
    assert addresses(DatabaseSettings(driver="mysql", socket="/run/x"))[0].name == "/run/x"
    assert addresses(DatabaseSettings(driver="sqlite", database="shop.db"))[0].name == "shop.db"


def test_several_of_equal_rank() -> None:
    settings = DatabaseSettings(urls=["mysql://db1/shop", "mysql://db2/shop?weight=2"])
    assert [(node.name, node.weight) for node in nodes(addresses(settings), PoolSettings())] == [("db1:3306", 1), ("db2:3306", 2)]


def test_replicas_are_as_the_primary_in_what_they_do_not_say() -> None:
    settings = DatabaseSettings(url="mysql://ann:secret@db1:3307/shop", replicas=["mysql://db2", "mysql://bob@db3:3308/copy"])
    assert replica_addresses(settings) == [
        Address("db2", 3307, "", "ann", "secret", "shop"),
        Address("db3", 3308, "", "bob", "secret", "copy"),
    ]


def test_passwords_do_not_show() -> None:
    settings = DatabaseSettings(url="mysql://ann:secret@db1/shop", password="secret")
    assert "secret" not in repr(addresses(settings))
    assert "secret" not in repr(nodes(addresses(settings), PoolSettings()))


def test_drivers() -> None:
    assert driver_of(DatabaseSettings(url="mysql+mysqlclient://db1"), "database.x") == "mysqlclient"
    assert driver_of(DatabaseSettings(url="mysql://db1", driver="mysqlclient"), "database.x") == "mysqlclient"
    assert driver_of(DatabaseSettings(url="oracle://db1"), "database.x") == "oracle"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (DatabaseSettings(), "which kind of database"),
        (DatabaseSettings(urls=["mysql://a", "postgres://b"]), "different kinds"),
        (DatabaseSettings(url="mysql://me:secret@a:port/b"), r"database\.url: its port"),
        (DatabaseSettings(url="mysql://me:sec#ret@a/b"), r"database\.url: its port"),
        (DatabaseSettings(url="mysql://me:x?secret@a/b"), "question mark"),
        (DatabaseSettings(url="mysql://me:secret@a?charset=latin1"), "unknown option charset"),
        (DatabaseSettings(url="mysql://me:secret@a?weight=many"), "its weight"),
        (DatabaseSettings(url="mysql://me:secret@a?weight=-1"), "below 0"),
    ],
)
def test_what_cannot_be_read(settings: DatabaseSettings, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as refused:
        addresses(settings)
    assert "secret" not in str(refused.value)


def test_which_are_on_this_machine() -> None:
    assert Address("127.0.0.1").is_local
    assert Address(socket="/run/x").is_local
    assert not Address("db1").is_local
