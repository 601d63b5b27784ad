"""All databases, by the one suite."""

from __future__ import annotations

from greenimi.testing.contracts.database import DatabaseContract
from tests.pool.database.variants import OnFile, OnMemory, OnMySQL, OnMySQLClient, OnPostgres


class TestMySQL(OnMySQL, DatabaseContract):
    pass


class TestMySQLClient(OnMySQLClient, DatabaseContract):
    pass


class TestMemory(OnMemory, DatabaseContract):
    pass


class TestFile(OnFile, DatabaseContract):
    pass


class TestPostgres(OnPostgres, DatabaseContract):
    pass
