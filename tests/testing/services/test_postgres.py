"""PostgreSQL."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psycopg
import pytest

from greenimi.testing.services.fixtures import StartService
from greenimi.testing.services.postgres import Postgres
from greenimi.testing.services.processes import ServiceFailed


def test_a_fresh_database_for_each_test(postgres: Postgres, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE t (a INT)")
        connection.execute("INSERT INTO t VALUES (1)")
    assert postgres.sql("SELECT tablename FROM pg_tables WHERE tablename = 't'") == []
    assert postgres.conf == ("database", {"url": postgres.url})


def test_databases_are_dropped_with_their_connections(postgres: Postgres) -> None:
    with postgres.schema() as name:
        connection = psycopg.connect(postgres.url_of(name))
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()
    assert postgres.sql(f"SELECT datname FROM pg_database WHERE datname = '{name}'") == []


def test_the_password_is_needed_and_the_user_is_not_root(postgres: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url.replace(postgres.password, "wrong"))
    with pytest.raises(ServiceFailed, match='relation "none" does not exist'):
        postgres.sql("SELECT * FROM none")
    owner = Path(f"/proc/{postgres.id.pid}").stat().st_uid
    assert owner != 0
    assert owner == os.geteuid() or os.geteuid() == 0


def test_what_was_committed_survives_a_kill_of_all_its_processes(start_service: StartService) -> None:
    postgres = start_service("postgres", options={"max_connections": "7"})
    assert postgres.sql("SHOW max_connections") == [["7"]]
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (a INT)")
        connection.execute("INSERT INTO t VALUES (1), (2)")
        postgres.kill()
        left = subprocess.run(["pgrep", "-f", str(postgres.folder)], capture_output=True, text=True, check=False).stdout
        assert left == ""
    postgres.restart()
    assert postgres.sql("SELECT a, a * 2 FROM t ORDER BY a") == [["1", "2"], ["2", "4"]]
    postgres.restart()
