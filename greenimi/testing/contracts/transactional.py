"""What functions that are transactional do with every database, whatever its driver."""

from __future__ import annotations

from abc import ABC
from typing import Any

import pytest

from greenimi import green, transactional
from greenimi.pool.database import Database, TransactionError, TransactionOver
from greenimi.testing.contracts.database import DatabaseFixture


class Wrong(Exception):
    """What goes wrong in a test."""


class Told:
    """What was to be done after transactions, in the order it was done."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.names: list[str] = []

    def watch(self, name: str) -> None:
        """Of the level that is open now."""
        self._database.after_commit(lambda: self.names.append(f"{name} committed"))
        self._database.after_rollback(lambda: self.names.append(f"{name} rolled back"))


class TransactionFixture(DatabaseFixture, ABC):
    """What the suites of transactions need."""

    ddl_commits = False
    """Making a table commits the transaction."""

    row_locks = True
    """Transactions can write to different rows at the same time."""

    @pytest.fixture
    def told(self, database: Database) -> Told:
        return Told(database)

    def add(self, database: Database, name: str) -> None:
        database.execute("INSERT INTO things (id, name) VALUES (?, ?)", [sum(map(ord, name)), name])

    def names(self, database: Database) -> list[str]:
        found: list[str] = database.column("SELECT name FROM things ORDER BY name")
        return found


class TransactionalContract(TransactionFixture, ABC):
    """``@transactional``: how it joins, nests and fails."""

    # -- the eleven cases of functions ---------------------------------------------------------------------------------
    def function(self, database: Database, told: Told, name: str = "inner", *, fails: bool = False, **options: Any) -> Any:
        """A transactional function that adds a row."""

        @transactional(**options)
        def work() -> int:
            told.watch(name)
            self.add(database, name)
            if fails:
                raise Wrong
            return database.transaction_depth()

        return work

    def test_nested_begins_one(self, database: Database, told: Told) -> None:
        assert self.function(database, told, propagation="nested")() == 1
        assert database.transaction_depth() == 0
        assert self.names(database) == ["inner"]
        assert told.names == ["inner committed"]

    def test_nested_is_a_level_of_the_open_one(self, database: Database, told: Told) -> None:
        database.begin()
        told.watch("outer")
        self.add(database, "outer")
        assert self.function(database, told, propagation="nested")() == 2
        assert database.transaction_depth() == 1
        assert told.names == []
        database.commit()
        assert self.names(database) == ["inner", "outer"]
        assert told.names == ["inner committed", "outer committed"]

    def test_nested_undoes_all_when_it_says_so(self, database: Database, told: Told) -> None:
        database.begin()
        told.watch("outer")
        self.add(database, "outer")
        with pytest.raises(Wrong):
            self.function(database, told, propagation="nested", rollback="all", fails=True)()
        assert database.transaction_depth() == 0
        assert self.names(database) == []
        assert told.names == ["inner rolled back", "outer rolled back"]

    def test_mandatory_wants_one(self, database: Database, told: Told) -> None:
        with pytest.raises(TransactionError, match=r"work can only be called in a transaction of the database default"):
            self.function(database, told, propagation="mandatory")()
        assert self.names(database) == []

    def test_mandatory_joins(self, database: Database, told: Told) -> None:
        database.begin()
        assert self.function(database, told, propagation="mandatory")() == 1
        assert told.names == []
        database.commit()
        assert database.transaction_depth() == 0
        assert self.names(database) == ["inner"]
        assert told.names == ["inner committed"]

    def test_mandatory_that_fails_undoes_all(self, database: Database, told: Told) -> None:
        database.begin()
        self.add(database, "outer")
        with pytest.raises(Wrong):
            self.function(database, told, propagation="mandatory", fails=True)()
        assert database.transaction_depth() == 0
        assert self.names(database) == []
        assert told.names == ["inner rolled back"]

    def test_required_begins_one(self, database: Database, told: Told) -> None:
        assert self.function(database, told)() == 1
        assert database.transaction_depth() == 0
        assert self.names(database) == ["inner"]
        assert told.names == ["inner committed"]

    def test_required_joins(self, database: Database, told: Told) -> None:
        database.begin()
        assert self.function(database, told)() == 1
        assert database.transaction_depth() == 1
        assert told.names == []
        database.commit()
        assert self.names(database) == ["inner"]
        assert told.names == ["inner committed"]

    def test_required_that_fails_is_rolled_back(self, database: Database, told: Told) -> None:
        with pytest.raises(Wrong):
            self.function(database, told, fails=True)()
        assert database.transaction_depth() == 0
        assert self.names(database) == []
        assert told.names == ["inner rolled back"]

    def test_a_part_is_rolled_back_alone(self, database: Database, told: Told) -> None:
        database.begin()
        told.watch("outer")
        self.add(database, "outer")
        with pytest.raises(Wrong):
            self.function(database, told, propagation="nested", rollback="part", fails=True)()
        assert database.transaction_depth() == 1
        assert told.names == ["inner rolled back"]
        database.commit()
        assert self.names(database) == ["outer"]
        assert told.names == ["inner rolled back", "outer committed"]

    def test_a_part_of_all_levels(self, database: Database, told: Told) -> None:
        database.begin()
        self.add(database, "outer")
        with pytest.raises(Wrong):
            self.function(database, told, propagation="nested", rollback="part", levels=2, fails=True)()
        assert database.transaction_depth() == 0
        assert self.names(database) == []

    # -- further functions ---------------------------------------------------------------------------------------------
    def test_joined_that_fails_and_is_caught(self, database: Database, told: Told) -> None:
        """Half of a function's work must not be committed because somebody caught its error."""

        @transactional
        def outer() -> None:
            self.add(database, "outer")
            with pytest.raises(Wrong):
                self.function(database, told, fails=True)()
            with pytest.raises(TransactionOver, match="Wrong left"):
                self.add(database, "later")

        with pytest.raises(TransactionOver, match="Wrong left"):
            outer()
        assert self.names(database) == []

    def test_nested_that_fails_and_is_caught(self, database: Database, told: Told) -> None:
        @transactional
        def outer() -> None:
            self.add(database, "outer")
            with pytest.raises(Wrong):
                self.function(database, told, propagation="nested", fails=True)()
            self.add(database, "later")

        outer()
        assert self.names(database) == ["later", "outer"]

    def test_on_methods_of_any_object(self, database: Database) -> None:
        contract = self

        class Shop:
            @transactional
            def sell(self, name: str, *, fails: bool = False) -> str:
                contract.add(database, name)
                assert database.in_transaction()
                if fails:
                    raise Wrong
                return name

            @staticmethod
            @transactional
            def stock() -> int:
                return database.transaction_depth()

        assert Shop().sell("chair") == "chair"
        with pytest.raises(Wrong):
            Shop().sell("table", fails=True)
        assert Shop.stock() == 1
        assert self.names(database) == ["chair"]

    def test_another_one_beside_the_open_one(self, database: Database, told: Told) -> None:
        if not self.row_locks:
            with database.atomic(), pytest.raises(TransactionError, match="a new transaction beside the open one"):
                self.function(database, told, propagation="new")()
            return
        with pytest.raises(Wrong), database.atomic():
            told.watch("outer")
            self.add(database, "outer")
            assert self.function(database, told, propagation="new")() == 1
            assert told.names == ["inner committed"]
            assert database.transaction_depth() == 1
            assert self.names(database) == ["inner", "outer"] or not self.row_locks
            raise Wrong
        assert self.names(database) == ["inner"]
        assert told.names == ["inner committed", "outer rolled back"]

    def test_deadlocks_are_tried_again(self, database: Database) -> None:
        if not self.row_locks:
            pytest.skip("there are none: one writes at a time")
        for name in ("a", "b"):
            self.add(database, name)
        tries: list[str] = []

        @transactional(retry=5)
        def move(first: str, second: str) -> None:
            tries.append(first)
            for name in (first, second):
                database.execute("UPDATE things SET number = COALESCE(number, 0) + 1 WHERE id = ?", [ord(name)])
                green.sleep(0.02)

        workers = [green.spawn(move, *pair) for pair in (("a", "b"), ("b", "a"))]
        for worker in workers:
            worker.get()
        assert len(tries) > 2
        assert database.column("SELECT number FROM things") == [2, 2]
