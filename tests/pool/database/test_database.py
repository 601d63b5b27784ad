"""Statements, held connections and what peewee asks for, on a real server."""

from __future__ import annotations

from contextvars import copy_context
from typing import Any

import gevent
import peewee
import pytest

from greenimi import green
from greenimi.container import Container
from greenimi.container.context import Scope
from greenimi.pool import ConnectTimeout, PoolTimeout
from greenimi.pool.database import Result, StatementError
from greenimi.pool.database.database import Database, as_peewee
from greenimi.pool.database.mysql import MySQL
from greenimi.pool.settings import PoolSettings
from tests.pool.database.conftest import DRIVERS, MakeMySQL

CONNECTION = "SELECT CONNECTION_ID()"


def busy(database: Database) -> int:
    return database.primary.statistics().busy


def test_statements_of_each_shape(mysql: MySQL) -> None:
    assert mysql.rows("SELECT id, name FROM things WHERE id < ? ORDER BY id", [3]) == [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]
    assert mysql.row("SELECT name FROM things WHERE id = :id", {"id": 2}) == {"name": "two"}
    assert mysql.row("SELECT name FROM things WHERE id = %s", [9]) is None
    assert mysql.value("SELECT COUNT(*) FROM things") == 3
    assert mysql.value("SELECT id FROM things WHERE id = ?", (9,), default="none") == "none"
    assert mysql.column("SELECT name FROM things ORDER BY name") == ["one", "three", "two"]
    assert mysql.execute("INSERT INTO things (name) VALUES (?)", ["four"]) == Result(affected=1, last_id=4)
    assert mysql.execute("UPDATE things SET number = number + 1 WHERE number < ?", [3]) == Result(2, 0)
    assert busy(mysql) == 0


def test_percent_signs_are_themselves(mysql: MySQL) -> None:
    assert mysql.value("SELECT COUNT(*) FROM things WHERE name LIKE 't%'") == 2
    assert mysql.value("SELECT COUNT(*) FROM things WHERE name LIKE 't%' AND id > ?", [2]) == 1


def test_injection_stays_data(mysql: MySQL) -> None:
    for text in ("'; DROP TABLE things; --", "\\", "\\' OR 1=1 --", '"', "\0\n\r\x1a", "\N{SNOWMAN}\N{GRINNING FACE}", "%s ? :name"):
        assert mysql.value("SELECT ?", [text]) == text
        assert mysql.value("SELECT :text", {"text": text}) == text
    assert mysql.value("SELECT COUNT(*) FROM things") == 3


def test_each_streams_and_gives_back(mysql: MySQL) -> None:
    found = mysql.each("SELECT id FROM things ORDER BY id", size=2)
    assert next(found) == {"id": 1}
    assert busy(mysql) == 1
    assert [row["id"] for row in found] == [2, 3]
    assert busy(mysql) == 0
    assert mysql.value("SELECT COUNT(*) FROM things") == 3


def test_each_that_is_left_early_gives_back(mysql: MySQL) -> None:
    for row in mysql.each("SELECT a.id FROM things a, things b, things c"):
        assert row["id"]
        break
    green.sleep(0)
    assert busy(mysql) == 0
    assert mysql.value("SELECT 7") == 7


def test_each_within_hold_has_the_connection_alone(mysql: MySQL) -> None:
    with mysql.hold():
        found = mysql.each("SELECT id FROM things")
        next(found)
        with pytest.raises(StatementError, match="one by one"):
            mysql.value("SELECT 1")
        assert len(list(found)) == 2
        assert mysql.value("SELECT 1") == 1


def test_errors_are_those_of_peewee_with_a_note(mysql: MySQL) -> None:
    with pytest.raises(peewee.ProgrammingError) as missing:
        mysql.value("SELECT 1 FROM nowhere")
    assert missing.value.args[0] == 1146
    assert missing.value.__notes__ == [f"database shop at {mysql.primary.nodes[0].name}"]
    with pytest.raises(peewee.IntegrityError):
        mysql.execute("INSERT INTO things (id) VALUES (1)")
    with pytest.raises(peewee.OperationalError):
        mysql.value("SELECT nothing FROM things")
    assert busy(mysql) == 0


