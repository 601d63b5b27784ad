"""MariaDB and a replica of it."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pymysql
import pytest

from greenimi.testing.services.fixtures import StartService
from greenimi.testing.services.mariadb import MariaDB, MariaDBReplica
from greenimi.testing.services.processes import wait_for


def client(url: str) -> pymysql.Connection:
    """A connection as an application has it."""
    parts = urlsplit(url)
    assert parts.scheme == "mysql"
    return pymysql.connect(
        host=parts.hostname,
        port=parts.port,
        user=parts.username,
        password=unquote(parts.password or ""),
        database=parts.path[1:],
        autocommit=True,
    )


def test_a_fresh_schema_for_each_test(mariadb: MariaDB, mysql_url: str) -> None:
    with client(mysql_url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (a INT)")
        cursor.execute("SHOW TABLES")
        assert len(cursor.fetchall()) == 1
    with client(mariadb.url) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW TABLES")
        assert ("t",) not in cursor.fetchall()
    assert mariadb.conf == ("database", {"url": mariadb.url})


def test_schemas_are_dropped(mariadb: MariaDB) -> None:
    with mariadb.schema() as name:
        assert mariadb.sql("SELECT schema_name AS s FROM information_schema.schemata WHERE schema_name = %s", name) == [{"s": name}]
    assert mariadb.sql("SELECT schema_name AS s FROM information_schema.schemata WHERE schema_name = %s", name) == []


def test_what_was_committed_survives_a_kill(start_service: StartService) -> None:
    mariadb = start_service("mariadb", password="p'ss @/", options={"wait-timeout": "7"})
    with client(mariadb.url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@wait_timeout")
        assert cursor.fetchall() == ((7,),)
        cursor.execute("CREATE TABLE t (a INT)")
        cursor.execute("INSERT INTO t VALUES (1), (2)")
        mariadb.kill()
        with pytest.raises(pymysql.OperationalError):
            cursor.execute("SELECT 1")
    mariadb.restart()
    assert mariadb.sql("SELECT SUM(a) AS a FROM t") == [{"a": 3}]


def test_clients_obey_read_only(start_service: StartService) -> None:
    mariadb = start_service("mariadb")
    mariadb.sql("CREATE TABLE t (a INT)")
    with client(mariadb.url) as connection, connection.cursor() as cursor:
        mariadb.sql("SET GLOBAL read_only = 1")
        with pytest.raises(pymysql.OperationalError, match="read-only"):
            cursor.execute("INSERT INTO t VALUES (1)")
        mariadb.sql("SET GLOBAL read_only = 0")
        assert cursor.execute("INSERT INTO t VALUES (1)") == 1


def test_a_replica_follows_late_on_demand(mariadb: MariaDB, mariadb_replica: MariaDBReplica, mysql_url: str) -> None:
    assert mariadb_replica.primary is mariadb
    assert mariadb_replica.conf == ("database", {"url": mariadb.url, "replicas": [mariadb_replica.url]})
    name = urlsplit(mysql_url).path[1:]
    mariadb.sql(f"CREATE TABLE {name}.t (a INT)")
    mariadb.sql(f"INSERT INTO {name}.t VALUES (1)")
    mariadb_replica.catch_up()
    with client(mariadb_replica.url) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT a FROM {name}.t")
        assert cursor.fetchall() == ((1,),)
        with pytest.raises(pymysql.OperationalError, match="read-only"):
            cursor.execute(f"INSERT INTO {name}.t VALUES (2)")
    mariadb_replica.follow(delay=3600)
    mariadb.sql(f"INSERT INTO {name}.t VALUES (2)")
    [wanted] = mariadb.sql("SELECT @@gtid_binlog_pos AS pos")
    assert wait_for(lambda: mariadb_replica.sql("SHOW SLAVE STATUS")[0]["Gtid_IO_Pos"] == wanted["pos"], 20)
    assert mariadb_replica.sql(f"SELECT COUNT(*) AS n FROM {name}.t") == [{"n": 1}]
    mariadb_replica.follow()
    mariadb_replica.catch_up()
    assert mariadb_replica.sql(f"SELECT COUNT(*) AS n FROM {name}.t") == [{"n": 2}]


def test_a_replica_goes_on_after_both_were_killed(start_service: StartService) -> None:
    replica = start_service("mariadb_replica")
    primary = replica.primary
    primary.sql("CREATE TABLE t (a INT)")
    replica.catch_up()
    replica.kill()
    primary.kill()
    primary.start()
    primary.sql("INSERT INTO t VALUES (1)")
    replica.start()
    replica.catch_up()
    assert replica.sql("SELECT a FROM t") == [{"a": 1}]
