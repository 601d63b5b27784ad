"""What the transactions of every database do, whatever its driver."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable
from typing import Any

import peewee
import pytest

from greenimi import green, transactional
from greenimi.errors import HandlerTimeout
from greenimi.event import Events
from greenimi.pool.database import Database, TransactionError, TransactionOver
from greenimi.testing.contracts.database import DatabaseFixture, busy
from greenimi.testing.kills import Broken, break_off_everywhere


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


def catch(function: Callable[[], object]) -> Callable[[], None]:
    """In a greenlet, whose errors gevent would print: what raises the error that it raises, elsewhere."""
    try:
        function()
    except TransactionError as error:
        found = error

    def again() -> None:
        raise found

    return again


class TransactionContract(DatabaseFixture, ABC):
    """Levels, what becomes of them, what is done afterwards; for functions, for blocks and by hand."""

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

    # -- blocks --------------------------------------------------------------------------------------------------------
    def test_blocks(self, database: Database, told: Told) -> None:
        with database.atomic():
            told.watch("one")
            self.add(database, "one")
            with pytest.raises(Wrong), database.atomic():
                told.watch("two")
                self.add(database, "two")
                with database.atomic():
                    told.watch("three")
                    self.add(database, "three")
                raise Wrong
            assert told.names == ["three rolled back", "two rolled back"]
            with database.atomic():
                told.watch("four")
                self.add(database, "four")
        assert self.names(database) == ["four", "one"]
        assert told.names[2:] == ["four committed", "one committed"]

    def test_hooks_run_outside_and_their_errors_undo_nothing(self, database: Database, caplog: pytest.LogCaptureFixture) -> None:
        seen: list[object] = []

        def after() -> None:
            seen.append((database.in_transaction(), self.names(database)))
            raise Wrong

        with database.atomic():
            self.add(database, "one")
            database.after_commit(after)
            database.after_commit(lambda: seen.append("next"))
        assert seen == [(False, ["one"]), "next"]
        assert "what was to be done after a transaction failed" in caplog.text
        assert database.after_commit(lambda: seen.append("at once")) is not None
        assert seen[-1] == "at once"

    def test_events_wait_for_the_commit(self, database: Database) -> None:
        heard: list[str] = []
        events = Events()
        database.join_events(events)
        events.on(str, lambda event: heard.append(event))  # noqa: PLW0108 - events are told by annotation
        events.on("sold", lambda event: heard.append(event.data))
        with database.atomic():
            events.emit("sold", data="kept", after_commit=True)
            events.emit("sold", data="now")
            with pytest.raises(Wrong), database.atomic():
                events.emit("sold", data="lost", after_commit=True)
                raise Wrong
            assert heard == ["now"]
        assert heard == ["now", "kept"]
        events.emit("sold", data="outside", after_commit=True)
        assert heard[-1] == "outside"

    def test_a_level_goes_on_after_its_commit(self, database: Database, told: Told) -> None:
        with pytest.raises(Wrong), database.atomic() as level:
            told.watch("first")
            self.add(database, "first")
            level.commit()
            assert told.names == ["first committed"]
            self.add(database, "second")
            level.rollback()
            self.add(database, "third")
            with database.atomic() as inner:
                self.add(database, "inner")
                inner.commit()
                self.add(database, "more")
                inner.rollback()
                assert self.names(database) == ["first", "inner", "third"]
            raise Wrong
        assert self.names(database) == ["first"]
        assert told.names == ["first committed"]

    def test_a_block_that_is_rolled_back_by_hand(self, database: Database) -> None:
        with database.atomic():
            self.add(database, "one")
            database.rollback()
            with pytest.raises(TransactionOver, match="rolled it back"):
                self.add(database, "two")
        assert self.names(database) == []

    def test_levels_by_hand(self, database: Database, told: Told) -> None:
        for name in ("one", "two", "three", "four"):
            database.begin()
            told.watch(name)
            self.add(database, name)
        database.rollback(2)
        assert told.names == ["four rolled back", "three rolled back"]
        assert database.transaction_depth() == 2
        database.commit()
        assert database.in_transaction()
        with pytest.raises(TransactionError, match="3 levels cannot be rolled back, 1 are open"):
            database.rollback(3)
        database.commit()
        assert self.names(database) == ["one", "two"]
        assert told.names[2:] == ["two committed", "one committed"]
        for end in (database.commit, database.rollback):
            with pytest.raises(TransactionError, match="needs a transaction"):
                end()

    def test_nobody_else_ends_a_block(self, database: Database) -> None:
        with database.atomic():
            self.add(database, "one")
            with pytest.raises(TransactionError, match="is committed at its end"):
                database.commit()
            for statement in ("COMMIT", " begin", "START TRANSACTION", "rollback", "END"):
                with pytest.raises(TransactionError, match="would end the transaction"):
                    database.execute(statement)
        assert self.names(database) == ["one"]

    def test_what_is_left_open_in_a_block(self, database: Database) -> None:
        with pytest.raises(TransactionError, match="was left open in it"), database.atomic():
            database.begin()
            self.add(database, "one")
        assert busy(database) == 0
        assert self.names(database) == []

    def test_the_ways_of_peewee(self, database: Any) -> None:
        with database:
            self.add(database, "block")
        with database.connection_context(), database.transaction() as level:
            self.add(database, "transaction")
            with database.savepoint() as inner:
                self.add(database, "savepoint")
                inner.rollback()
            level.commit()
        with pytest.raises(TransactionError), database.savepoint():
            pass

        @database.atomic()  # type: ignore[untyped-decorator]
        def decorated() -> int:
            self.add(database, "decorated")
            return database.transaction_depth()  # type: ignore[no-any-return]

        assert decorated() == 1
        assert not database.session_commit()
        database.session_start()
        assert database.session_rollback()
        for _ in database.batch_commit(range(3), 2):
            assert database.in_transaction()
        assert self.names(database) == ["block", "decorated", "transaction"]

    # -- how they begin ------------------------------------------------------------------------------------------------
    def test_read_only(self, database: Database) -> None:
        self.add(database, "one")
        with database.atomic(read_only=True):
            assert self.names(database) == ["one"]
            with database.atomic():
                assert self.names(database) == ["one"]
        with pytest.raises(peewee.DatabaseError), database.atomic(read_only=True):
            self.add(database, "two")
        with pytest.raises(TransactionError, match="not read only"), database.atomic(), database.atomic(read_only=True):
            pass
        self.add(database, "three")
        assert self.names(database) == ["one", "three"]

    @pytest.mark.parametrize("isolation", ["read committed", "REPEATABLE READ", "serializable"])
    def test_isolation(self, database: Database, isolation: str) -> None:
        with database.atomic(isolation):
            self.add(database, "one")
            with database.atomic(isolation):
                self.add(database, "two")
        refused = pytest.raises(TransactionError, match="it is not isolation READ UNCOMMITTED")
        with refused, database.atomic(isolation), database.atomic("read uncommitted"):
            pass
        with pytest.raises(TransactionError, match="there is no isolation"), database.atomic("read nothing; DROP TABLE things"):
            pass
        assert self.names(database) == ["one", "two"]

    # -- what the database does ----------------------------------------------------------------------------------------
    def test_an_error_that_is_caught(self, database: Database) -> None:
        """Goes on where the database lets it, and never seems to be committed where it does not."""
        self.add(database, "one")
        committed = False
        try:
            with database.atomic():
                self.add(database, "two")
                with pytest.raises(peewee.IntegrityError):
                    self.add(database, "one")
            committed = True
        except TransactionOver:
            pass
        assert self.names(database) == (["one", "two"] if committed else ["one"])
        with database.atomic():
            self.add(database, "three")
            with pytest.raises(peewee.IntegrityError), database.atomic():
                self.add(database, "one")
            self.add(database, "four")
        assert {"three", "four"} <= set(self.names(database))

    def test_making_a_table(self, database: Database, told: Told) -> None:
        statement = "CREATE TABLE others (id INTEGER)"
        if not self.ddl_commits:
            with pytest.raises(Wrong), database.atomic():
                database.execute(statement)
                raise Wrong
            database.execute(statement)  # it was undone
            return
        with pytest.raises(TransactionOver, match="CREATE TABLE ended it"), database.atomic():
            told.watch("one")
            self.add(database, "one")
            with pytest.raises(TransactionOver, match="CREATE TABLE ended it"):
                database.execute(statement)
            with pytest.raises(TransactionOver):
                self.add(database, "two")
        assert self.names(database) == ["one"]  # which the database committed
        assert told.names == []
        assert busy(database) == 0

    def test_greenlets_do_not_share_one(self, database: Database) -> None:
        if self.one_connection:
            pytest.skip("the other one waits until this one is over")
        with database.atomic() as level:
            assert not green.spawn(database.in_transaction).get()
            if self.row_locks:
                green.spawn(self.add, database, "two").get()
            with pytest.raises(TransactionError, match="belongs to another greenlet"):
                green.spawn(catch, level.commit).get()()
            self.add(database, "one")
            database.rollback()
        assert self.names(database) == (["two"] if self.row_locks else [])

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

    # -- broken off ----------------------------------------------------------------------------------------------------
    @pytest.mark.parametrize("error", [HandlerTimeout, green.Timeout, TimeoutError], ids=lambda kind: kind.__name__)
    def test_broken_off_everywhere(self, database: Database, error: type[BaseException]) -> None:
        numbers = iter(range(0, 1_000_000, 2))
        done: list[int] = []

        @transactional
        def pair() -> None:
            number = next(numbers)
            database.after_commit(lambda: done.append(number))
            database.execute("INSERT INTO things (id, name) VALUES (?, 'first')", [number])
            green.sleep(0)
            with database.atomic():
                database.execute("INSERT INTO things (id, name) VALUES (?, 'second')", [number + 1])
                green.sleep(0)

        def look(run: Broken) -> None:
            assert busy(database) == 0
            assert not database.in_transaction()
            found = set(database.column("SELECT id FROM things"))
            assert found == {number + more for number in found if number % 2 == 0 for more in (0, 1)}
            assert set(done) <= found
            assert run.reached or run.error is None

        assert break_off_everywhere(pair, look, error) >= 2
        assert done

    def test_a_timeout_that_is_caught_inside(self, database: Database) -> None:
        with database.atomic():
            self.add(database, "one")
            with pytest.raises(green.Timeout), green.Timeout(0.01), database.atomic():
                self.add(database, "two")
                green.sleep(10)
            self.add(database, "three")
        assert self.names(database) == ["one", "three"]

    def test_a_statement_that_is_broken_off_inside(self, database: Database) -> None:
        if not self.slow:
            pytest.skip("there is no such statement")
        with pytest.raises(TransactionOver, match=r"broken off|was lost"), database.atomic():
            self.add(database, "one")
            with pytest.raises(green.Timeout), green.Timeout(0.05):
                database.rows(self.slow)
            with pytest.raises(TransactionOver):
                self.add(database, "two")
        assert self.names(database) == []
        assert busy(database) == 0