def test_errors_without_a_server(make_mysql: MakeMySQL, free_port: Any) -> None:
    for driver in DRIVERS:
        database = make_mysql(f"mysql://me:secret@127.0.0.1:{free_port()}/shop", driver=driver)
        with pytest.raises(peewee.OperationalError) as refused:
            database.value("SELECT 1")
        text = "".join([str(refused.value), *refused.value.__notes__])
        assert "database shop" in text
        assert "secret" not in text


def test_other_errors_stay_as_they_are() -> None:
    error = KeyError("name")
    assert as_peewee(error) is error
    own = peewee.IntegrityError("mine")
    assert as_peewee(own) is own


def test_statements_take_turns_on_few_connections(make_mysql: MakeMySQL) -> None:
    for driver in DRIVERS:
        database = make_mysql(driver=driver, pool=PoolSettings(max=3, min=0, wait=20.0))
        greenlets = [green.spawn(database.value, "SELECT ? + SLEEP(0.002)", [number]) for number in range(60)]
        gevent.joinall(greenlets, raise_error=True)
        assert [greenlet.value for greenlet in greenlets] == list(range(60))
        assert database.primary.statistics().size <= 3


def test_no_connection_in_time(make_mysql: MakeMySQL) -> None:
    database = make_mysql(pool=PoolSettings(max=1, min=0, wait=0.01))
    with database.hold(), pytest.raises(PoolTimeout, match=r"database\.shop"):
        green.spawn(database.value, "SELECT 1").get()


# -- hold ------------------------------------------------------------------------------------------------------------


def test_hold_is_one_connection_of_one_greenlet(mysql: MySQL) -> None:
    with mysql.hold():
        mine = mysql.value(CONNECTION)
        with mysql.hold():
            assert mysql.value(CONNECTION) == mine
        assert mysql.value(CONNECTION) == mine
        copied = copy_context()
        others = [green.spawn(mysql.value, CONNECTION), gevent.spawn(copied.run, mysql.value, CONNECTION)]
        assert all(other.get() != mine for other in others)
    assert busy(mysql) == 0


def test_hold_leaves_nothing_behind(mysql: MySQL) -> None:
    with mysql.hold():
        mine = mysql.value(CONNECTION)
        mysql.execute("SET @leftover = 5")
        mysql.execute("CREATE TEMPORARY TABLE leftover (id INT)")
        assert mysql.value("SELECT GET_LOCK('leftover', 0)") == 1
        mysql.execute("BEGIN")
        mysql.execute("DELETE FROM things")
    with mysql.hold():
        assert mysql.value(CONNECTION) == mine
        assert mysql.value("SELECT @leftover") is None
        assert mysql.value("SELECT IS_FREE_LOCK('leftover')") == 1
        with pytest.raises(peewee.ProgrammingError):
            mysql.value("SELECT * FROM leftover")
        assert mysql.value("SELECT COUNT(*) FROM things") == 3
        assert mysql.value("SELECT @@character_set_client") == "utf8mb4"
        assert mysql.value("SELECT @@autocommit") == 1


def test_a_hold_that_is_killed_closes_its_connection(mysql: MySQL) -> None:
    def work() -> None:
        with mysql.hold():
            mysql.execute("BEGIN")
            mysql.execute("DELETE FROM things")
            begun.set()
            green.sleep(60)

    begun = green.Event()
    worker = green.spawn(work)
    begun.wait()
    worker.kill()
    assert busy(mysql) == 0
    assert mysql.value("SELECT COUNT(*) FROM things") == 3


@pytest.mark.parametrize("sql", ["SET @leftover = 5", "USE information_schema", "BEGIN", "SELECT GET_LOCK('leftover', 0)"])
def test_what_stays_with_a_connection_needs_one(mysql: MySQL, sql: str) -> None:
    with pytest.raises(StatementError, match="holds none"):
        mysql.execute(sql)


def test_what_a_transaction_leaves_at_its_connection_is_not_handed_on(mysql: MySQL) -> None:
    with mysql.atomic():
        mysql.execute("CREATE TEMPORARY TABLE leftover (id INT)")
        mysql.execute("SET @leftover = 5")
    assert mysql.value("SELECT @leftover") is None
    with pytest.raises(peewee.ProgrammingError, match="leftover"):
        mysql.rows("SELECT * FROM leftover")


def test_autocommit_that_was_switched_off_is_not_handed_on(mysql: MySQL) -> None:
    with mysql.primary.use() as session:
        session.run("SET autocommit = 0")
    assert mysql.value("SELECT @@autocommit") == 1


