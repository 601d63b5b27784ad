"""All databases, by the suites that all of them pass."""

from __future__ import annotations

from greenimi.testing.contracts.database import DatabaseContract
from greenimi.testing.contracts.transactional import TransactionalContract
from greenimi.testing.contracts.transactions import TransactionContract
from tests.pool.database.variants import OnFile, OnMemory, OnMySQL, OnMySQLClient, OnPostgres


class TestMySQL(OnMySQL, DatabaseContract, TransactionalContract, TransactionContract):
    pass


class TestMySQLClient(OnMySQLClient, DatabaseContract, TransactionalContract, TransactionContract):
    pass


class TestMemory(OnMemory, DatabaseContract, TransactionalContract, TransactionContract):
    pass


class TestFile(OnFile, DatabaseContract, TransactionalContract, TransactionContract):
    pass


class TestPostgres(OnPostgres, DatabaseContract, TransactionalContract, TransactionContract):
    pass
