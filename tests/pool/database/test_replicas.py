"""Which server answers: the primary or a replica."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from greenimi import green
from greenimi.container import Container
from greenimi.container.context import Scope
from greenimi.pool.database.mysql import MySQL
from greenimi.pool.database.settings import ReadSettings
from greenimi.pool.settings import PoolSettings
from greenimi.testing.services.mariadb import MariaDB, MariaDBReplica
from greenimi.testing.support import wait_until
from tests.pool.database.conftest import MakeMySQL

WHO = "SELECT @@global.server_id"


@pytest.fixture
def ids(mariadb: MariaDB, mariadb_replica: MariaDBReplica) -> tuple[int, int]:
    return mariadb.server_id, mariadb_replica.server_id


@pytest.fixture
def mysql(make_mysql: MakeMySQL, mysql_url: str, mariadb_replica: MariaDBReplica) -> Iterator[MySQL]:
    """A database with a table on a primary and a replica, at which nobody looks how far it is behind."""
    found = with_replica(make_mysql, mysql_url, mariadb_replica, ReadSettings(check=0.0, sticky=30.0, primary_functions=["next_number"]))
    with Scope(Container("setup")):
        found.execute("CREATE TABLE things (id INT PRIMARY KEY AUTO_INCREMENT)")
        found.execute("CREATE FUNCTION next_number() RETURNS INT NOT DETERMINISTIC NO SQL RETURN @@server_id")
    mariadb_replica.catch_up()
    yield found
    found.stop()


def with_replica(make_mysql: MakeMySQL, url: str, replica: MariaDBReplica, reads: ReadSettings, **changed: Any) -> MySQL:
    return make_mysql(replicas=[f"mysql://{replica.host}:{replica.port}"], reads=reads, **changed)


def test_plain_reads_go_to_a_replica(mysql: MySQL, ids: tuple[int, int]) -> None:
    primary, replica = ids
    assert mysql.value(WHO) == replica
    assert [row["@@global.server_id"] for row in mysql.each(WHO)] == [replica]
    for sql in (f"{WHO} FOR UPDATE", f"{WHO} LOCK IN SHARE MODE", "SELECT next_number()", f"{WHO} FROM (SELECT IS_FREE_LOCK('x')) locked"):
        assert mysql.value(sql) == primary, sql
    assert mysql.value("SELECT id FROM things") is None


def test_what_holds_a_connection_reads_from_the_primary(mysql: MySQL, ids: tuple[int, int]) -> None:
    primary, replica = ids
    with mysql.hold():
        assert mysql.value(WHO) == primary
    assert mysql.value(WHO) == replica


def test_use_primary(mysql: MySQL, ids: tuple[int, int]) -> None:
    primary, replica = ids
    with mysql.use_primary():
        assert mysql.value(WHO) == primary
        with mysql.use_primary():
            assert mysql.value(WHO) == primary
        assert green.spawn(mysql.value, WHO).get() == primary
    assert mysql.value(WHO) == replica


def test_a_message_that_wrote_reads_from_the_primary(mysql: MySQL, ids: tuple[int, int]) -> None:
    primary, replica = ids
    with Scope(Container("writer")):
        assert mysql.value(WHO) == replica
        mysql.execute("INSERT INTO things VALUES ()")
        assert mysql.value(WHO) == primary
        assert mysql.column("SELECT id FROM things") == [1]
        assert green.spawn(mysql.value, WHO).get() == primary
    with Scope(Container("other")):
        assert mysql.value(WHO) == replica


def test_a_transaction_that_wrote_counts_and_one_that_read_does_not(mysql: MySQL, ids: tuple[int, int]) -> None:
    primary, replica = ids
    with Scope(Container("reader")):
        with mysql.hold():
            for sql in ("BEGIN", "SELECT 1", "COMMIT"):
                mysql.execute(sql)
        assert mysql.value(WHO) == replica
    with Scope(Container("writer")):
        with mysql.hold():
            for sql in ("BEGIN", "INSERT INTO things VALUES ()", "COMMIT"):
                mysql.execute(sql)
        assert mysql.value(WHO) == primary


def test_code_outside_of_messages_that_wrote_reads_from_the_primary(mysql: MySQL, ids: tuple[int, int]) -> None:
    primary, replica = ids
    assert mysql.value(WHO) == replica
    mysql.execute("INSERT INTO things VALUES ()")
    assert mysql.value(WHO) == primary


def test_the_window_ends(make_mysql: MakeMySQL, mysql_url: str, mariadb_replica: MariaDBReplica) -> None:
    database = with_replica(make_mysql, mysql_url, mariadb_replica, ReadSettings(check=0.0, sticky=0.05))
    database.execute("DO 1")
    assert database.value(WHO) == mariadb_replica.primary.server_id
    assert wait_until(lambda: database.value(WHO) == mariadb_replica.server_id)


def test_without_a_replica_that_is_there_the_primary_answers(make_mysql: MakeMySQL, mariadb: MariaDB, free_port: Any) -> None:
    for check in (0.0, 0.05):
        reads = ReadSettings(check=check, pool=PoolSettings(min=0))
        database = make_mysql(replicas=[f"mysql://127.0.0.1:{free_port()}"], reads=reads)
        database.start()
        assert database.value(WHO) == mariadb.server_id
        assert database.value(WHO) == mariadb.server_id
        assert next(database.each(WHO)) == {"@@global.server_id": mariadb.server_id}
        green.sleep(0)


def test_a_read_whose_replica_is_cut_goes_to_the_primary(mysql: MySQL, mariadb_replica: MariaDBReplica, ids: tuple[int, int]) -> None:
    primary, replica = ids
    reader = green.spawn(mysql.row, f"{WHO} AS id, SLEEP(IF(@@global.server_id = {replica}, 50, 0)) AS slept")
    sql = "SELECT id FROM information_schema.processlist WHERE info LIKE '%%AS slept' AND id <> CONNECTION_ID()"
    [found] = wait_until(lambda: mariadb_replica.sql(sql))
    mariadb_replica.sql("KILL %s", found["id"])
    assert reader.get() == {"id": primary, "slept": 0}
