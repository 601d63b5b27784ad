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
from greenimi.testing.contracts.database import busy
from greenimi.testing.contracts.transactional import Told, TransactionFixture, Wrong
from greenimi.testing.kills import Broken, break_off_everywhere


def catch(function: Callable[[], object]) -> Callable[[], None]:
    """In a greenlet, whose errors gevent would print: what raises the error that it raises, elsewhere."""
    try:
        function()
    except TransactionError as error:
        found = error

    def again() -> None:
        raise found

    return again


class TransactionContract(TransactionFixture, ABC):
    """Levels, what becomes of them, what is done afterwards; in blocks and by hand."""

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