def test_what_a_message_leaves_open_is_rolled_back_and_told(mysql: MySQL, caplog: pytest.LogCaptureFixture) -> None:
    with Scope(Container("test")):
        mysql.connect()
        mysql.execute("BEGIN")
        mysql.execute("DELETE FROM things")
    assert mysql.is_closed()
    assert busy(mysql) == 0
    assert mysql.value("SELECT COUNT(*) FROM things") == 3
    [record] = [record for record in caplog.records if "left open" in record.message]
    assert "test_database.py" in record.message


def test_an_inner_scope_leaves_what_the_outer_holds(mysql: MySQL) -> None:
    with Scope(Container("outer")), mysql.hold():
        mine = mysql.value(CONNECTION)
        with Scope(Container("inner")):
            assert mysql.value(CONNECTION) == mine
        assert mysql.value(CONNECTION) == mine


def test_a_greenlet_that_ends_with_a_connection_loses_it(mysql: MySQL, caplog: pytest.LogCaptureFixture) -> None:
    green.spawn(mysql.connect).get()
    for _ in range(20):
        green.sleep(0)
    assert busy(mysql) == 0
    assert "never given back" in caplog.text


# -- peewee ----------------------------------------------------------------------------------------------------------


def test_models_and_queries_of_peewee(mysql: MySQL) -> None:
    class Thing(peewee.Model):
        id = peewee.AutoField()
        name = peewee.CharField()
        number = peewee.IntegerField(null=True)

        class Meta:
            database = mysql
            table_name = "things"

    assert [thing.name for thing in Thing.select().order_by(Thing.id)] == ["one", "two", "three"]
    made = Thing.create(name="four")
    assert Thing.get_by_id(made.id).name == "four"
    assert Thing.update(number=9).where(Thing.id < 3).execute() == 2
    assert Thing.delete().where(Thing.number == 9).execute() == 2
    assert Thing.select().count() == 2
    assert list(Thing.select(Thing.name).tuples()) == [("three",), ("four",)]
    assert [thing.id for thing in Thing.select().order_by(Thing.id).iterator()] == [3, 4]
    assert mysql.table_exists("things")
    assert "things" in mysql.get_tables()
    assert [column.name for column in mysql.get_columns("things")] == ["id", "name", "number"]
    assert mysql.server_version
    assert busy(mysql) == 0


def test_table_is_the_query_builder_with_the_prefix(make_mysql: MakeMySQL) -> None:
    database = make_mysql(prefix="shop_")
    database.execute("CREATE TABLE shop_orders (id INT PRIMARY KEY AUTO_INCREMENT, paid BOOL)")
    orders = database.table("orders", "id", "paid")
    assert orders.insert(paid=True).execute() == 1
    assert list(orders.select(orders.id).where(orders.paid == True).dicts()) == [{"id": 1}]  # noqa: E712 - an expression


def test_connections_of_peewee(mysql: MySQL) -> None:
    assert mysql.is_closed()
    assert not mysql.is_connection_usable()
    assert mysql.connect()
    assert not mysql.connect(reuse_if_open=True)
    with pytest.raises(peewee.OperationalError):
        mysql.connect()
    assert mysql.is_connection_usable()
    assert mysql.connection() is mysql.connection()
    assert mysql.close()
    assert not mysql.close()
    with mysql.connection_context():
        assert not mysql.is_closed()
        assert mysql.value(CONNECTION) == mysql.value(CONNECTION)
    assert mysql.is_closed()
    assert mysql.connection() is not None  # as peewee: it connects by itself
    mysql.dispose()
    assert mysql.is_closed()
    assert busy(mysql) == 0


def test_query_hooks_of_peewee(mysql: MySQL) -> None:
    heard: list[Any] = []
    mysql.query_hooks.append(heard.append)
    mysql.value("SELECT 5")
    assert [(event.sql, event.exception) for event in heard] == [("SELECT 5", None)]


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), OSError("gone"), ConnectTimeout("no connection within 1 seconds")])
def test_a_lost_connection_is_an_operational_error_whatever_the_driver_says(error: Exception) -> None:
    found = as_peewee(error)
    assert isinstance(found, peewee.OperationalError)
    assert str(error.args[-1]) in str(found)


def test_a_timeout_may_be_the_callers_own() -> None:
    error = TimeoutError("mine")
    assert as_peewee(error) is error
