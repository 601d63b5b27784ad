"""What is PostgreSQL's own: waiting, prepared statements, a server that is silent, gone or read only."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import peewee
import pytest

from greenimi import green
from greenimi.errors import MissingExtra
from greenimi.green import blocking_drivers
from greenimi.pool.database import DatabaseSettings, TransactionOver
from greenimi.pool.database.postgres import PostgreSQL, _tls, _where
from greenimi.pool.database.settings import TlsSettings
from greenimi.pool.database.urls import Address
from greenimi.pool.settings import PoolSettings
from greenimi.testing.services.fixtures import StartService
from greenimi.testing.services.postgres import Postgres
from greenimi.testing.support import wait_until

Make = Callable[..., PostgreSQL]


@pytest.fixture
def make(postgres: Postgres) -> Iterator[Make]:
    made: list[PostgreSQL] = []

    def make(url: str = "", **changed: Any) -> PostgreSQL:
        found = PostgreSQL("shop", DatabaseSettings(url=url or postgres.url, **{"pool": PoolSettings(min=0), **changed}))
        made.append(found)
        return found

    yield make
    for database in made:
        assert database.primary.statistics().busy == 0
        database.stop()


def test_it_waits_as_all_do(make: Make) -> None:
    database = make()
    waiting = [green.spawn(database.value, "SELECT pg_sleep(0.2)") for _ in range(5)]
    turns = 0
    while not all(each.ready() for each in waiting):
        green.sleep(0.001)
        turns += 1
    gevent.joinall(waiting, raise_error=True)
    assert turns > 20
    assert ("psycopg", "psycopg 3.1.14 or newer, imported after patching") not in blocking_drivers()


def test_much_at_once(make: Make) -> None:
    database = make()
    text = "x" * 5_000_000
    workers = [green.spawn(database.value, "SELECT ?::text", [text]) for _ in range(3)]
    assert all(worker.get() == text for worker in workers)
    assert database.value("SELECT COUNT(*) FROM generate_series(1, 100000)") == 100_000
    assert len(database.rows("SELECT * FROM generate_series(1, 20000) AS n")) == 20_000


def test_prepared_statements(make: Make) -> None:
    for prepared, count in ((100, 1), (0, 0)):
        database = make(prepared=prepared, pool=PoolSettings(min=0, max=1))
        for number in range(10):
            assert database.value("SELECT ?::int + 1", [number]) == number + 1
        assert database.value("SELECT COUNT(*) FROM pg_prepared_statements WHERE statement LIKE '%+ 1%'") == count


def test_a_table_that_is_changed_under_a_prepared_statement(make: Make, postgres_url: str) -> None:
    database = make(postgres_url, pool=PoolSettings(min=0, max=1))
    database.execute("CREATE TABLE things (id INTEGER)")
    database.execute("INSERT INTO things VALUES (1)")
    query = "SELECT * FROM things WHERE id = ?"
    for _ in range(8):
        assert database.rows(query, [1]) == [{"id": 1}]
    make(postgres_url).execute("ALTER TABLE things ADD COLUMN name TEXT")
    assert database.rows(query, [1]) == [{"id": 1, "name": None}]


def test_what_belongs_to_a_connection_does_not_stay_with_it(make: Make) -> None:
    database = make(pool=PoolSettings(min=0, max=1), init=["SET statement_timeout = 12345"])
    with database.hold():
        database.execute("SET application_name = 'mine'")
        database.execute("CREATE TEMPORARY TABLE scratch (id INTEGER)")
        process = database.value("SELECT pg_backend_pid()")
    assert database.value("SELECT pg_backend_pid()") == process
    assert database.value("SHOW application_name") == ""
    assert database.value("SHOW statement_timeout") == "12345ms"
    with pytest.raises(peewee.ProgrammingError):
        database.value("SELECT COUNT(*) FROM scratch")


def test_statements_that_were_prepared_before_it_was_held(make: Make) -> None:
    database = make(prepared=2)
    with database.hold():
        pass
    for _ in range(3):
        with database.hold():
            assert [database.value("SELECT 1") for _ in range(7)] == [1] * 7


def test_a_server_that_is_silent(make: Make, start_service: StartService) -> None:
    service = start_service("postgres")
    database = make(service.url, read_timeout=0.2)
    assert database.value("SELECT 1") == 1
    service.pause()
    try:
        with pytest.raises(peewee.OperationalError, match="silent for too long"):
            database.value("SELECT 1")
    finally:
        service.resume()
    assert database.value("SELECT 1") == 1
    with pytest.raises(TransactionOver, match="its connection was lost"), database.atomic():  # noqa: PT012 - it leaves the block
        database.value("SELECT 1")
        service.kill()
        with pytest.raises(peewee.OperationalError):
            database.value("SELECT 1")
    service.start()
    wait_until(lambda: works(database))


def works(database: PostgreSQL) -> bool:
    try:
        return bool(database.value("SELECT 1") == 1)
    except peewee.OperationalError:
        return False


def test_a_connection_that_the_server_cut_while_idle(make: Make) -> None:
    database = make(pool=PoolSettings(min=0, max=2))
    with database.atomic():
        first = database.value("SELECT pg_backend_pid()")
    other = make()
    other.execute("SELECT pg_terminate_backend(?)", [first])
    wait_until(lambda: not other.value("SELECT COUNT(*) FROM pg_stat_activity WHERE pid = ?", [first]))
    assert database.value("SELECT pg_backend_pid()") != first


def test_a_server_that_may_only_be_read(make: Make) -> None:
    database = make(init=["SET default_transaction_read_only = on"])
    with pytest.raises(peewee.InternalError, match="read-only transaction"):
        database.execute("CREATE TABLE things (id INTEGER)")
    assert database.primary.nodes[0].problem
    assert database.primary.statistics().idle == 0


def test_rows_one_by_one_leave_no_transaction(make: Make) -> None:
    database = make(pool=PoolSettings(min=0, max=1))
    found = database.each("SELECT n FROM generate_series(1, 5) AS n", size=2)
    assert [row["n"] for row in found] == [1, 2, 3, 4, 5]
    process = database.value("SELECT pg_backend_pid()")
    with database.atomic():
        assert len(list(database.each("SELECT n FROM generate_series(1, 5) AS n", size=2))) == 5
        assert database.value("SELECT pg_backend_pid()") == process
    with pytest.raises(peewee.ProgrammingError):
        list(database.each("SELECT * FROM nowhere"))
    assert database.value("SELECT 1") == 1


def test_copy_is_left_to_psycopg(make: Make, postgres_url: str) -> None:
    database = make(postgres_url)
    database.execute("CREATE TABLE things (id INTEGER, name TEXT)")
    with database.hold(), database.cursor() as cursor, cursor.copy("COPY things FROM STDIN") as copy:
        for number in range(1000):
            copy.write_row((number, f"n{number}"))
    assert database.value("SELECT COUNT(*) FROM things") == 1000


def test_how_far_a_primary_is_behind(make: Make) -> None:
    database = make()
    with database.hold() as held:
        assert database.lag_of(held.session) == 0.0


def test_where_it_is() -> None:
    base = {"user": "shop", "password": "secret", "dbname": "orders"}
    at_host = Address("db1", 5433, "", "shop", "secret", "orders")
    assert _where(at_host) == {"host": "db1", "port": 5433, **base}
    assert _where(Address("", 5432, "/run/pg/.s.PGSQL.5444", "shop", "secret", "orders")) == {"host": "/run/pg", "port": 5444, **base}
    assert _where(Address("", 5432, "/run/pg", "shop", "secret", "orders")) == {"host": "/run/pg", "port": 5432, **base}
    assert "secret" not in repr(at_host)


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        (TlsSettings(), {"sslmode": "prefer"}),
        (TlsSettings(mode="off"), {"sslmode": "disable"}),
        (TlsSettings(ca="ca.pem"), {"sslmode": "verify-full", "sslrootcert": "ca.pem"}),
        (
            TlsSettings(mode="chain", ca="ca.pem", certificate="me.pem", key="me.key"),
            {"sslmode": "verify-ca", "sslrootcert": "ca.pem", "sslcert": "me.pem", "sslkey": "me.key"},
        ),
        (TlsSettings(mode="required"), {"sslmode": "require"}),
    ],
)
def test_encryption(tls: TlsSettings, expected: dict[str, str]) -> None:
    assert _tls(DatabaseSettings(tls=tls), Address("db1", 5432)) == expected


def test_its_unix_socket(make: Make, postgres: Postgres) -> None:
    database = make(f"postgres://{postgres.user}@/{postgres.database}?socket={postgres.socket}")
    assert database.value("SELECT inet_server_addr()") is None


def test_its_library_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "greenimi.pool.database.postgres")
    with pytest.raises(MissingExtra, match="PostgreSQL needs psycopg") as caught:
        importlib.import_module("greenimi.pool.database.postgres")
    assert "greenimi[postgres]" in caught.value.hint
