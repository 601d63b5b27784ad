"""What is MySQL's own, by both drivers: connections that are cut, kills, timeouts, encryption, values."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from uuid import UUID

import gevent
import peewee
import pytest
from pymysql.constants import FIELD_TYPE

from greenimi import green
from greenimi.pool import Node
from greenimi.pool.database.mysql import MySQL, ends
from greenimi.pool.database.settings import TlsSettings
from greenimi.pool.settings import PoolSettings
from greenimi.testing.services.fixtures import StartService
from greenimi.testing.services.mariadb import MariaDB, MariaDBReplica
from greenimi.testing.support import wait_until
from tests.certificates import certificates
from tests.pool.database.conftest import DRIVERS, MakeMySQL

CONNECTION = "SELECT CONNECTION_ID()"


def cut(server: MariaDB, connection: int) -> None:
    """The server ends a connection, which is over when this returns."""
    server.sql("KILL %s", connection)
    assert wait_until(lambda: not server.sql("SELECT 1 FROM information_schema.processlist WHERE id = %s", connection))


# -- connections that are cut ----------------------------------------------------------------------------------------


def test_an_idle_connection_that_the_server_cut_is_replaced(mysql: MySQL, mariadb: MariaDB) -> None:
    for statement in ("INSERT INTO things (number) VALUES (50)", "UPDATE things SET number = number + 1 WHERE number = 50"):
        cut(mariadb, mysql.value(CONNECTION))
        assert mysql.execute(statement).affected == 1
    assert mysql.column("SELECT number FROM things WHERE number > 3") == [51]


def test_a_read_whose_connection_is_cut_is_repeated(mysql: MySQL, mariadb: MariaDB) -> None:
    mysql.execute("UPDATE things SET number = 50 WHERE id = 1")
    found = green.spawn(mysql.rows, "SELECT id, SLEEP(number) AS slept FROM things WHERE id = 1")
    reading = running(mariadb, "SELECT id, SLEEP")
    mysql.execute("UPDATE things SET number = 0 WHERE id = 1")  # for the second time
    cut(mariadb, reading)
    assert found.get() == [{"id": 1, "slept": 0}]


def test_a_write_whose_connection_is_cut_is_not_repeated(mysql: MySQL, mariadb: MariaDB) -> None:
    found = green.spawn(mysql.execute, "INSERT INTO things (number) SELECT 60 + SLEEP(50)")
    cut(mariadb, running(mariadb, "INSERT INTO things"))
    with pytest.raises(peewee.OperationalError) as lost:
        found.get()
    assert lost.value.args[0] in (1317, 1927, 2013)
    assert mysql.value("SELECT COUNT(*) FROM things WHERE number >= 60") == 0


def test_a_transaction_whose_connection_is_cut_fails(mysql: MySQL, mariadb: MariaDB) -> None:
    with mysql.hold():
        mysql.execute("BEGIN")
        cut(mariadb, mysql.value(CONNECTION))
        with pytest.raises(peewee.OperationalError):
            mysql.value("SELECT 1")
    assert mysql.value("SELECT 1") == 1


def running(server: MariaDB, start: str) -> int:
    """The connection at which a statement runs."""
    sql = "SELECT id FROM information_schema.processlist WHERE info LIKE CONCAT(%s, '%%')"
    assert wait_until(lambda: bool(server.sql(sql, start)))
    return int(server.sql(sql, start)[0]["id"])


def test_a_server_that_is_silent_for_too_long(make_mysql: MakeMySQL) -> None:
    for driver in DRIVERS:
        database = make_mysql(driver=driver, read_timeout=0.1)
        with pytest.raises(peewee.OperationalError) as late:
            database.value("SELECT SLEEP(30)")
        assert late.value.args[0] == 2013
        assert database.primary.statistics().connects == 1  # a read is not repeated then
        assert database.value("SELECT 1") == 1


def test_a_server_that_restarts(make_mysql: MakeMySQL, start_service: StartService) -> None:
    server = start_service("mariadb")
    databases = [make_mysql(server.url, driver=driver) for driver in DRIVERS]
    for database in databases:
        database.execute("CREATE TABLE IF NOT EXISTS things (id INT)")
    server.restart()
    for database in databases:
        assert database.execute("INSERT INTO things VALUES (1)").affected == 1
    server.kill()
    for database in databases:
        with pytest.raises(peewee.OperationalError):
            database.value("SELECT 1")
    server.start()
    for database in databases:
        assert database.value("SELECT COUNT(*) FROM things") == 2


def test_a_primary_that_may_not_be_written_to_is_left(make_mysql: MakeMySQL, mariadb_replica: MariaDBReplica) -> None:
    for driver in DRIVERS:
        database = make_mysql(mariadb_replica.url, driver=driver)
        with pytest.raises(peewee.OperationalError, match="read-only"):
            database.execute("CREATE TABLE things (id INT)")
        assert "read-only" in database.primary.nodes[0].problem
        assert database.primary.size == 0


def test_which_errors_end_a_connection() -> None:
    node = Node("db1")
    assert ends(peewee.OperationalError(1927, "Connection was killed"), node)
    assert not ends(peewee.OperationalError(1290, "The MariaDB server is running with the --secure-file-priv option"), node)
    assert not ends(ValueError(), node)
    assert node.available


# -- kills -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", DRIVERS)
def test_kills_and_timeouts_at_any_point_give_nobody_the_answer_of_another(make_mysql: MakeMySQL, driver: str) -> None:
    database = make_mysql(driver=driver, pool=PoolSettings(max=4, min=0, wait=30.0))
    database.execute("CREATE TABLE things (number INT)")
    chance = random.Random(7)
    ended = {"whole": 0, "killed": 0}
    long = "x" * 30_000

    def use(number: int) -> None:
        kind = number % 5
        if kind == 0:
            assert database.row("SELECT ? AS number, ? AS text", [number, long]) == {"number": number, "text": long}
        elif kind == 1:
            assert database.column("SELECT seq + ? FROM seq_1_to_1500", [number])[1499] == number + 1500
        elif kind == 2:
            for place, row in enumerate(database.each("SELECT seq + ? AS sum FROM seq_1_to_300", [number], size=50), 1):
                assert row["sum"] == number + place
        elif kind == 3:
            with database.hold():
                database.execute("SET @number = ?", [number])
                database.execute("INSERT INTO things VALUES (?)", [number])
                assert database.value("SELECT @number") == number
        else:
            assert database.value("SELECT ? + SLEEP(0.0003)", [number]) == number

    def work(first: int) -> None:
        for number in range(first, first + 40):
            try:
                with gevent.Timeout(chance.random() * 0.01 if chance.random() < 0.6 else 30.0):
                    use(number)
                ended["whole"] += 1
            except gevent.Timeout:
                ended["killed"] += 1

    gevent.joinall([green.spawn(work, worker * 1000) for worker in range(10)], raise_error=True)
    assert ended["whole"] + ended["killed"] == 400
    assert min(ended.values()) > 20
    statistics = database.primary.statistics()
    assert (statistics.busy, statistics.waiting, statistics.lost) == (0, 0, 0)
    assert statistics.size <= 4


class Late(Exception):
    """Thrown by a timer of the application."""


@pytest.mark.parametrize("sql", ["SELECT SLEEP(2)", "DO SLEEP(2)"])
@pytest.mark.parametrize("error", [Late, TimeoutError])
def test_a_timeout_that_is_an_exception_reaches_who_set_it(mysql: MySQL, sql: str, error: type[Exception]) -> None:
    assert mysql.value("SELECT 4") == 4
    for statement in (mysql.execute, lambda sql: list(mysql.each(sql))):
        with pytest.raises(error), gevent.Timeout(0.05, error):
            statement(sql)
        with pytest.raises(error), gevent.Timeout(0.05, error), mysql.atomic():
            statement(sql)
        assert mysql.value("SELECT 5") == 5
    with pytest.raises(TimeoutError), green.timeout(0.05):
        mysql.execute(sql)
    assert not mysql.primary.nodes[0].problem


def test_a_timeout_in_the_middle_of_sending_ends_the_connection(mysql: MySQL, mariadb: MariaDB) -> None:
    mysql.execute("CREATE TABLE texts (text LONGTEXT)")
    mariadb.pause()
    try:
        with pytest.raises(Late), gevent.Timeout(0.2, Late):
            mysql.execute("INSERT INTO texts VALUES (?)", ["x" * 12_000_000])
    finally:
        mariadb.resume()
    assert mysql.value("SELECT 5") == 5
    assert mysql.value("SELECT COUNT(*) FROM texts") == 0


def test_rows_that_cannot_be_read_end_the_connection(make_mysql: MakeMySQL, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(text: str) -> date:
        raise ArithmeticError(text)

    database = make_mysql(pool=PoolSettings(max=1, min=0))
    assert database.value("SELECT 1") == 1
    with database.primary.use() as session:
        monkeypatch.setitem(session.raw.decoders, FIELD_TYPE.DATE, read)
    with pytest.raises(ArithmeticError):
        database.rows("SELECT CURRENT_DATE FROM seq_1_to_300")
    assert database.value("SELECT 5") == 5
    assert database.primary.statistics().closed == 1


@pytest.mark.parametrize("sql", ["SELECT SLEEP(2)", "DO SLEEP(2)"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_connection_that_its_pool_closes_wakes_who_waits(
    make_mysql: MakeMySQL, driver: str, sql: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = make_mysql(driver=driver, pool=PoolSettings(max=1, min=0, close_after=0.1))
    with pytest.raises(peewee.OperationalError, match="Lost connection") as caught, gevent.Timeout(1.0, Late):
        database.execute(sql)
    assert any("it was held for" in note for note in caught.value.__notes__)
    assert "could not be closed" not in caplog.text
    assert database.value("SELECT 5") == 5


def test_values_that_cannot_be_bound_leave_the_connection(mysql: MySQL) -> None:
    connection = mysql.value(CONNECTION)
    for value in ({"a": 1}, "\ud800", "\udcff", float("nan")):
        with pytest.raises((TypeError, UnicodeEncodeError, peewee.ProgrammingError)):
            mysql.value("SELECT ?", [value])
    assert mysql.value("SELECT ? = X'01FF'", [memoryview(b"\x01\xff")]) == 1
    assert mysql.value(CONNECTION) == connection


@pytest.mark.parametrize("value", ["\\", "\\' OR 1 -- ", b"\\' OR 1 -- ", ["\\' OR 1 -- "], [b"\\'"]], ids=repr)
@pytest.mark.parametrize("driver", DRIVERS)
def test_binds_where_backslashes_are_plain_letters(make_mysql: MakeMySQL, driver: str, value: Any) -> None:
    database = make_mysql(driver=driver, init=["SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'"])
    wanted = value[0] if isinstance(value, list) else value
    assert database.value("SELECT HEX(?)", [value]) == (wanted.encode() if isinstance(wanted, str) else wanted).hex().upper()


# -- values ----------------------------------------------------------------------------------------------------------

COLUMNS = {
    "TINYINT": -5,
    "BIGINT UNSIGNED": 2**64 - 1,
    "FLOAT": 0.5,
    "DOUBLE": -1.5e300,
    "DECIMAL(20, 4)": Decimal("-1234567.8900"),
    "BIT(10)": b"\x02\x01",
    "YEAR": 2024,
    "DATE": date(2024, 2, 29),
    "DATETIME(6)": datetime(2024, 2, 29, 23, 59, 59, 999999),  # noqa: DTZ001 - as the server has it
    "TIMESTAMP": datetime(2024, 2, 29, 23, 59, 59),  # noqa: DTZ001
    "TIME(3)": timedelta(hours=-838, minutes=-59, seconds=-58, milliseconds=-5),
    "VARCHAR(10) COLLATE utf8mb4_bin": "\N{GRINNING FACE}\\'\"",
    "TEXT": "",
    "VARBINARY(10)": b"\xff\x00'\\",
    "BLOB": b"",
    "JSON": '{"a": [1, null, "\N{SNOWMAN}"]}',
    "ENUM('a', 'b')": "b",
    "SET('a', 'b')": "a,b",
}


def test_values_come_back_as_they_went(mysql: MySQL) -> None:
    names = [f"c{number}" for number in range(len(COLUMNS))]
    mysql.execute(f"CREATE TABLE kinds ({', '.join(f'{name} {kind} NULL' for name, kind in zip(names, COLUMNS, strict=True))})")
    places = ", ".join("?" for _ in names)
    values = list(COLUMNS.values())
    mysql.execute(f"INSERT INTO kinds VALUES ({places})", values)
    mysql.execute(f"INSERT INTO kinds VALUES ({places})", [None] * len(names))
    first, second = (list(row.values()) for row in mysql.rows("SELECT * FROM kinds"))
    assert first == values
    assert [type(value) for value in first] == [type(value) for value in values]
    assert second == [None] * len(names)


@pytest.mark.parametrize(
    ("bind", "found"),
    [
        (True, 1),
        (None, None),
        (1e-7, 1e-7),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (bytearray(b"\x00'"), b"\x00'"),
        (timedelta(days=-1, seconds=5), timedelta(days=-1, seconds=5)),
    ],
)
def test_binds_of_many_kinds(mysql: MySQL, bind: Any, found: Any) -> None:
    sql = "SELECT CAST(? AS TIME)" if isinstance(bind, timedelta) else "SELECT ?"
    assert mysql.value(sql, [bind]) == found


def test_lists_stand_for_several_values(mysql: MySQL) -> None:
    assert mysql.column("SELECT name FROM things WHERE id IN :ids AND name IN :names", {"ids": [1, 2], "names": ("two", "x'")}) == ["two"]


def test_zero_dates_are_text(mysql: MySQL) -> None:
    assert mysql.value("SELECT CAST('0000-00-00' AS DATETIME)") == "0000-00-00 00:00:00"


def test_infinity_is_refused_before_it_is_sent(mysql: MySQL) -> None:
    with pytest.raises(peewee.ProgrammingError):
        mysql.value("SELECT ?", [float("inf")])
    assert mysql.value("SELECT 1") == 1
    assert mysql.primary.statistics().connects == 1


def test_further_results_of_a_procedure_are_dropped(mysql: MySQL) -> None:
    mysql.execute("CREATE PROCEDURE several() BEGIN SELECT 1; SELECT 2; SELECT 3; END")
    mysql.execute("CREATE PROCEDURE begins() BEGIN START TRANSACTION; DELETE FROM things; SELECT 1; END")
    mine = mysql.value(CONNECTION)
    assert mysql.value("CALL several()") == 1
    assert mysql.value("CALL begins()") == 1
    assert mysql.value("SELECT COUNT(*) FROM things") == 3
    assert mysql.value(CONNECTION) == mine


def test_one_statement_at_a_time(mysql: MySQL) -> None:
    with pytest.raises(peewee.ProgrammingError):
        mysql.execute("SELECT 1; DELETE FROM things")
    assert mysql.value("SELECT COUNT(*) FROM things") == 3


# -- connecting ------------------------------------------------------------------------------------------------------


def test_statements_that_connections_begin_with(make_mysql: MakeMySQL) -> None:
    for driver in DRIVERS:
        database = make_mysql(driver=driver, init=["SET SESSION time_zone = '+03:00'", "SET @mine = 4"])
        assert (database.value("SELECT @@time_zone"), database.value("SELECT @mine")) == ("+03:00", 4)
        with database.hold():
            database.execute("SET @mine = 5")
        assert database.value("SELECT @mine") == 4
        wrong = make_mysql(driver=driver, init=["SET nonsense"])
        with pytest.raises(peewee.ProgrammingError):
            wrong.value("SELECT 1")


def test_unix_sockets(make_mysql: MakeMySQL, mariadb: MariaDB) -> None:
    for driver in DRIVERS:
        database = make_mysql(f"mysql://{mariadb.user}:{mariadb.password}@/app?socket={mariadb.socket}", driver=driver)
        assert database.value("SELECT SUBSTRING_INDEX(USER(), '@', -1)") == "localhost"


def test_passwords_of_any_letters(make_mysql: MakeMySQL, mariadb: MariaDB) -> None:
    password = "p\N{GREEK SMALL LETTER PI}:/@ %41"
    mariadb.sql("CREATE OR REPLACE USER odd IDENTIFIED BY %s", password)
    for driver in DRIVERS:
        database = make_mysql(f"mysql://odd:{quote(password, safe='')}@{mariadb.host}:{mariadb.port}", driver=driver)
        assert database.value("SELECT CURRENT_USER()") == "odd@%"


def test_encrypted_connections(make_mysql: MakeMySQL, start_service: StartService) -> None:
    found = certificates()
    files = {"ssl-ca": found.file("ca.pem"), "ssl-cert": found.file("rsa.pem"), "ssl-key": found.file("rsa.key")}
    server = start_service("mariadb", options=files)
    url = server.url.replace("127.0.0.1", "localhost")
    for driver in DRIVERS:
        for tls in (TlsSettings(mode="required"), TlsSettings(mode="identity", ca=found.file("ca.pem"))):
            database = make_mysql(url, driver=driver, tls=tls)
            assert database.column("SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'")[0]
            assert len(database.column("SELECT seq FROM seq_1_to_5000")) == 5000
            assert len(list(database.each("SELECT seq FROM seq_1_to_5000"))) == 5000
            assert database.execute("DO 1").affected == 0
        stranger = make_mysql(url, driver=driver, tls=TlsSettings(mode="identity", ca=found.file("stranger.pem")))
        with pytest.raises(peewee.OperationalError):
            stranger.value("SELECT 1")
