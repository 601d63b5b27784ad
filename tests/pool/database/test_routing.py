"""Which statements a replica may answer."""

from __future__ import annotations

import pytest

from greenimi.pool.database.routing import is_of_connection, reader

is_read = reader()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM orders",
        "  select 1",
        "(SELECT 1) UNION (SELECT 2)",
        "/* who asks */ SELECT 1",
        "-- who asks\nSELECT 1",
        "# who asks\nSELECT 1",
        "WITH recent AS (SELECT 1) SELECT * FROM recent",
        "SHOW TABLES",
        "DESCRIBE orders",
        "SELECT updated_at, last_update, into_stock FROM orders",
        "SELECT REPLACE(name, 'a', 'b') FROM orders",
        "SELECT 'ann@example.org'",
        "SELECT @@global.read_only",
        "SELECT 1;",
    ],
)
def test_plain_reads(sql: str) -> None:
    assert is_read(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO orders VALUES (1)",
        "UPDATE orders SET paid = 1",
        "DELETE FROM orders",
        "CREATE TABLE t (id INT)",
        "CALL tidy()",
        "SET @x = 1",
        "BEGIN",
        "DO RELEASE_LOCK('x')",
        "EXPLAIN ANALYZE DELETE FROM orders",
        "SELECT * FROM orders FOR UPDATE",
        "SELECT * FROM orders FOR/**/UPDATE SKIP LOCKED",
        "SELECT * FROM orders FOR NO KEY UPDATE",
        "SELECT * FROM orders for share",
        "SELECT * FROM orders LOCK IN SHARE MODE",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "SELECT '/*' FROM orders FOR UPDATE /* */",
        "SELECT 1 /*!50000 FOR UPDATE */",
        "/*! SELECT 1 */",
        "/*M! SELECT 1 */",
        "SELECT GET_LOCK('x', 1)",
        "SELECT is_used_lock('x')",
        "SELECT LAST_INSERT_ID()",
        "SELECT FOUND_ROWS()",
        "SELECT CONNECTION_ID()",
        "SELECT NEXTVAL(s)",
        "SELECT NEXT VALUE FOR s",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_xact_lock(1)",
        "SELECT @x",
        "SELECT @x := 1",
        "SELECT @@autocommit",
        "SHOW WARNINGS",
        "SHOW MASTER STATUS",
        "WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone",
        "SELECT 1; DELETE FROM orders",
        "SELECTED",
        "",
    ],
)
def test_everything_else(sql: str) -> None:
    assert not is_read(sql)


def test_functions_of_the_application() -> None:
    found = reader(["next_number", "a.b"])
    assert not found("SELECT NEXT_NUMBER('orders')")
    assert found("SELECT next_numbers FROM orders")
    assert not found("SELECT a.b()")
    assert found("SELECT axb()")


def test_long_statements_are_looked_at_too() -> None:
    assert is_read(f"SELECT '{'x' * 10_000}'")
    assert not is_read(f"SELECT '{'x' * 10_000}' FOR UPDATE")


@pytest.mark.parametrize(
    "sql",
    [
        "SET @x = 1",
        "/* who asks */ set names latin1",
        "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET @@session.sql_mode = ''",
        "use shop",
        "LOCK TABLES orders WRITE",
        "FLUSH TABLES WITH READ LOCK",
        "CREATE TEMPORARY TABLE t (id INT)",
        "CREATE OR REPLACE TEMPORARY TABLE t (id INT)",
        "CREATE TEMP TABLE t (id INT)",
        "PREPARE p FROM 'SELECT 1'",
        "BEGIN",
        "START TRANSACTION READ ONLY",
        "SAVEPOINT a",
        "LISTEN orders",
        "SELECT GET_LOCK ('x', 1)",
        "SELECT pg_advisory_lock(1)",
        f"SET @x = '{'x' * 10_000}'",
    ],
)
def test_what_stays_with_a_connection(sql: str) -> None:
    assert is_of_connection(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT 'SET @x = 1'",
        "UPDATE orders SET paid = 1",
        "SET GLOBAL max_connections = 5",
        "SET PASSWORD FOR shop = ''",
        "SET STATEMENT max_statement_time = 1 FOR SELECT 1",
        "BEGIN NOT ATOMIC SELECT 1; END",
        "CREATE TABLE temporary_orders (id INT)",
        "SELECT pg_advisory_xact_lock(1)",
        "RELEASE SAVEPOINT a",
        "settings",
    ],
)
def test_what_does_not(sql: str) -> None:
    assert not is_of_connection(sql)
